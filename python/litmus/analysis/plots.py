# SPDX-License-Identifier: Apache-2.0
"""Plots of reports: in characters for a screen, and as SVG, PNG or PDF by matplotlib.

A plot is a dict: "kind" names a row of KINDS, the rest is what that row draws.
"""

from __future__ import annotations

import math
import os
from typing import Any

from litmus.analysis.libraries import need
from litmus.errors import InvalidArgument

__all__ = ["as_text", "save"]

BARS, LINES, COLUMNS = 50, 11, 100
FORMATS = ("svg", "png", "pdf")


def as_text(plot: dict[str, Any]) -> str:
    """The plot in characters of ASCII."""
    return "\n".join([plot["title"], *KINDS[plot["kind"]][0](plot)])


def save(plot: dict[str, Any] | None, path: str | os.PathLike, force: bool = False) -> None:
    """Writes the plot to a file; it appears whole or not at all.

    Args:
        plot: of a Report; None is refused.
        path: ends with .svg, .png or .pdf.
        force: replace a file that is there.

    Raises:
        InvalidArgument: there is nothing to draw, no such format, or the file is there.
        MissingLibrary: matplotlib is not installed.
    """
    path = os.fspath(path)
    ending = path.rpartition(".")[2].lower()
    if plot is None:
        raise InvalidArgument("there is nothing to draw in this answer: choose one measurement or one group")
    if ending not in FORMATS:
        raise InvalidArgument(f"{path}: a plot is written as .svg, .png or .pdf")
    if os.path.exists(path) and not force:
        raise InvalidArgument(f"{path} is there already: choose another name, or --force")
    need("matplotlib", "a plot as a file")
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "litmus", "svg.fonttype": "none"}):
        figure_module = need("matplotlib.figure", "a plot as a file")
        figure = figure_module.Figure(figsize=(10, 6), layout="constrained")
        KINDS[plot["kind"]][1](plot, figure)
        hidden = os.path.join(os.path.dirname(path) or ".", f".{os.path.basename(path)}.tmp")
        try:
            figure.savefig(hidden, format=ending, metadata={"Date": None} if ending == "svg" else None)
            os.replace(hidden, path)
        finally:
            if os.path.exists(hidden):
                os.unlink(hidden)


# ---- histogram


def _histogram_text(plot: dict[str, Any]) -> list[str]:
    most, lines = max(plot["counts"]), []
    edges = plot["edges"]
    for i, n in enumerate(plot["counts"]):
        last = i == len(plot["counts"]) - 1
        marks = [name for name, at in plot["lines"].items() if at is not None and edges[i] <= at and (at < edges[i + 1] or (last and at == edges[i + 1]))]
        lines.append(f"{edges[i]:>12.6g}  {'#' * math.ceil(BARS * n / most):<{BARS}} {n:>7,}" + (f"  <- {', '.join(marks)}" if marks else ""))
    outside = [f"{name} {at:.6g}" for name, at in plot["lines"].items() if at is not None and not edges[0] <= at <= edges[-1]]
    return [*lines, *([f"{'':>12}  not in view: {', '.join(outside)}"] if outside else [])]


def _histogram_draw(plot: dict[str, Any], figure) -> None:
    axes = figure.add_subplot()
    axes.stairs(plot["counts"], plot["edges"], fill=True, color="#7a9cc6")
    for name, at in plot["lines"].items():
        if at is not None:
            axes.axvline(at, color="#444444" if name == "mean" else "#b03030", linestyle="--" if name == "mean" else "-", label=f"{name} {at:.6g}")
    axes.set(title=plot["title"], xlabel=plot["unit"], ylabel="values")
    axes.legend()


# ---- control chart


def _charts(plot: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    charts: dict[str, list[dict[str, Any]]] = {}
    for point in plot["points"]:
        charts.setdefault(point["chart"], []).append(point)
    return charts


def _control_text(plot: dict[str, Any]) -> list[str]:
    """The last COLUMNS points of each chart: * inside, O breaks a rule."""
    lines = []
    for name, points in _charts(plot).items():
        points = points[-COLUMNS:]
        low = min(min(point["value"], point["lower"]) for point in points)
        high = max(max(point["value"], point["upper"]) for point in points)
        span = (high - low) or 1.0
        grid = [[" "] * len(points) for _ in range(LINES)]
        for x, point in enumerate(points):
            def at(value: float) -> int:
                return round((high - value) / span * (LINES - 1))

            for key, mark in (("lower", "-"), ("upper", "-"), ("center", ".")):
                grid[at(point[key])][x] = mark
            grid[at(point["value"])][x] = "O" if point["rules"] else "*"
        lines.append(f"{name}, the last {len(points)} points: * point, O breaks a rule, - limit, . centre")
        lines += [f"{high - i * span / (LINES - 1):>12.6g} |{''.join(row).rstrip()}" for i, row in enumerate(grid)]
    return lines


def _control_draw(plot: dict[str, Any], figure) -> None:
    charts = _charts(plot)
    for place, (name, points) in enumerate(charts.items()):
        axes = figure.add_subplot(len(charts), 1, place + 1)
        x = list(range(len(points)))
        axes.plot(x, [point["value"] for point in points], color="#4a6fa5", linewidth=0.8, marker=".", markersize=3)
        signals = [i for i, point in enumerate(points) if point["rules"]]
        axes.plot(signals, [points[i]["value"] for i in signals], "o", color="#b03030", label="breaks a run rule")
        for key, style in (("lower", "-"), ("center", "--"), ("upper", "-")):
            axes.step(x, [point[key] for point in points], where="mid", color="#444444", linestyle=style, linewidth=0.8)
        axes.set(title=plot["title"] if place == 0 else None, ylabel=name)


# ---- bars with cumulative share


def _bars_text(plot: dict[str, Any]) -> list[str]:
    most = max(plot["counts"]) or 1
    wide = max(len(name) for name in plot["names"])
    return [f"{name:<{wide}}  {'#' * math.ceil(BARS * n / most):<{BARS}} {n:>7,}" for name, n in zip(plot["names"], plot["counts"])]


def _bars_draw(plot: dict[str, Any], figure) -> None:
    axes = figure.add_subplot()
    x = list(range(len(plot["names"])))
    axes.bar(x, plot["counts"], color="#7a9cc6")
    axes.set_xticks(x, plot["names"], rotation=45, ha="right")
    axes.set(title=plot["title"], ylabel=plot.get("unit", ""))
    if plot.get("cumulative"):
        right = axes.twinx()
        right.plot(x, [100 * share for share in plot["cumulative"]], color="#b03030", marker="o")
        right.set(ylim=(0, 105), ylabel="cumulative %")


# kind -> (lines of text, drawing on a matplotlib figure)
KINDS = {"histogram": (_histogram_text, _histogram_draw), "control": (_control_text, _control_draw), "bars": (_bars_text, _bars_draw)}
