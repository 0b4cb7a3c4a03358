"""Fixtures of the chaos tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos_lab import FIGURES, ChaosLab
from race_lab import wait_for


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[ChaosLab]:
    """A lab for chaos. Whatever a test left running is ended, and the test fails for it."""
    made = ChaosLab(tmp_path)
    yield made
    for gate in ("claim", "detach"):  # where a patched guardian waits, also when its test failed before
        made.open_gate(gate)
    made.end_all()
    if (made.root / ".wtrace" / "wtrace.db").exists() and made.survivors():
        made.wtrace("stop", expect=None)
    wait_for(lambda: not made.survivors(), "the test to leave nothing running", timeout_s=5)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the figures that were measured."""
    if FIGURES:
        terminalreporter.section("figures")
        for figure in FIGURES:
            terminalreporter.write_line(figure)
