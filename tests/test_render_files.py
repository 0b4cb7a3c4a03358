"""Pages appear whole or not at all."""

from __future__ import annotations

import stat
import threading
from typing import TYPE_CHECKING

import pytest

from wtrace.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def test_a_page_is_written_private_and_replaces_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_atomically(page, "old")
    write_atomically(page, "new ✓\n", durable=True)
    assert page.read_text(encoding="utf-8") == "new ✓\n"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.md"]


def test_a_link_at_the_destination_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    page = tmp_path / "page.md"
    page.symlink_to(target)
    write_atomically(page, "mine")
    assert not page.is_symlink()
    assert page.read_text() == "mine"
    assert target.read_text() == "precious"


def test_an_error_passes_through_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "page.md"
    folder.mkdir()
    (folder / "kept").touch()
    with pytest.raises(OSError, match=r"page\.md"):
        write_atomically(folder, "text")
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "page.md", "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.md"]


def test_text_that_has_no_utf8_is_written_as_an_escape(tmp_path: Path) -> None:
    write_atomically(tmp_path / "page.md", "a\ud800b")
    assert (tmp_path / "page.md").read_text() == "a\\ud800b"


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    texts = {"a" * 3_000_000, "b" * 2_000_000}
    write_atomically(page, "a" * 3_000_000)

    def rewrite() -> None:
        for _ in range(15):
            for text in texts:
                write_atomically(page, text)

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = 0
    while writer.is_alive():
        assert page.read_text() in texts
        seen += 1
    writer.join()
    assert seen > 0
