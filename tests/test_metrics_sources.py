"""The readers of logs, CSV and event files and trainers' states, on real files; and where files may be found."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_samples import event, event_file, field, framed, varint
from wtrace.config.spec import MetricsSpec
from wtrace.files import masked_crc
from wtrace.metrics.foreign import source_files
from wtrace.metrics.foreign.base import Anew, OwnLine, Problem, Reader
from wtrace.metrics.foreign.check_builder import Plan
from wtrace.metrics.foreign.csv_file import CsvFile
from wtrace.metrics.foreign.event_file import EventFile
from wtrace.metrics.foreign.log_lines import MOST_BROKEN_OFF, CpuLimit, LogLines, TookTooLongError
from wtrace.metrics.foreign.protobuf import scalars
from wtrace.metrics.foreign.rows import Reading
from wtrace.metrics.foreign.source_files import Where, look
from wtrace.metrics.foreign.trainer_state import TrainerState
from wtrace.metrics.foreign.translation import Translation

PATTERN = r"epoch (?P<epoch>\d+) loss (?P<loss>\S+)"


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def all_of(reader: Reader) -> list[Reading | OwnLine | Problem]:
    found: list[Reading | OwnLine | Problem] = []
    more = True
    while more:
        items, more = reader.read()
        found += [item for item in items if not isinstance(item, Anew)]
    return found


def values(items: Iterable[object]) -> list[tuple[float | None, dict[str, float]]]:
    return [(item.epoch, dict(item.values)) for item in items if isinstance(item, Reading)]


def problems(items: Iterable[object]) -> list[str]:
    return [item.text for item in items if isinstance(item, Problem)]


class TestLogs:
    def test_lines_are_found_among_others_as_they_come(self, tmp_path: Path) -> None:
        log = tmp_path / "training.log"
        reader = LogLines(log, "epoch", pattern=PATTERN)
        assert all_of(reader) == []
        append(log, "loading data\nepoch 1 loss 0.5\nepoch 2 lo")
        assert values(all_of(reader)) == [(1, {"loss": 0.5})]
        append(log, "ss 0.4\n")
        assert values(all_of(reader)) == [(2, {"loss": 0.4})]
        append(log, "epoch 3 loss 0.3")
        assert all_of(reader) == []
        assert values(reader.finish(whole=True)) == [(3, {"loss": 0.3})]

    def test_metrics_may_stand_on_lines_after_their_epochs(self, tmp_path: Path) -> None:
        """As Keras prints them, and the tutorials of PyTorch."""
        log = tmp_path / "training.log"
        append(
            log,
            "loss: 9\nEpoch 1/3\n2/2 - 0s - loss: 2.7 - val_loss: 2.5\nEpoch 2/3\n2/2 - 0s - loss: 2.6 - val_loss: 2.3\n",
        )
        pattern = r"Epoch (?P<epoch>\d+)/|loss: (?P<loss>\S+)( - val_loss: (?P<val_loss>\S+))?"
        assert values(all_of(LogLines(log, "epoch", pattern=pattern))) == [
            (None, {"loss": 9}), (1, {}), (None, {"loss": 2.7, "val_loss": 2.5}), (2, {}), (None, {"loss": 2.6, "val_loss": 2.3}),
        ]  # fmt: skip

    def test_progress_bars_and_colours_hide_nothing(self, tmp_path: Path) -> None:
        """A progress bar of hours is one line to `\\n`; what is printed after it must be found."""
        log = tmp_path / "training.log"
        append(log, "\r 10%|#   |" * 200_000 + "\r\x1b[32mepoch 1 \x1b[1mloss 0.5\x1b[0m\n")
        assert values(all_of(LogLines(log, "epoch", pattern=PATTERN))) == [(1, {"loss": 0.5})]

    def test_an_epoch_that_is_none_is_told(self, tmp_path: Path) -> None:
        log = tmp_path / "training.log"
        append(log, "epoch one loss 0.5\n")
        assert problems(
            all_of(LogLines(log, "epoch", pattern=r"epoch (?P<epoch>\S+) loss (?P<loss>\S+)"))
        ) == ["training.log: its epoch is no epoch: 'one'"]

    def test_json_is_told_from_own_lines_and_from_everything_else(self, tmp_path: Path) -> None:
        log = tmp_path / "training.log"
        own = b'{"event": "check", "epoch": 5, "samples": {"x": [1]}}'
        append(log, b'{"epoch": 4, "loss": 0.5}\n' + own + b'\n{"event": "saved", "epoch": 5, "loss": 0.4}\n')
        append(
            log,
            '{"epoch"\n[1]\n{}\n'
            + "{" * 2000
            + "\n"
            + '{"loss": 3}\n{"epoch": 6, "loss": '
            + "9" * 5000
            + "}\n",
        )
        items = all_of(LogLines(log, "epoch"))
        assert values(items) == [(4, {"loss": 0.5}), (5, {"loss": 0.4}), (None, {"loss": 3})]
        assert [item.raw for item in items if isinstance(item, OwnLine)] == [own]

    def test_a_pattern_without_end_is_broken_off_and_then_given_up(self, tmp_path: Path) -> None:
        log = tmp_path / "training.log"
        append(log, f"{'a' * 60}!\n" * (MOST_BROKEN_OFF + 1) + "aa epoch 1 loss 0.5\n")
        reader = LogLines(log, "epoch", pattern=r"(?P<epoch>(a+)+)$(?P<x>)")
        before = time.process_time()
        found = problems(all_of(reader))
        assert time.process_time() - before < 10
        assert found[0] == "its pattern took longer than 50 ms on one line, which is left out: simplify it"
        assert found[-1] == f"its pattern took too long on {MOST_BROKEN_OFF} lines and is not used any more"
        assert len(found) == MOST_BROKEN_OFF

    def test_the_limit_is_for_its_block_only(self) -> None:
        with pytest.raises(TookTooLongError), CpuLimit(0.01):
            while True:
                pass
        with CpuLimit(0.01):
            pass
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass


class TestCsv:
    def test_rows_as_they_come_and_an_end_without_newline(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.csv"
        reader = CsvFile(path, "epoch")
        append(path, "epoch,val loss,note\r\n1,0.5,a")
        assert all_of(reader) == []
        append(path, "\r\n2,,\r\n3,0.3,")
        assert values(all_of(reader)) == [(1, {"val loss": 0.5}), (2, {})]
        assert values(reader.finish(whole=True)) == [(3, {"val loss": 0.3})]

    def test_a_logger_that_rewrites_its_file_for_a_new_column(self, tmp_path: Path) -> None:
        """As Lightning's CSVLogger does: read with csv, opened with "w", all written again, then appended to."""
        path = tmp_path / "metrics.csv"
        reader = CsvFile(path, "epoch")
        append(path, "epoch,step,train_loss\n0,9,0.5\n")
        found = values(all_of(reader))
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        with path.open("w", newline="") as file:
            writer: csv.DictWriter[str] = csv.DictWriter(file, ["epoch", "step", "train_loss", "val_loss"])
            writer.writeheader()
            writer.writerows(rows)
            writer.writerow({"epoch": 0, "step": 9, "val_loss": 0.4})
        found += values(all_of(reader))
        twice = [(0, {"train_loss": 0.5})] * 2  # the translator tells each metric once
        assert found == [*twice, (0, {"val_loss": 0.4})]

    def test_what_is_amiss_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.csv"
        append(path, "step,loss\n1,0.5\n")
        assert problems(all_of(CsvFile(path, "epoch"))) == [
            "metrics.csv: no column `epoch`; its columns: step, loss: set epoch_key to one of them"
        ]
        path.write_text("epoch,loss\n1,0.5,9\nx,1\n2,0.1\n")
        items = all_of(CsvFile(path, "epoch"))
        assert values(items) == [(2, {"loss": 0.1})]
        assert problems(items) == [
            "metrics.csv: a row of 3 cells under a header of 2",
            "metrics.csv: its epoch is no epoch: 'x'",
        ]

    def test_of_a_file_that_was_there_only_what_is_new_counts(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.csv"
        append(path, "epoch;loss\n1;0,5\n2;0.4\nto")
        skip = path.stat().st_size
        reader = CsvFile(path, "epoch", skip=skip)
        append(path, "rn\n3;0.3\n")
        assert values(all_of(reader)) == [(3, {"loss": 0.3})]


class TestEventFiles:
    def test_scalars_as_they_are_written_byte_by_byte(self, tmp_path: Path) -> None:
        path = tmp_path / "events.out.tfevents.1"
        data = event_file([(1, {"val/loss": 0.5, "lr": 0.25}), (2, {"val/loss": 0.125})])
        reader, found = EventFile(path, None), []
        for byte in data:
            append(path, bytes([byte]))
            found += all_of(reader)
        assert values(found) == [(1, {"val/loss": 0.5, "lr": 0.25}), (2, {"val/loss": 0.125})]
        assert all(item.settled for item in found if isinstance(item, Reading))

    def test_a_tag_may_tell_the_epoch(self, tmp_path: Path) -> None:
        path = tmp_path / "events"
        path.write_bytes(event_file([(99, {"loss": 0.5}), (99, {"epoch": 3}), (100, {"loss": 0.25})]))
        assert all_of(EventFile(path, "epoch")) == [Reading(3, {"loss": 0.5}, settled=False, steps=True)]

    def test_a_tensor_with_one_number_is_a_scalar_and_others_are_not(self) -> None:
        one = field(8, b"\x08\x01" + field(4, struct.pack("<f", 0.5)))
        double = field(8, b"\x08\x02" + field(6, struct.pack("<d", 0.25)))
        many = field(8, b"\x08\x01" + field(4, struct.pack("<ff", 1, 2)))
        text = field(8, b"\x08\x07" + field(8, b"hello"))
        tagged = [
            field(1, field(1, name) + value)
            for name, value in zip((b"a", b"b", b"c", b"d"), (one, double, many, text), strict=True)
        ]
        assert scalars(b"\x10" + varint(7) + field(5, b"".join(tagged))) == (7, {"a": 0.5, "b": 0.25})

    def test_large_events_are_passed_over(self, tmp_path: Path) -> None:
        path = tmp_path / "events"
        image = framed(b"\x10\x01" + field(5, field(1, field(1, b"image") + field(4, bytes(3_000_000)))))
        path.write_bytes(image[:2_000_000])
        reader = EventFile(path, None)
        assert all_of(reader) == []
        append(path, image[2_000_000:] + framed(event(2, {"loss": 0.5})))
        assert values(all_of(reader)) == [(2, {"loss": 0.5})]

    @pytest.mark.parametrize("at", [0, 9, 14, 40])
    def test_a_damaged_file_is_told_and_read_no_further(self, tmp_path: Path, at: int) -> None:
        path = tmp_path / "events"
        data = bytearray(event_file([(1, {"loss": 0.5})]))
        data[at] ^= 0xFF
        path.write_bytes(data)
        reader = EventFile(path, None)
        assert len(problems(all_of(reader))) == 1
        assert all_of(reader) == []

    def test_the_checksum_is_crc32c(self) -> None:
        crc = 0xE306_9283  # of "123456789" (RFC 3720, B.4, and the catalogue of CRCs)
        assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282_EAD8) & 0xFFFF_FFFF

    @pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="tensorboard is not installed")
    def test_what_torch_writes_is_read(self, tmp_path: Path) -> None:
        tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="torch is not installed")
        with tensorboard.SummaryWriter(tmp_path) as writer:
            for epoch in (1, 2):
                writer.add_scalar("val/loss", 0.5 / epoch, epoch)
                writer.add_scalar("new", 0.25, epoch, new_style=True, double_precision=True)
        [path] = tmp_path.iterdir()
        found = values(all_of(EventFile(path, None)))
        assert found == [
            (1, {"val/loss": 0.5}),
            (1, {"new": 0.25}),
            (2, {"val/loss": 0.25}),
            (2, {"new": 0.25}),
        ]


class TestTrainerStates:
    def test_a_state_is_read_when_it_is_whole_and_again_when_it_has_changed(self, tmp_path: Path) -> None:
        path = tmp_path / "trainer_state.json"
        reader = TrainerState(path, "epoch")
        entries = [{"epoch": 0.5, "loss": 0.9, "step": 5}, {"epoch": 1.0, "eval_loss": 0.8, "step": 10}]
        text = json.dumps({"epoch": 1.0, "log_history": entries})
        path.write_text(text[:50])
        assert all_of(reader) == []
        assert problems(reader.finish(whole=True))
        path.write_text(text)
        assert all_of(reader) == [
            Reading(0.5, {"loss": 0.9}, settled=False, steps=True),
            Reading(1.0, {"eval_loss": 0.8}, settled=True, steps=True),
        ]
        assert all_of(reader) == [] and reader.finish(whole=True) == []

    def test_a_state_that_was_there_before_is_read_only_once_it_changes(self, tmp_path: Path) -> None:
        path = tmp_path / "trainer_state.json"
        path.write_text('{"log_history": [{"epoch": 1, "loss": 1}]}')
        reader = TrainerState(path, "epoch", skip=path.stat().st_size)
        assert all_of(reader) == []
        path.write_text('{"log_history": [{"epoch": 1, "loss": 1}, {"epoch": 2, "loss": 2}]}')
        assert len(values(all_of(reader))) == 2

    @pytest.mark.parametrize(
        "text", ["[]", "{}", '{"log_history": 3}', "[" * 5000, '{"log_history": [3, {"epoch": []}]}']
    )
    def test_what_is_no_state_does_no_harm(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "trainer_state.json"
        path.write_text(text)
        reader = TrainerState(path, "epoch")
        assert values(all_of(reader)) == []


class TestPlaces:
    def test_files_are_found_by_globs_in_the_order_of_their_numbers(self, tmp_path: Path) -> None:
        for name in (
            "v_10/m.csv",
            "v_2/m.csv",
            "v_2/other.txt",
            "deep/er/v_1/m.csv",
            ".hidden/v_1/m.csv",
            "m.csv",
        ):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        assert names(tmp_path, "v_*", "m.csv") == ["v_2/m.csv", "v_10/m.csv"]
        assert names(tmp_path, "**", "m.csv") == ["deep/er/v_1/m.csv", "m.csv", "v_2/m.csv", "v_10/m.csv"]
        assert names(tmp_path, "**", "v_1", "*.csv") == ["deep/er/v_1/m.csv"]
        found = look(Where(tmp_path, ("v_*", "m.csv")))
        assert set(found.folders) == {tmp_path, tmp_path / "v_2", tmp_path / "v_10"}
        assert look(Where(tmp_path / "not there", ("m.csv",))) == source_files.Found((), ())

    def test_no_link_is_followed_and_only_files_are_taken(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "m.csv").write_text("epoch,loss\n1,0\n")
        inside = tmp_path / "inside"
        inside.mkdir()
        (inside / "folder").symlink_to(outside)
        (inside / "m.csv").symlink_to(outside / "m.csv")
        (inside / "n.csv").mkdir()
        os.mkfifo(inside / "o.csv")
        assert (
            names(inside, "**", "*.csv") == names(inside, "folder", "m.csv") == names(inside, "*.csv") == []
        )

    def test_a_file_that_becomes_a_link_later_is_not_followed_either(self, tmp_path: Path) -> None:
        made: list[tuple[Callable[[Path], Reader], bytes]] = [
            (lambda path: CsvFile(path, "epoch"), b"epoch,loss\n1,0\n"),
            (lambda path: LogLines(path, "epoch"), b'{"epoch": 1, "loss": 0}\n'),
            (lambda path: EventFile(path, None), event_file([(1, {"loss": 0})])),
            (lambda path: TrainerState(path, "epoch"), b'{"log_history": [{"epoch": 1, "loss": 0}]}'),
        ]
        secret, link = tmp_path / "secret", tmp_path / "link"
        link.symlink_to(secret)
        for make, content in made:
            secret.write_bytes(content)
            assert values(all_of(make(secret))) == [(1, {"loss": 0})]
            reader = make(link)
            assert values(all_of(reader)) == []
            reader.finish(whole=True)

    def test_too_many_folders_end_the_search(self, tmp_path: Path) -> None:
        for n in range(source_files.MOST_FOLDERS + 10):
            (tmp_path / str(n)).mkdir()
        assert look(Where(tmp_path, ("**", "m.csv"))).too_many

    def test_what_was_there_before_is_known_by_its_content(self, tmp_path: Path) -> None:
        path = tmp_path / "m.csv"
        path.write_text("epoch,loss\n1,0.5\n")
        known = source_files.leftovers(Where(tmp_path, ("*.csv",)))
        assert source_files.not_ours(path, known) == 17
        append(path, "2,0.4\n")
        assert source_files.not_ours(path, known) == 17
        path.write_text("epoch,loss\n1,0.6\n")
        assert source_files.not_ours(path, known) == 0
        assert source_files.not_ours(tmp_path / "new.csv", known) == 0

    @pytest.mark.parametrize("how", ["in place", "by another file"])
    def test_the_same_bytes_written_again_are_new(self, tmp_path: Path, how: str) -> None:
        path = tmp_path / "m.csv"
        path.write_text("epoch,loss\n1,0.5\n")
        known = source_files.leftovers(Where(tmp_path, ("*.csv",)))
        assert source_files.not_ours(path, known) == 17
        written = path.stat().st_mtime_ns
        while (
            path.stat().st_mtime_ns == written
        ):  # the clock of a file system may stand still for some milliseconds
            if how == "in place":
                path.write_text("epoch,loss\n1,0.5\n")
            else:
                (tmp_path / "new").write_text("epoch,loss\n1,0.5\n")
                (tmp_path / "new").replace(path)
        assert source_files.not_ours(path, known) == 0

    def test_what_an_earlier_version_wrote_down_is_understood(self, tmp_path: Path) -> None:
        path = tmp_path / "m.csv"
        path.write_text("epoch,loss\n1,0.5\n")
        [(name, leftover)] = source_files.leftovers(Where(tmp_path, ("*.csv",))).items()
        assert source_files.not_ours(path, {name: source_files.Leftover(*leftover[:2])}) == 17


@given(
    st.binary(max_size=300)
    | st.text('epoch,;\t\n\r"1.\ud7ff\x00\x1b', max_size=100).map(str.encode)
    | st.binary(max_size=200).map(lambda payload: framed(payload) + event_file([(1, {"loss": 0})]))
    | st.binary(max_size=100).map(lambda inner: framed(field(5, field(1, inner))))
)
@settings(max_examples=300)
def test_no_bytes_do_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("source") / "file"
    path.write_bytes(data)
    readers: list[Reader] = [
        LogLines(path, "epoch"),
        LogLines(path, "epoch", pattern=r"(?P<epoch>\d)?(?P<loss>.*)"),
        CsvFile(path, "epoch"),
        CsvFile(path, "epoch", skip=len(data) // 2),
        EventFile(path, None),
        EventFile(path, "epoch"),
        TrainerState(path, "epoch"),
    ]
    for reader in readers:
        for item in (*all_of(reader), *reader.finish(whole=True)):
            assert isinstance(item, Reading | OwnLine | Problem | Anew)
        reader.close()


def names(folder: Path, *parts: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in look(Where(folder, parts)).files]


class TestTranslation:
    def translation(self, folder: Path, spec: MetricsSpec, where: Where | None = None) -> Translation:
        plan = Plan(2, 4, frozenset({"loss"}))
        metrics = folder / "metrics.jsonl"
        metrics.touch()
        return Translation(
            spec, plan, metrics=metrics, log=folder / "training.log", where=where, leftovers={}
        )

    def test_own_lines_in_a_log_are_passed_on_once_whoever_reads_them(self, tmp_path: Path) -> None:
        line = '{"event": "check", "epoch": 2, "metrics": {"loss": 0.5}, "samples": {"x": [1]}}'
        append(tmp_path / "training.log", f"{line}\nhello\n{line}\n")
        for _ in range(2):
            translation = self.translation(tmp_path, MetricsSpec("stdout"))
            assert not translation.pump(ended=True)
            translation.close()
        assert (tmp_path / "metrics.jsonl").read_text() == f"{line}\n{line}\n"

    def test_what_was_torn_stays_a_line_of_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "metrics.jsonl").write_text('{"event": "epoch", "epo')
        append(tmp_path / "training.log", "epoch 2 loss 0.5\n")
        self.translation(tmp_path, MetricsSpec("stdout", PATTERN)).pump(ended=False)
        lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
        assert lines[0] == '{"event": "epoch", "epo' and json.loads(lines[1])["event"] == "check"

    @pytest.mark.parametrize("shortened_first", [False, True])
    def test_a_file_that_lay_there_and_is_written_anew_is_read_by_whoever_takes_over(
        self, tmp_path: Path, shortened_first: bool
    ) -> None:
        """The same bytes, written after the file was found, while nobody looked; then a row that makes it longer."""
        path, metrics = tmp_path / "m.csv", tmp_path / "metrics.jsonl"
        metrics.touch()
        rows = "loss,acc\n0.9,1\n0.8,1\n"  # counted: another beginning would be another number
        path.write_text(rows)
        where = Where(tmp_path, ("*.csv",))
        left = dict(source_files.leftovers(where))

        def note(now: Mapping[str, source_files.Leftover]) -> None:
            left.clear()
            left.update(now)

        def translation() -> Translation:
            plan = Plan(1, 4, frozenset({"loss"}))
            return Translation(
                MetricsSpec("csv"), plan, metrics=metrics, log=tmp_path / "log", where=where, leftovers=dict(left), note_leftovers=note,
            )  # fmt: skip

        def epochs() -> list[int]:
            return [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()]

        first = translation()
        first.pump(ended=False)
        assert epochs() == []
        if shortened_first:
            path.write_text("")
            first.pump(ended=False)
        written = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns == written:
            path.write_text(rows)
        first.pump(ended=False)
        assert epochs() == [1, 2]
        first.close()
        append(path, "0.1,1\n")
        translation().pump(ended=True)
        assert epochs() == [1, 2, 3]

    def test_what_is_appended_to_a_file_that_lay_there_is_all_that_is_read(self, tmp_path: Path) -> None:
        path, metrics = tmp_path / "m.csv", tmp_path / "metrics.jsonl"
        metrics.touch()
        path.write_text("epoch,loss\n1,0.9\n")
        where = Where(tmp_path, ("*.csv",))
        plan = Plan(1, 4, frozenset({"loss"}))
        translation = Translation(
            MetricsSpec("csv"), plan, metrics=metrics, log=tmp_path / "log", where=where, leftovers=source_files.leftovers(where)
        )  # fmt: skip
        translation.pump(ended=False)
        append(path, "2,0.8\n")
        translation.pump(ended=False)
        append(path, "3,0.7\n")
        translation.pump(ended=True)
        assert [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()] == [2, 3]

    def test_what_the_disk_does_not_take_waits(self, tmp_path: Path) -> None:
        append(tmp_path / "training.log", "epoch 2 loss 0.5\n")
        translation = self.translation(tmp_path, MetricsSpec("stdout", PATTERN))
        metrics = tmp_path / "metrics.jsonl"
        metrics.unlink()
        translation.pump(ended=False)
        waits = translation.hindered
        metrics.touch()
        append(tmp_path / "training.log", "epoch 4 loss 0.4\n")
        translation.pump(ended=True)
        assert (waits, translation.hindered) == (True, False)
        assert [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()] == [2, 4]

    def test_files_and_the_folders_where_more_may_come_are_to_be_watched(self, tmp_path: Path) -> None:
        output = tmp_path / "output"
        output.mkdir()
        translation = self.translation(tmp_path, MetricsSpec("csv"), Where(output, ("**", "metrics.csv")))
        translation.pump(ended=False)
        assert not translation.watched.files and translation.watched.folders == {output}
        (output / "v").mkdir()
        (output / "v" / "metrics.csv").write_text("epoch,loss\n2,0.5\n")
        translation.pump(ended=False)
        assert translation.watched.files == {output / "v" / "metrics.csv"}
        assert translation.watched.folders == {output, output / "v"}
        assert json.loads((tmp_path / "metrics.jsonl").read_text())["event"] == "check"
