"""Reports as many checks as the benchmark asks for, a thousand at a time as soon as the last ones may be read."""

import mmap
import os
import signal
import struct
import time

GO, WANTED = 0, 2
number = int(os.environ["WTRACE_WORKER"][1:])
with open(os.environ["BENCH_MARKS"], "r+b") as file:
    marks = mmap.mmap(file.fileno(), 0)
metrics = os.open(os.environ["WTRACE_METRICS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
struct.pack_into("<q", marks, (number + 1) * 64 + 16, os.getpid())
epoch = 0
while True:
    (wanted,) = struct.unpack_from("<q", marks, WANTED * 8)
    batch = []
    while epoch < wanted and len(batch) < 1000:
        epoch += 1
        batch.append(
            b'{"event": "check", "epoch": %d, "metrics": {"score": %.6f}}\n' % (epoch, 0.5 - 0.4 / epoch)
        )
    if batch:
        os.write(metrics, b"".join(batch))
    else:
        struct.pack_into("<q", marks, (number + 1) * 64 + 40, epoch)
        time.sleep(0.005)
