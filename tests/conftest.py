"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_lab import Engines
from race_lab import Lab, wait_for


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Ray and Slurm, each started when a test asks for it; ended with the session."""
    with Engines(tmp_path_factory.mktemp("engines")) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A repo to race in. Whatever a test left running is ended, and the test fails for it."""
    made = Lab(tmp_path)
    yield made
    made.end_all()
    if (made.root / ".wtrace" / "wtrace.db").exists() and made.survivors():
        made.wtrace("stop", expect=None)
    wait_for(lambda: not made.survivors(), "the test to leave nothing running", timeout_s=5)
