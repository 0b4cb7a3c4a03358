"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from dashboard_browser import Browser, chromium
from engine_lab import Engines
from race_lab import Lab, wait_for
from wtrace.git import command

# The same examples in each run: what a change breaks is seen, and nothing else. The long form draws new ones.
settings.register_profile("same examples", derandomize=True)
settings.load_profile("default" if os.environ.get("CHAOS_LONG") else "same examples")


@pytest.fixture(autouse=True)
def _approved(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test asks of the rooms it asks after the user has approved; commands are processes of their own."""
    monkeypatch.setattr(command, "_may_act", True)


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Ray and Slurm, each started when a test asks for it; ended with the session."""
    with Engines(tmp_path_factory.mktemp("engines")) as made:
        yield made


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, started once; the tests that need it are skipped where it is missing."""
    program = chromium()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing, which must be there on CI")
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    made = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A repo to race in. Whatever a test left running is ended, and the test fails for it."""
    made = Lab(tmp_path)
    yield made
    made.end_all()
    if (made.root / ".wtrace" / "wtrace.db").exists() and made.survivors():
        made.wtrace("stop", expect=None)
    wait_for(lambda: not made.survivors(), "the test to leave nothing running", timeout_s=5)
