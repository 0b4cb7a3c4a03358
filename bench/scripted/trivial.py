"""A training that takes no time: one check, which wins only for worker 0, and out. Run bare, it writes a file."""

import json
import os

path = os.environ.get("WTRACE_METRICS")
if path:
    won = os.environ["WTRACE_WORKER"] == "w0"
    record = {"event": "check", "epoch": 1, "metrics": {"score": 0.95 if won else 0.5}}
    with open(path, "a") as file:
        file.write(json.dumps(record) + "\n")
else:
    with open("params.json") as file:
        number = json.load(file)["number"]
    with open("result.json", "w") as file:
        json.dump({"score": 0.95 if number == 0 else 0.5}, file)
