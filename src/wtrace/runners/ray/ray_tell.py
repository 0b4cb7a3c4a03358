"""A small Ray job that tells a keeper something: `python3 -S ray_tell.py JOB kill|pause|unpause|forget|cancel`.

It runs on the node of that job. `forget` removes what the attempt has left there, once all of it has come back.
`cancel` takes a job that waits out of Ray's queue, for which Ray's jobs have no word of their own.
"""

from __future__ import annotations

import os
import shutil
import sys
import time

from ray_entry import logs_folder, rays_python  # type: ignore[import-not-found]

CANCEL = """
import sys, ray
from ray.dashboard.modules.job.common import JOB_ACTOR_NAME_TEMPLATE, SUPERVISOR_ACTOR_RAY_NAMESPACE
ray.init(address="auto", log_to_driver=False)
name = JOB_ACTOR_NAME_TEMPLATE.format(job_id=sys.argv[1])
ray.kill(ray.get_actor(name, namespace=SUPERVISOR_ACTOR_RAY_NAMESPACE))
"""


def main(job: str, what: str) -> None:
    """Leave the word in the attempt's home, or remove the home."""
    if what == "cancel":
        python = rays_python()
        os.execv(python, [python, "-c", CANCEL, job])  # noqa: S606
    logs = logs_folder()
    home = os.path.join(os.path.dirname(logs), "wtrace", job)
    if what == "forget":
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(os.path.join(logs, "wtrace", job), ignore_errors=True)
    elif os.path.isdir(home):
        with open(os.path.join(home, "control", f"{what}.{time.time():.6f}"), "w"):
            pass


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
