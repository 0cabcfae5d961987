# SPDX-License-Identifier: Apache-2.0
"""Side files and profiles: what they say of a test, and how a slip in one is told."""

from __future__ import annotations

import pytest

pytest.importorskip("litmus._litmus")
from litmus import _litmus, _sidefile  # noqa: E402
from litmus.errors import ConfigError  # noqa: E402

SIDE = """limits:
  test_rail: {rail: {low: 1, high: 2}}
  TestA::test_rail: {rail: {low: 3}}
"""


@pytest.fixture
def test_file(tmp_path) -> str:
    (tmp_path / "test_x.yaml").write_text(SIDE)
    return str(tmp_path / "test_x.py")


def values(files, section, test_file, node_id):
    return [found.value for found in files.sections(section, test_file, node_id)]


def test_a_test_is_named_by_itself_and_with_its_class(test_file):
    files = _sidefile.SideFiles()
    assert values(files, "limits", test_file, "test_x.py::test_rail") == [{"rail": {"low": 1, "high": 2}}]
    assert values(files, "limits", test_file, "test_x.py::TestA::test_rail") == [{"rail": {"low": 1, "high": 2}}, {"rail": {"low": 3}}]
    assert values(files, "limits", test_file, "test_x.py::test_other") == []
    assert values(files, "limits", "test_without.py", "test_without.py::test_rail") == []


def test_a_profile_comes_last_and_may_name_the_file(test_file, tmp_path):
    (tmp_path / "litmus.yaml").write_text("profiles: {hot: {limits: {'a/test_x.py::test_rail': {rail: {high: 9}}, test_rail: {rail: {high: 8}}}}}\n")
    files = _sidefile.SideFiles([(_sidefile.Document(str(tmp_path / "litmus.yaml")), ("profiles", "hot"))])
    found = values(files, "limits", test_file, "a/test_x.py::test_rail")
    assert [one["rail"].get("high") for one in found] == [2, 8, 9]


def test_a_file_is_read_once(test_file, tmp_path):
    files = _sidefile.SideFiles()
    assert files.of(test_file) is not None
    (tmp_path / "test_x.yaml").unlink()
    assert files.of(test_file) is files.of(test_file)


@pytest.mark.parametrize(
    "text, words",
    [
        ("limts: {}\n", "line 1, column 1: no key `limts`; did you mean limits?"),
        ("limits: {}\nvector: {}\n", "line 2, column 1: no key `vector`; did you mean vectors?"),
        ("limits: 5\n", "line 1, column 1: `limits` must be a mapping, not 5"),
        ("limits: [\n", "line "),
        ("a: 1\n  b: 2\n", "line 2, column "),
    ],
)
def test_a_slip_names_line_column_and_the_nearest_name(tmp_path, text, words):
    (tmp_path / "test_x.yaml").write_text(text)
    files = _sidefile.SideFiles()
    for _ in range(2):  # the same error each time
        with pytest.raises(ConfigError) as caught:
            files.sections("limits", str(tmp_path / "test_x.py"), "test_x.py::test_rail")
        assert words in str(caught.value)
        assert str(caught.value).startswith(str(tmp_path / "test_x.yaml"))


def test_a_test_that_is_none_is_named(test_file):
    names = ["test_rails", "test_sweep", "TestA::test_rail"]
    with pytest.raises(ConfigError, match=r"line 2, column 3: test_x.py has no test `test_rail`; did you mean test_rails\?"):
        _sidefile.SideFiles().check_names(test_file, lambda name: (name in names, names))


def test_an_error_deep_inside_names_its_place(test_file):
    (section,) = _sidefile.SideFiles().sections("limits", test_file, "test_x.py::test_rail")
    assert "line 2, column 30: too high" in str(section.error("too high", "rail", "high", "deeper"))  # of the last that is there


def test_places_of_the_extension(tmp_path):
    (tmp_path / "a.yaml").write_text("a:\n  - {b: 1}\n")
    assert _litmus.yaml_locate(str(tmp_path / "a.yaml"), (b"a", b"0", b"b")) == (2, 6)
    assert _litmus.yaml_locate(str(tmp_path / "a.yaml"), ()) == (1, 1)
    with pytest.raises(TypeError):
        _litmus.yaml_locate(str(tmp_path / "a.yaml"), (b"a", 0))
    with pytest.raises(OSError):
        _litmus.yaml_locate(str(tmp_path / "none.yaml"), (b"a",))
