"""Commits as GitPython reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from repo_lab import Lab, make_lab
from wtrace.git.commit import changed_between, subject

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def test_the_subject_and_what_differs(lab: Lab) -> None:
    old = lab.commit("a/same.py", "1\n")
    lab.commit("a/changed.py", "1\n")
    lab.commit("b.py", "1\n")
    first = lab.git("rev-parse", "HEAD")
    lab.commit("a/changed.py", "2\n")
    lab.git("mv", "b.py", "c.py")
    (lab.root / "a/same.py").chmod(0o755)
    lab.git("commit", "--quiet", "--all", "-m", "another <b>idea</b>\n\nwith more to say")
    last = lab.git("rev-parse", "HEAD")
    assert subject(lab.root, last) == "another <b>idea</b>"
    assert changed_between(lab.root, first, last) == ["a/changed.py", "a/same.py", "b.py", "c.py"]
    assert changed_between(lab.root, old, old) == []


def test_packed_objects_are_read(lab: Lab) -> None:
    first = lab.commit("a.py", "1\n")
    last = lab.commit("a.py", "2\n")
    lab.git("gc", "--quiet", "--prune=now")
    assert changed_between(lab.root, first, last) == ["a.py"]


def test_a_callers_git_dir_has_no_say(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lab.commit("a.py", "1\n")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert subject(lab.root, first) == "write a.py"


@pytest.mark.parametrize("commit", ["", "HEAD", "--output=x", "0" * 40, "f" * 64])
def test_what_cannot_be_read_is_none(lab: Lab, commit: str) -> None:
    assert subject(lab.root, commit) is None
    assert changed_between(lab.root, commit, lab.git("rev-parse", "HEAD")) is None
