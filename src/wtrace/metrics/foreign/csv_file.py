"""A CSV file with a header, a row now and then; also where a logger rewrites it because it has new columns."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from wtrace.config import names
from wtrace.metrics.follower import MetricsFile
from wtrace.metrics.foreign import rows
from wtrace.metrics.foreign.base import Anew, Problem, as_text, beginning_at, decoded, encoding_of
from wtrace.metrics.foreign.source_files import open_if_regular
from wtrace.metrics.foreign.witness import Witness
from wtrace.metrics.records import BadLine

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.metrics.follower import Line
    from wtrace.metrics.foreign.base import Item
    from wtrace.metrics.foreign.rows import Reading


AT_ONCE_BYTES = 64 * 1024


class CsvFile:
    """Follows one CSV file. Cells are numbers; a line is a row, so a quoted cell cannot hold a newline."""

    def __init__(
        self,
        path: Path,
        epoch_key: str,
        *,
        must_name: bool = True,
        skip: int = 0,
        witness: Witness | None = None,
    ) -> None:
        """`must_name`: a file without a column for the epoch is not read; else its rows may be counted.

        `skip`: bytes at the beginning that are not to be read, but for the header. `witness`: who sees each row.
        """
        self._witness = witness or Witness()
        self._path = path
        self._key = epoch_key
        self._must_name = must_name
        self._encoding = "utf-8"
        self._header: tuple[str, ...] | None = None
        self._delimiter = ","
        if skip and (first := _first_line(path)):
            self._take_header(first)
        self._file = MetricsFile(path, beginning_at(path, skip), read_as=as_text)

    def read(self) -> tuple[list[Item], bool]:
        """See `Reader.read`."""
        batch = self._file.read(AT_ONCE_BYTES)
        found: list[Item] = []
        if batch.restarted is not None:
            self._header = None
            found.append(Anew())
        found += [item for line in batch.lines if (item := self._witnessed(line)) is not None]
        if batch.problem is not None:
            found.append(Problem(batch.problem, batch.problem))
        return found, batch.more

    def finish(self, *, whole: bool) -> list[Item]:
        """See `Reader.finish`. A row without its newline counts where it has all its cells and is not torn."""
        last = self._file.remainder()
        item = None if last is None or self._header is None or not whole else self._witnessed(last)
        return [] if item is None else [item]

    def close(self) -> None:
        """See `Reader.close`."""
        self._file.close()

    def _witnessed(self, line: Line) -> Reading | Problem | None:
        item = self._item(line)
        self._witness.saw(decoded(line.raw, self._encoding), [] if item is None else [item])
        return item

    def _item(self, line: Line) -> Reading | Problem | None:
        if isinstance(line.record, BadLine):
            return self._problem("row", line.record.reason)
        if self._header is None:
            self._encoding = encoding_of(self._path)
        text = decoded(line.raw, self._encoding).strip("\0\r")
        if self._header is None:
            return self._take_header(text)
        try:
            cells = next(csv.reader([text], delimiter=self._delimiter), [])
        except csv.Error as error:
            return self._problem("row", str(error))
        if self._key in [cell.strip() for cell in cells]:  # a logger that was started again
            return self._take_header(text)
        if not self._is_named:
            return None
        reading = rows.of_cells(self._header, cells, self._key, delimiter=self._delimiter)
        return self._problem("row", reading) if isinstance(reading, str) else reading

    @property
    def _is_named(self) -> bool:
        assert self._header is not None
        return rows.key_among(self._header, self._key) in self._header or not (
            self._must_name or any(map(names.is_step, self._header))
        )

    def _take_header(self, line: str) -> Problem | None:
        self._delimiter, self._header = rows.header_of(line)
        if self._is_named:
            return None
        columns = ", ".join(self._header)
        return self._problem(
            "header", f"no column `{self._key}`; its columns: {columns}: set epoch_key to one of them"
        )

    def _problem(self, kind: str, text: str) -> Problem:
        return Problem(f"csv {kind}", f"{self._path.name}: {text}")


def _first_line(path: Path) -> str | None:
    fd = open_if_regular(path)
    if fd is None:
        return None
    with open(fd, "rb") as file:  # noqa: PTH123 (a descriptor)
        return file.readline(64 * 1024).decode("utf-8", "replace")
