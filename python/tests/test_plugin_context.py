# SPDX-License-Identifier: Apache-2.0
"""The context of a run: options, variables, litmus.yaml, git, environment."""

from __future__ import annotations

import json
import os
import platform
import subprocess

import pytest

from litmus import _context, plugin

OPTIONS = [
    ("dut-serial", "dut_serial"),
    ("dut-part-number", "dut_part_number"),
    ("dut-revision", "dut_revision"),
    ("lot", "dut_lot_number"),
    ("operator", "operator_id"),
    ("station", "station_id"),
    ("phase", "test_phase"),
    ("project", "project_name"),
]


def test_options_and_variables(suite):
    suite.write({"test_a.py": "def test(): pass"})
    args = [f"--litmus-{name}=of {name}" for name, _ in OPTIONS]
    (event,) = suite.run(*args).of("run.started")
    assert {field: event[field] for _, field in OPTIONS} == {field: f"of {name}" for name, field in OPTIONS}
    assert suite.events()[0]["station_id"] == "of station"
    env = {"LITMUS_" + name.upper().replace("-", "_"): f"env {name}" for name, _ in OPTIONS}
    event = suite.run("--litmus-lot=option", env=env).of("run.started")[-1]
    want = {field: f"env {name}" for name, field in OPTIONS}
    assert {field: event[field] for _, field in OPTIONS} == {**want, "dut_lot_number": "option"}


def test_defaults(suite):
    suite.write({"test_a.py": "def test(): pass", "requirements.txt": "x==1\n"})
    record = suite.run()
    (event,) = record.of("run.started")
    environment = json.loads(event["environment_json"])
    assert environment["python_version"] == platform.python_version()
    assert environment["litmus_version"]
    assert len(environment["lockfile_hash"]) == 64
    assert event["client"] == "pytest"
    assert event["project_name"] == "suite"
    assert event["station_hostname"] == platform.node()
    assert event["pid"] > 0
    (session,) = record.of("session.started")
    assert (session["pid"], session["client"]) == (event["pid"], "pytest")


def test_data_dir_option(suite, tmp_path):
    if not suite.real:
        pytest.skip("needs the core")
    suite.write({"test_a.py": "def test(): pass"})
    suite.run("--litmus-data-dir", str(tmp_path / "other"))
    assert list((tmp_path / "other").glob("events/*/*.arrow"))
    assert list((tmp_path / "other").glob("runs/*/*.parquet"))
    assert not suite.data_dir.exists()


def test_settings_of_litmus_yaml(suite):
    if not suite.real:
        pytest.skip("needs the core")
    from litmus import _litmus

    if not hasattr(_litmus, "config"):
        pytest.skip("this core does not hand litmus.yaml over")
    suite.write({"test_a.py": "def test(): pass", "litmus.yaml": "data_dir: here\nstation_id: st-7\n"})
    suite.run(env={"LITMUS_DATA_DIR": ""})
    assert list((suite.path / "here").glob("events/*/*.arrow"))


def git(folder, *args):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for who in ("AUTHOR", "COMMITTER"):
        env.update({f"GIT_{who}_NAME": "a", f"GIT_{who}_EMAIL": "a@b"})
    return subprocess.run(["git", *args], cwd=folder, env=env, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    return folder


def test_git_plain(repository):
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "deep" / "er").mkdir(parents=True)
    for folder in (repository, repository / "deep" / "er"):
        assert _context.git_state(str(folder)) == {"git_commit": commit, "git_branch": "trunk", "git_remote": None}


def test_git_packed_detached_slashed(repository):
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "-b", "feature/x")
    git(repository, "pack-refs", "--all")
    assert _context.git_state(str(repository))["git_branch"] == "feature/x"
    assert _context.git_state(str(repository))["git_commit"] == commit
    git(repository, "checkout", "-q", "--detach")
    assert _context.git_state(str(repository)) == {"git_commit": commit, "git_branch": None, "git_remote": None}


def test_git_worktree(repository, tmp_path):
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    git(tmp_path / "side", "commit", "-q", "--allow-empty", "-m", "two")
    git(repository, "remote", "add", "origin", "git@example.org:x/y.git")
    assert _context.git_state(str(tmp_path / "side")) == {
        "git_commit": git(tmp_path / "side", "rev-parse", "HEAD"),
        "git_branch": "side",
        "git_remote": "git@example.org:x/y.git",
    }


def test_git_remote_without_credentials(repository):
    git(repository, "remote", "add", "up", "https://who:secret@example.org:8443/x/y.git")
    git(repository, "remote", "add", "down", "ssh://git@example.org/z")
    assert _context.git_state(str(repository))["git_remote"] == "https://example.org:8443/x/y.git"
    git(repository, "config", "branch.trunk.remote", "down")
    assert _context.git_state(str(repository))["git_remote"] == "ssh://example.org/z"


def test_git_unborn_broken_absent(repository, tmp_path):
    git(repository, "checkout", "-q", "--orphan", "empty")
    assert _context.git_state(str(repository))["git_commit"] is None
    (repository / ".git" / "HEAD").write_bytes(b"\xff\x00garbage")
    assert set(_context.git_state(str(repository))) <= {"git_commit", "git_branch", "git_remote"}
    (tmp_path / "plain").mkdir()
    assert _context.git_state(str(tmp_path / "plain")) == {} or os.path.exists("/tmp/.git")


@pytest.mark.parametrize("text, want", [(None, False), ("", False), ("0", False), ("no", False), ("False", False), ("1", True), ("yes", True)])
def test_truthy(text, want):
    assert plugin.truthy(text) is want
