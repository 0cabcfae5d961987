# SPDX-License-Identifier: Apache-2.0
"""What is known when a run starts: what was set for it, code state, host.

Nothing heavy is imported; a fact that cannot be had is None.
"""

from __future__ import annotations

import os
import sys

from litmus.plugin import load

SESSION_FIELDS = (
    "station_id", "station_name", "station_type", "station_location", "station_hostname", "pid", "client",
    "operator_id", "operator_name", "fixture_id",
)  # fmt: skip

LOCKFILES = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "requirements.lock", "requirements.txt")


def run_payload(config, settings, dirty: bool | None = None) -> dict:
    """The fields of run.started.

    Parameters: config (pytest's), settings (_settings.Settings), dirty (whether tracked files differ from the commit; None: not known).
    """
    root = str(config.rootpath)
    payload: dict = {"pid": os.getpid(), "client": "pytest", **settings.facts()}
    slot = load("slots").current() if os.environ.get("LITMUS_SLOT_ID") else None
    if slot is not None:
        payload["slot_id"], payload["slot_index"] = slot
    part = getattr(config, "_litmus_part", None)
    for field, value in (part.facts() if part is not None else {}).items():
        payload.setdefault(field, value)
    payload.setdefault("project_name", os.path.basename(root.rstrip(os.sep)) or None)
    payload.setdefault("station_hostname", hostname())
    payload.update(git_state(root))
    payload["git_dirty"] = dirty if payload.get("git_commit") else None
    payload["profile"] = settings.profile
    payload["custom_metadata"] = settings.custom()
    payload["environment_json"] = environment_json(root)
    asked = payload.get("test_phase")
    if isinstance(asked, str) and asked.strip(" ").lower() == "production" and unfit(payload["git_dirty"], getattr(config, "_litmus_bench", None)) is not None:
        payload.update(test_phase="development", test_phase_asked=asked)
    return payload


def unfit(dirty: bool | None, bench) -> str | None:
    """Why a run cannot be of the phase production, None when it can. The fold has the last word: a mock may come later."""
    if dirty:
        return "tracked files differ from the commit"
    mocked = [role for role, spec in bench.specs.items() if spec.get("mock")] if bench is not None else []
    return f"{', '.join(mocked)} {'is a mock' if len(mocked) == 1 else 'are mocks'}" if mocked else None


def phase_remark(payload: dict, bench) -> str | None:
    """What is said of a run that did not get the phase it asked for; None when it did."""
    asked = payload.get("test_phase_asked")
    return f"phase {payload['test_phase']}, not {asked}: {unfit(payload['git_dirty'], bench)}" if asked else None


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
            "packages_hash": packages_hash(),
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


def packages_hash() -> str:
    """SHA-256 over the sorted names and versions of what is installed on sys.path, as the folders of their metadata have them."""
    import hashlib

    found = set()
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        found.update(name.rsplit(".", 1)[0] for name in names if name.endswith((".dist-info", ".egg-info")))
    return hashlib.sha256("\n".join(sorted(found)).encode("utf-8", "backslashreplace")).hexdigest()


class DirtyMark:
    """Whether tracked files differ from the commit: git is asked while pytest collects."""

    def __init__(self, root: str):
        """Starts `git status` if `root` is in a work tree and there is a git; it takes no locks."""
        self._process = None
        if _git_dir(root) is None:
            return
        import subprocess

        command = ["git", "--no-optional-locks", "-C", root, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=none"]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, close_fds=True)
        except OSError:
            pass

    def get(self, seconds: float = 5.0) -> bool | None:
        """The mark; None when git is not there, fails, or has not answered after that long."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            out, _ = process.communicate(timeout=seconds)
            return bool(out) if process.returncode == 0 else None
        except Exception:
            process.kill()
            process.communicate()
            return None


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
