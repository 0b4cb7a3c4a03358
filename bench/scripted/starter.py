"""Notes when it runs, then waits to be ended."""

import mmap
import os
import signal
import struct
import time

number = int(os.environ["WTRACE_WORKER"][1:])
with open(os.environ["BENCH_MARKS"], "r+b") as file:
    marks = mmap.mmap(file.fileno(), 0)
struct.pack_into("<q", marks, (number + 1) * 64, time.monotonic_ns())
struct.pack_into("<q", marks, (number + 1) * 64 + 16, os.getpid())
signal.pause()
