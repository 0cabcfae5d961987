# SPDX-License-Identifier: Apache-2.0
"""What is known when a run starts: options, environment, litmus.yaml, code state, host.

No subprocess is started and nothing heavy is imported; a fact that cannot be had is None.
"""

from __future__ import annotations

import os
import sys

from litmus.plugin import FIELDS

# further keys that litmus.yaml may give as they are
CONFIG_ONLY = (
    "station_name", "station_type", "station_location", "station_hostname", "operator_name", "fixture_id",
    "product_id", "product_name", "product_revision",
)  # fmt: skip
SESSION_FIELDS = (
    "station_id", "station_name", "station_type", "station_location", "station_hostname", "pid", "client",
    "operator_id", "operator_name", "fixture_id",
)  # fmt: skip

LOCKFILES = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "requirements.lock", "requirements.txt")


def run_payload(config, settings: dict) -> dict:
    """The fields of run.started.

    Parameters: config (pytest's), settings (of litmus.yaml; {} without one).
    """
    root = str(config.rootpath)
    payload: dict = {"pid": os.getpid(), "client": "pytest"}
    for key in CONFIG_ONLY:
        if isinstance(settings.get(key), str):
            payload[key] = settings[key]
    for name, field, _ in FIELDS:
        value = getattr(config.option, "litmus_" + name, None)
        if value is None:
            value = os.environ.get("LITMUS_" + name.upper()) or None
        for key in (field, name):
            if value is None and isinstance(settings.get(key), (str, int, float)):
                value = str(settings[key])
        if value is not None:
            payload[field] = value
    part = getattr(config, "_litmus_part", None)
    for field, value in (part.facts() if part is not None else {}).items():
        payload.setdefault(field, value)
    payload.setdefault("project_name", os.path.basename(root.rstrip(os.sep)) or None)
    payload.setdefault("station_hostname", hostname())
    payload.update(git_state(root))
    payload["environment_json"] = environment_json(root)
    return payload


def session_payload(payload: dict) -> dict:
    """The fields of session.started, out of those of run.started."""
    return {key: payload[key] for key in SESSION_FIELDS if payload.get(key) is not None}


def hostname() -> str | None:
    """The host's name; None when the system has none."""
    try:
        return os.uname().nodename or None
    except AttributeError:
        return os.environ.get("COMPUTERNAME") or None


def environment_json(root: str) -> str:
    """JSON text: interpreter, recorder, runner and the hash of the project's lock file."""
    import json

    import pytest

    from litmus import __version__

    name, digest = lockfile_hash(root)
    return json.dumps(
        {
            "python_version": "{}.{}.{}".format(*sys.version_info[:3]),
            "python_implementation": sys.implementation.name,
            "litmus_version": __version__,
            "pytest_version": pytest.__version__,
            "platform": sys.platform,
            "lockfile": name,
            "lockfile_hash": digest,
        }
    )


def lockfile_hash(root: str) -> tuple:
    """(name, SHA-256) of the first lock file in `root`; (None, None) without one."""
    for name in LOCKFILES:
        try:
            with open(os.path.join(root, name), "rb") as file:
                import hashlib

                return name, hashlib.sha256(file.read()).hexdigest()
        except OSError:
            continue
    return None, None


def git_state(root: str) -> dict:
    """git_commit, git_branch, git_remote of the work tree that `root` is in; {} outside of one."""
    try:
        git_dir = _git_dir(root)
        if git_dir is None:
            return {}
        common = _read(os.path.join(git_dir, "commondir"))
        common = os.path.normpath(os.path.join(git_dir, common.strip())) if common else git_dir
        head = (_read(os.path.join(git_dir, "HEAD")) or "").strip()
        branch = commit = None
        if head.startswith("ref: "):
            ref = head[5:].strip()
            if ref != "refs/heads/.invalid":  # the reftable format keeps its refs elsewhere
                branch = ref[len("refs/heads/") :] if ref.startswith("refs/heads/") else ref
                commit = _resolve(git_dir, common, ref)
        elif head:
            commit = head
        return {"git_commit": commit, "git_branch": branch, "git_remote": _remote(common, branch)}
    except Exception:  # code state is an extra: whatever is wrong with .git, the run is recorded
        return {}


def _git_dir(start: str) -> str | None:
    folder = os.path.abspath(start)
    while True:
        path = os.path.join(folder, ".git")
        if os.path.isdir(path):
            return path
        text = _read(path)
        if text and text.startswith("gitdir:"):  # a worktree or a submodule
            return os.path.normpath(os.path.join(folder, text[len("gitdir:") :].strip()))
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _resolve(git_dir: str, common: str, ref: str) -> str | None:
    for base in (git_dir, common):
        text = _read(os.path.join(base, *ref.split("/")))
        if text:
            return text.strip() or None
    for line in (_read(os.path.join(common, "packed-refs")) or "").splitlines():
        if line.endswith(" " + ref):
            return line.split(" ", 1)[0]
    return None


def _remote(common: str, branch: str | None) -> str | None:
    """The URL of the branch's remote, else of origin, else of the first; without credentials."""
    urls: dict = {}
    wanted = section = None
    for line in (_read(os.path.join(common, "config")) or "").splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section and "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            if section.startswith('remote "') and key == "url":
                urls.setdefault(section[len('remote "') : -1], value.strip('"'))
            elif branch is not None and section == f'branch "{branch}"' and key == "remote":
                wanted = value
    url = urls.get(wanted) or urls.get("origin") or next(iter(urls.values()), None)
    if url and "://" in url:
        scheme, rest = url.split("://", 1)
        host, slash, path = rest.partition("/")
        url = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return url


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return None
