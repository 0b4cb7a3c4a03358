"""Every example on the page about the worker protocol is tried."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import wtrace
from wtrace.metrics.records import (
    MAX_CHECKPOINT_BYTES,
    MAX_LINE_BYTES,
    BadLine,
    Check,
    End,
    Epoch,
    Other,
    Start,
    decode,
)

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "worker-protocol.md").read_text("utf-8")
USABLE = [line for block in re.findall(r"```json\n(.*?)```", PAGE, re.S) for line in block.splitlines()]
UNUSABLE = re.findall(r"^\| `(.*)` \| (.*) \|$", PAGE.partition("## Lines that cannot be used")[2], re.M)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_page_has_examples_of_everything() -> None:
    assert {type(decode(line.encode())) for line in USABLE} == {Start, Epoch, Check, End, Other}
    assert len(UNUSABLE) == 14
    assert f"{MAX_LINE_BYTES:,} bytes" in PAGE and f"{MAX_CHECKPOINT_BYTES:,} bytes" in PAGE


@pytest.mark.parametrize("line", USABLE)
def test_an_example_is_usable(line: str) -> None:
    assert not isinstance(decode(line.encode()), BadLine)


@pytest.mark.parametrize(("line", "reason"), UNUSABLE)
def test_an_example_is_unusable_for_the_reason_given(line: str, reason: str) -> None:
    record = decode(line.encode())
    assert isinstance(record, BadLine) and record.reason.startswith(reason)


def test_the_programs_write_usable_lines(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    env = {"WTRACE_METRICS": str(metrics), "PYTHONPATH": str(Path(wtrace.__file__).parent.parent)}
    (shell,), (python,) = blocks("sh"), blocks("python")
    for command in (["/bin/sh", "-c", shell], [sys.executable, "-c", python]):
        subprocess.run(command, env=env, check=True, timeout=30)
    written = [decode(line) for line in metrics.read_bytes().splitlines()]
    assert [type(record) for record in written] == [Epoch, Start, Epoch, Epoch, Check, End]
