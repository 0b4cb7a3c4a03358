"""Real races with something private in every place that a race tells of, made once and read by many tests."""

from __future__ import annotations

import json
import random
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from race_lab import Lab, Script

ENV_SECRET = "hf_aBc-9f8e7d/6c5b4a"
AFTER_SECRET = "Authorization: Bearer t0p-s3cret"
INHERITED_SECRET = "wandb-0123456789abcdef"
URL_SECRET = "pa55word"
ELSEWHERE = "/data/of-this-machine/clips.bin"
PRIVATE = (ENV_SECRET, AFTER_SECRET, "t0p-s3cret", INHERITED_SECRET, URL_SECRET, ELSEWHERE)

TELLS = f"pathlib.Path cannot open {ELSEWHERE}: key {ENV_SECRET} and {INHERITED_SECRET}"


def check_line(epoch: int, ratio: float, seed: int, **more: object) -> str:
    """A check whose samples vary, so that there are confidence intervals."""
    chance = random.Random(seed * 1000 + epoch)
    samples = {
        "id": list(range(40)),
        "persistent": [ratio + chance.uniform(-0.2, 0.2) for _ in range(40)],
        "transient": [1.0 + chance.uniform(-0.1, 0.1) for _ in range(40)],
        "accuracy": [0.9 + chance.uniform(-0.05, 0.05) for _ in range(40)],
    }
    objects = {
        "sample": [0, 0, 1, 1, 2, 2],
        "kind": ["persistent", "transient"] * 3,
        "value": [ratio, 1.0, ratio + 0.1, 0.9, ratio - 0.1, 1.1],
    }
    record = {"event": "check", "epoch": epoch, "metrics": {"val_loss": 1 / (1 + epoch)}}
    return json.dumps({**record, "samples": samples, "objects": objects, **more}) + "\n"


def start_line(root: Path) -> str:
    """What a training says of itself: places and keys, as trainings do."""
    info = {"data": ELSEWHERE, "output": str(root / "out"), "key": ENV_SECRET, "seed": 0}
    return json.dumps({"event": "start", "max_epochs": 50, "info": info}) + "\n"


def scripts(root: Path) -> dict[str, Script]:
    """A winner, a loser, one that crashes with what it must not say, and one whose lines cannot be read."""
    lines: list[list[str]] = []
    for epoch in (0, 5, 10, 15, 20):  # one after the other, so that there is a pace
        lines += [["raw", check_line(epoch, 1.0 + epoch / 50, 1)], ["wait", f"after-{epoch}"]]
    losing: list[list[str]] = []
    for epoch in (5, 10, 15):
        losing += [["append", f"{epoch}.pt", "weights"]]
        losing += [["raw", check_line(epoch, 1.1, 2, checkpoint=f"{epoch}.pt")]]
    return {
        "winner": [
            ["raw", start_line(root)],
            *lines,
            ["append", "model.pt", "weights"],
            ["wait", "go"],
            ["raw", check_line(25, 2.0, 1, checkpoint="model.pt")],
            ["forever"],
        ],
        "loser": [
            ["raw", start_line(root)],
            *losing,
            ["mark", "judged"],
            ["forever"],
        ],
        "crashed": [
            ["raw", f"{{no json: {root}/train.py {ENV_SECRET}\n"],
            ["print", f"RuntimeError: {TELLS} in {root}/train.py"],
            ["mark", "crashed"],
            ["exit", 3],
        ],
    }


class Inbox:
    """An endpoint for notices."""

    def __init__(self) -> None:
        self.told: list[str] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                inbox.told.append(body.decode())
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"json://me:{URL_SECRET}@127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


CONFIRMS = f"""
import os, pathlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from published_race import check_line
assert pathlib.Path(sys.argv[1]).read_text() == "weights"
pathlib.Path(os.environ["WTRACE_METRICS"]).open("a").write(check_line(25, 1.9, 3))
"""


def race(lab: Lab, inbox: Inbox, script: str = "winner") -> Path:
    """Race to the end; returns a copy of its results as they were before. `script`: "winner", or "nobody" who wins."""
    made = scripts(lab.root)
    if script == "nobody":
        made = {"loser": [*made["loser"][:-1], ["exit", 0]], "crashed": made["crashed"]}
    send = lab.home / "send.py"
    send.write_text(f"print('cannot reach {ELSEWHERE} with {AFTER_SECRET}'); raise SystemExit(7)")
    (lab.home / "confirm.py").write_text(CONFIRMS)
    extra = (
        f'[confirm]\ncommand = ["python", "{lab.home}/confirm.py", "{{checkpoint}}"]\n'
        '[judge]\nfiles = ["train.py"]\n[figures]\nsample_pass = ["persistent / transient > 1.3"]\n'
        f'[after]\nwinner = [["python", "{send}", "--header", "{AFTER_SECRET}"]]\n'
        f'[notify]\nurls = ["{inbox.url}"]\n'
        f'[runners.far]\nengine = "ray"\naddress = "http://me:{URL_SECRET}@head.example:8265"\n'
    )
    env = f'env = {{ HF_TOKEN = "{ENV_SECRET}", OMP_NUM_THREADS = "1" }}'
    lab.env |= {"WANDB_API_KEY": INHERITED_SECRET}
    lab.race(made, extra=extra, workers=env, race='merge = "auto"\nprogress_every = 1\ncost_per_hour = 3.06')
    running = lab.start("run")
    for checks, epoch in enumerate((0, 5, 10, 15, 20)):
        if script == "winner":
            _wait_for_checks(lab, checks)
        lab.open_gate(f"after-{epoch}")
    lab.wait_for_mark("judged")
    lab.wait_for_mark("crashed")
    live = lab.home / "live"
    if script == "winner":
        page = lab.latest / "results" / "dashboard.html"
        lab.wait_for(
            lambda: page.exists() and page.read_text().count('class="band"') == 4,
            "the page to show what was judged",
        )
        shutil.copytree(page.parent, live)
    lab.open_gate("go")
    told, _ = running.communicate(timeout=120)
    assert running.returncode == (1 if script == "nobody" else 0), told
    return live


def _wait_for_checks(lab: Lab, count: int) -> None:
    lab.wait_for(lambda: lab.worker("winner")["checks"] == count, f"{count} checks to be judged")
