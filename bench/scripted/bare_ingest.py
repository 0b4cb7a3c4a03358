"""The barest ingest: inotify, msgspec, SQLite. Every wake-up is one transaction, as in wtrace.

`bare_ingest.py DATABASE FOLDER FILES`: follows FOLDER/0 … and stores each line's numbers and its bytes.
"""

import ctypes
import os
import sqlite3
import struct
import sys

import msgspec


class Epoch(msgspec.Struct, tag_field="event", tag="epoch"):
    epoch: int
    metrics: dict[str, float]


database, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
decode = msgspec.json.Decoder(Epoch).decode
db = sqlite3.connect(database, isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=NORMAL")
db.execute("CREATE TABLE epochs (worker INTEGER, epoch INTEGER, record BLOB)")
db.execute("CREATE TABLE positions (worker INTEGER PRIMARY KEY, offset INTEGER)")
libc = ctypes.CDLL(None)
watch = libc.inotify_init1(os.O_CLOEXEC)
readers = {}
for number in range(count):
    path = os.fsencode(f"{folder}/{number}")
    readers[libc.inotify_add_watch(watch, path, 2)] = number, os.open(path, os.O_RDONLY)  # IN_MODIFY
offsets = dict.fromkeys(readers, 0)
while events := os.read(watch, 65536):
    changed = {struct.unpack_from("i", events, at)[0] for at in range(0, len(events), 16)}
    rows = []
    for each in changed:
        number, file = readers[each]
        data = os.pread(file, 65536, offsets[each])
        rows += [(number, decode(line).epoch, line) for line in data.splitlines()]
        offsets[each] += len(data)
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO epochs VALUES (?, ?, ?)", rows)
    db.executemany(
        "INSERT OR REPLACE INTO positions VALUES (?, ?)", [(readers[w][0], offsets[w]) for w in changed]
    )
    db.execute("COMMIT")
