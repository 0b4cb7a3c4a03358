"""The barest thing that ends losers: inotify on the winner's file, then one killpg after another.

`bare_killer.py PROGRAM WORKERS`, with the workers' environments on standard input.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys

program, workers = sys.argv[1], int(sys.argv[2])
environments = [json.loads(line) for line in sys.stdin]
libc = ctypes.CDLL(None)
winner = environments[0]["WTRACE_METRICS"]
open(winner, "a").close()
watch = libc.inotify_init1(os.O_CLOEXEC)
libc.inotify_add_watch(watch, os.fsencode(winner), 2)  # IN_MODIFY
started = [
    subprocess.Popen([sys.executable, program], env=env, start_new_session=True, stdin=subprocess.DEVNULL)
    for env in environments
]
os.read(watch, 4096)
with open(winner, "rb") as file:
    file.read()
for process in started[1:]:
    os.killpg(process.pid, signal.SIGTERM)
started[0].terminate()
for process in started:
    process.wait()
