# SPDX-License-Identifier: Apache-2.0
"""PDF: a report to print or sign. Facts, counts, and every step with its outcome, why, attempts and measurements.

Its fonts are those every reader has: a character outside of Latin-1 is written as \\uNNNN.
"""

from __future__ import annotations

from fpdf import FPDF

from litmus.exports.text import when

_FACTS = (("Serial", "dut_serial"), ("Part", "dut_part_number"), ("Lot", "dut_lot_number"), ("Station", "station_id"), ("Host", "station_hostname"), ("Operator", "operator_id"),
          ("Phase", "test_phase"), ("Project", "project_name"), ("Commit", "git_commit"), ("Stopped by", "stop_reason"), ("Plan", "plan_digest"))
_COLORS = {"passed": (23, 105, 47), "done": (23, 105, 47), "skipped": (100, 100, 100), "never_ran": (138, 90, 0), "not_yet": (138, 90, 0)}
LINE = 110  # characters; a longer line goes on in the next
TEXT_MAX = 10_000  # of a longer text the rest is a number: it would be a thousand pages


def _latin(text) -> str:
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" for c in str(text))
    return text.encode("latin-1", "backslashreplace").decode("latin-1")


class _Pages(FPDF):
    def footer(self):
        self.set_y(-12)
        self.set_font("Helvetica", size=8)
        self.set_text_color(120, 120, 120)
        self.cell(0, 5, f"page {self.page_no()}", align="R")

    def line_of(self, text, size=8, style="", color=(0, 0, 0), indent=0):
        self.set_font("Helvetica", style, size)
        self.set_text_color(*color)
        text = str(text)
        text = _latin(text[:TEXT_MAX]) + (f" ... and {len(text) - TEXT_MAX} characters more" if len(text) > TEXT_MAX else "")
        for start in range(0, len(text) or 1, LINE):
            self.set_x(self.l_margin + indent)
            self.cell(0, size * 0.5, text[start : start + LINE], new_x="LMARGIN", new_y="NEXT")


def _number(value) -> str:
    return "none" if value is None else f"{value:g}"


def _add_step(pages, step) -> None:
    word = step.word.replace("_", " ")
    pages.line_of(f"{word}   {step.node_id or step.path}" + (f"   {step.seconds:.3f} s" if step.ran else ""), color=_COLORS.get(step.word, (179, 38, 30)))
    if step.why:
        pages.line_of(step.why, indent=6)
    if len(step.attempts) > 1:
        pages.line_of("attempts: " + ", ".join(a.outcome or "running" for a in step.attempts), indent=6)
    for m in step.measurements:
        limits = "" if m.limit_low is None and m.limit_high is None else f" [{_number(m.limit_low)}, {_number(m.limit_high)}]"
        pages.line_of(f"{m.name} = {m.text if m.value is None and m.text is not None else _number(m.value)} {m.units or ''}{limits} {m.outcome or ''}", indent=6)


def write(runs, path: str) -> None:
    pages = _Pages()
    pages.set_title("Litmus report")
    pages.set_auto_page_break(True, 15)
    for run in runs:
        pages.add_page()
        pages.line_of(f"{run.title}: {run.outcome or 'in flight'}", 16, "B")
        for label, value in (("Run", run.id), ("Started", when(run.started)), ("Took", f"{run.seconds:.3f} s"), *((label, run.fields.get(name)) for label, name in _FACTS)):
            if value:
                pages.line_of(f"{label}: {value}", 10)
        pages.line_of(", ".join(f"{n} {word.replace('_', ' ')}" for word, n in run.counts().items()), 10, "B")
        pages.ln(3)
        for step in run.steps:
            _add_step(pages, step)
    if not pages.page_no():
        pages.add_page()
    pages.output(path)
