"""The barest start of some workers: `git worktree add` and Popen, one after another.

`bare_start.py PARENT NAME …`, in the repo, with the workers' environment but for their names.
"""

import os
import subprocess
import sys

parent, *names = sys.argv[1:]
for name in names:
    place = f"{parent}/{name}"
    subprocess.run(["git", "worktree", "add", "--quiet", place, f"try/{name}"], check=True)
    subprocess.Popen(
        [sys.executable, "script.py"], cwd=place, env={**os.environ, "WTRACE_WORKER": name},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
