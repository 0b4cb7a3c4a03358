"""What may lie where a file of ours is expected: everything that a file is not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {
    "empty": "",
    "no JSON": "{",
    "a list": "[1, 2]",
    "a number": "3",
    "null": "null",
    "nested": "[" * 100_000,
    "texts for numbers": '{"code": "0", "signal": null, "known": true, "at": "now", "leftovers": "0"}',
    "lists for numbers": '{"code": [0], "signal": null, "known": true, "at": [1], "leftovers": {}}',
    "huge numbers": '{"code": 1e999, "signal": null, "known": true, "at": 1e999, "leftovers": 1'
    + "0" * 400
    + "}",
    "truths for numbers": '{"code": true, "signal": null, "known": 1, "at": 1.0, "leftovers": false}',
    "not of a process": '{"code": 3, "signal": 9, "known": true, "at": 1.0, "leftovers": 0}',
    "not of a request": '{"ask": ["stop"], "workers": 3, "by": {}}',
    "names that are none": '{"ask": "stop", "workers": [["a"], 1, null], "by": "me"}',
}
KINDS = (
    *TEXTS,
    "bytes",
    "a folder",
    "a full folder",
    "a FIFO",
    "a link",
    "a link to nowhere",
    "a device",
    "huge",
)


def put(path: Path, kind: str) -> None:
    """Have that lie at the path, in the place of what lay there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    if kind in TEXTS:
        path.write_text(TEXTS[kind])
    elif kind == "bytes":
        path.write_bytes(b"\xff\xfe\x00{")
    elif kind in ("a folder", "a full folder"):
        path.mkdir()
        if kind == "a full folder":
            (path / "file").touch()
    elif kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)
    else:
        path.symlink_to("/etc/hostname" if kind == "a link" else "nowhere")
