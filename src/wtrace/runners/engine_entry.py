"""What an engine runs on a node for one attempt: `python -I -S far_entry.py FOLDER`.

It reads `launch.json` in the folder, adds to the environment what the engine has set for this job, and becomes the
shim, which is then what the engine's signals reach. Standard library only, and nothing of wtrace but the shim beside it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ENGINES_OWN = ("SLURM_", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "TMPDIR")
"""Variables that begin so are the engine's: they say what of the node this job has been given."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def main(folder: str) -> None:
    """Become the shim of that attempt."""
    launch = json.loads(Path(folder, "launch.json").read_bytes())
    own = {name: value for name, value in os.environ.items() if name.startswith(ENGINES_OWN)}
    shim = str(Path(__file__).parent.joinpath("shim", "shim.py").absolute())
    first = launch.get("signal", "leader")  # it may have waited in the queue while wtrace was upgraded
    where = [folder, repr(launch["grace_s"]), first, launch["cwd"], BOOT_ID.read_text().strip()]
    rest = [json.dumps(launch["marker"]), str(launch["stamp"]), "", "", *launch["command"]]
    env = {**launch["env"], **own, "WTRACE_ATTEMPT": launch["marker"]}
    os.execve(sys.executable, [sys.executable, "-I", "-S", shim, *where, *rest], env)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1])
