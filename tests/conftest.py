"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from race_lab import Lab, wait_for


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A repo to race in. Whatever a test left running is ended, and the test fails for it."""
    made = Lab(tmp_path)
    yield made
    made.end_all()
    if (made.root / ".wtrace" / "wtrace.db").exists() and made.survivors():
        made.wtrace("stop", expect=None)
    wait_for(lambda: not made.survivors(), "the test to leave nothing running", timeout_s=5)
