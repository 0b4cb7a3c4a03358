"""What machines far away answer to a question: whatever it is, it is understood or told, and raises nothing else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wtrace.mirror.diagnose import _about
from wtrace.mirror.errors import SyncError, trouble
from wtrace.mirror.process import Done
from wtrace.mirror.pull import RACE_ID, _found
from wtrace.mirror.rsync import _differing, parse_version
from wtrace.mirror.target import Target
from wtrace.runners.ray.client import job_info
from wtrace.text import plain

TARGET = Target("mac", "mac", "wtrace/lab")
LONG = "9" * 5000  # more digits than Python makes a number of
pieces = st.one_of(
    st.text(max_size=20),
    st.sampled_from([
        "now=", "folder=/", "rsync=", "df=", "writable=yes", "system=Darwin", "\n", " ", "1700000000", "²³", "٣", LONG, "/",
        "rsync  version ", "3.2.7", "openrsync", "protocol version 29", "Number of files transferred: ", ",", "\x1b[2J", "..",
        "20260101-000000-lab", "/dev/disk1 1000 ", "Permission denied (publickey)", "Connection refused",
    ]),
)  # fmt: skip
answers = st.lists(pieces, max_size=12).map("".join)


@given(answers)
def test_where_a_race_lies(said: str) -> None:
    with contextlib.suppress(SyncError):
        found = _found(Done(0, said, ""), 1.7e9)
        assert RACE_ID.fullmatch(found.race_id)
        assert plain(found.folder) == found.folder or "\x1b" not in found.folder


@given(answers)
@example("now=²³\n")
@example(f"now=1700000000\ndf=disk 1 2 {LONG} 4\n")
def test_what_a_machine_is(said: str) -> None:
    for answer in _about(TARGET, said, 1.7e9):
        assert answer.state in ("ok", "warning", "problem")
        assert "\x1b" not in answer.text


@given(answers)
@example(f"rsync  version {LONG}")
@example(f"Number of files transferred: {LONG}")
def test_which_rsync_it_has_and_what_it_counts(said: str) -> None:
    parse_version(said)
    with contextlib.suppress(SyncError):
        assert _differing(Done(0, said, "")) >= 0


@given(answers)
def test_what_is_in_the_way(said: str) -> None:
    error = trouble("mac", said)
    assert "\x1b" not in f"{error.what}{error.seen}{error.hint}"


@given(st.one_of(st.binary(max_size=200), answers.map(lambda said: said.encode("utf-8", "replace"))))
def test_what_ray_says_of_a_job(said: bytes) -> None:
    found = job_info(said)
    assert found is None or isinstance(found["status"], str)


@pytest.mark.parametrize("said", [b"[]", b"{}", b'{"status": 3}', b"null", b"[" * 100_000, b"\xff"])
def test_an_answer_of_rays_that_is_none(said: bytes) -> None:
    assert job_info(said) is None
    assert job_info(b'{"status": "RUNNING", "more": 1}') == {"status": "RUNNING", "more": 1}
