"""What a file of metrics is, by its name and its beginning, and how a config would name it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wtrace.config.spec import MetricsSource

EVENT_FILE = "events.out.tfevents"
_OUTPUT_FOLDER = re.compile(r"(?:^|/)\.wtrace/races/[^/]+/[^/]+/output/(.+)")


def kind_of(name: str, beginning: str) -> MetricsSource:
    """How a race would read such a file. `stdout`: as a log, or another text by lines."""
    if EVENT_FILE in name:
        return "tensorboard"
    if name == "trainer_state.json" or (beginning.startswith("{") and '"log_history"' in beginning):
        return "hf"
    if name.lower().endswith((".csv", ".tsv")):
        return "csv"
    if name.lower().endswith((".jsonl", ".ndjson")):
        return "jsonl"
    first, _, rest = beginning.partition("\n")
    columns = re.split(r"[,;\t]", first.strip())
    is_header = len(columns) > 1 and all(re.fullmatch(r"\s*[A-Za-z_][\w ./-]*", name) for name in columns)
    same = rest and len(re.split(r"[,;\t]", rest.partition("\n")[0])) == len(columns)
    return "csv" if is_header and same else "stdout"


def path_of(path: str, root: str | None) -> str:
    """How `[metrics] path` would name the file: in `{output}`, or relative to the repo; else by its name, in `{output}`."""
    found = _OUTPUT_FOLDER.search(path)
    if found:
        named = f"{{output}}/{found[1]}"
    elif root is not None and path.startswith(f"{root}/"):
        named = path.removeprefix(f"{root}/")
    else:
        named = f"{{output}}/**/{PurePosixPath(path).name}"
    folder, _, name = named.rpartition("/")
    if EVENT_FILE in name:
        name = f"{EVENT_FILE}.*"
    return f"{folder}/{name}" if folder else name
