"""Why a worker crashed: read from what Python, launchers and consoles really print, and from whole races."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from race_lab import Lab
from wtrace.race import crash

CUDA = """\
Traceback (most recent call last):
  File "/w/train.py", line 4, in <module>
    loss.backward()
    ^^^^^^^^^^^^^^^
RuntimeError: CUDA error: device-side assert triggered
CUDA kernel errors might be asynchronously reported at some other API call.
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.

"""
ELASTIC = """\
W1129 00:17:04.719000 18168 torch/distributed/elastic/multiprocessing/api.py:1028] Sending process 1 closing signal SIGTERM
E1129 00:17:04.721000 18168 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: 1) local_rank: 1
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/v/torch/distributed/launcher/api.py", line 383, in launch_agent
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
dist.py FAILED
------------------------------------------------------------
Failures:
[1]:
  rank      : 0 (local_rank: 0)
  exitcode  : -15 (pid: 18171)  (SIGTERM)
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-29_00:17:04
  host      : localhost
  rank      : 1 (local_rank: 1)
  exitcode  : 1 (pid: 18172)
  error_file: <N/A>
============================================================
"""


def of_rank(rank: int, text: str) -> str:
    return "".join(f"[rank{rank}]: {line}\n" for line in text.splitlines())


KEY = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    cfg["lr"]\nKeyError: \'lr\'\n'
SHAPES = {
    "a message of several lines": (CUDA, "RuntimeError: CUDA error: device-side assert triggered"),
    "behind torchrun": (CUDA + ELASTIC, "RuntimeError: CUDA error: device-side assert triggered"),
    "the rank that failed first": (
        of_rank(1, KEY) + of_rank(0, KEY.replace("KeyError: 'lr'", "torch.distributed.DistBackendError: NCCL"))
        + of_rank(2, CUDA) + ELASTIC,
        "KeyError: 'lr'",
    ),
    "ranks that print at the same time": (
        "".join(
            f"[rank0]: {a}\n[rank1]: {b}\n"
            for a, b in zip(KEY.splitlines(), KEY.replace("'lr'", "'wd'").splitlines(), strict=True)
        ),
        "KeyError: 'wd'",
    ),
    "a rank's failure and what followed from it": (
        of_rank(1, KEY) + of_rank(0, KEY.replace("KeyError: 'lr'", "torch.distributed.DistBackendError: NCCL")),
        "KeyError: 'lr'",
    ),
    "behind accelerate": (
        CUDA + 'Traceback (most recent call last):\n  File "/v/bin/accelerate", line 8, in <module>\n    sys.exit(main())\n'
        "subprocess.CalledProcessError: Command '['python', 'train.py']' returned non-zero exit status 1.\n",
        "RuntimeError: CUDA error: device-side assert triggered",
    ),
    "behind make": (KEY + "make: *** [Makefile:2: train] Error 1\n", "KeyError: 'lr'"),
    "behind make, without a traceback": (
        "python: can't open file '/w/trian.py': [Errno 2] No such file or directory\nmake: *** [Makefile:2: t] Error 2\n",
        "python: can't open file '/w/trian.py': [Errno 2] No such file or directory",
    ),
    "another while it was handled": (
        KEY + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + KEY.replace("KeyError: 'lr'", "ValueError: no learning rate"),
        "ValueError: no learning rate",
    ),
    "in a loader's process": (
        KEY.replace("KeyError: 'lr'", "ValueError: Caught ValueError in DataLoader worker process 0.")
        + 'Original Traceback (most recent call last):\n  File "d.py", line 4, in __getitem__\n    raise ValueError\n'
        "ValueError: bad sample 0\n\n",
        "ValueError: bad sample 0",
    ),
    "in a task group": (
        ('  + Exception Group Traceback (most recent call last):\n  |   File "a.py", line 5, in <module>\n'
        "  |     raise me from None\n  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n"
        "  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n"
        '    |   File "a.py", line 2, in bad\n    |     raise ValueError("inner")\n    | ValueError: inner\n'
        "    +------------------------------------\n"),
        "ValueError: inner",
    ),
    "by rich": (
        ("╭───────── Traceback (most recent call last) ─────────╮\n│ /w/a.py:3 in <module>       │\n│ ❱ 3 f()    │\n"
        "╰──────────────────────╯\nValueError: rich\nsecond line\n"),
        "ValueError: rich",
    ),
    "by loguru": (
        ('2026-11-01 | ERROR | __main__:<module>:9 - failed\nTraceback (most recent call last):\n\n> File "a.py", line 9, in'
        " <module>\n    f()\n    └ <function f at 0x7f>\n\nZeroDivisionError: division by zero\n"),
        "ZeroDivisionError: division by zero",
    ),
    "in colours": (
        ('\x1b[35mTraceback (most recent call last):\x1b[0m\n  File \x1b[35m"a.py"\x1b[0m, line \x1b[35m3\x1b[0m, in f\n'
        "    \x1b[31mx\x1b[0m\n\x1b[1;35mNameError\x1b[0m: \x1b[35mname 'x' is not defined\x1b[0m\n"),
        "NameError: name 'x' is not defined",
    ),
    "a script that cannot be parsed": (
        '  File "/w/train.py", line 1\n    def f(:\n          ^\nSyntaxError: invalid syntax\n',
        "SyntaxError: invalid syntax",
    ),
    "a message on the next line": (
        KEY.replace("KeyError: 'lr'", 'RuntimeError: Error(s) in loading state_dict for Net:\n\tMissing key(s): "a"'),
        'RuntimeError: Error(s) in loading state_dict for Net: Missing key(s): "a"',
    ),
    "no message": (KEY.replace("KeyError: 'lr'", "AssertionError"), "AssertionError"),
    "what an interpreter that leaves prints after it": (
        KEY + "Exception ignored in: <function D.__del__ at 0x7f>\n"
        + KEY.replace("KeyError: 'lr'", "ImportError: sys.meta_path is None, Python is likely shutting down"),
        "KeyError: 'lr'",
    ),
    "words of its own": ("epoch 1\nno checkpoint found\n", "no checkpoint found"),
    "a logged exception, long before the end": (
        KEY + "skipped a batch\n" + "step 1 loss 0.5\n" * 50 + "error: the disk is full\n",
        "error: the disk is full",
    ),
    "the interpreter aborts": (
        'Fatal Python error: Aborted\n\nCurrent thread 0x00 (most recent call first):\n  File "a.py", line 1 in <module>\n',
        "Fatal Python error: Aborted",
    ),
    "C++ gives up": (
        ("terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA error: out of memory\n"
        "frame #0: c10::Error::Error(...)\n"),
        "c10::Error: CUDA error: out of memory",
    ),
    "after a bar": (
        "\r 10%|# | 1/10\r 20%|## | 2/10" + KEY[:0] + "\n" + KEY,
        "KeyError: 'lr'",
    ),
    "nothing": ("\n\n", None),
}  # fmt: skip


@pytest.mark.parametrize(("log", "reason"), SHAPES.values(), ids=list(SHAPES))
def test_the_reason_of_a_crash(log: str, reason: str | None) -> None:
    assert crash.reason(log) == reason


@pytest.mark.parametrize(
    ("reason", "paths"),
    [
        ("FileNotFoundError: [Errno 2] No such file or directory: 'data/train.bin'", ("data/train.bin",)),
        ("FileNotFoundError: data/train.csv not found.", ("data/train.csv",)),
        ("OSError: Unable to open file (unable to open file: name = 'd/x.h5', errno = 2)", ("d/x.h5",)),
        ("ModuleNotFoundError: No module named 'lib.model'", ("lib/model.py", "lib/model")),
        ("ValueError: 'a/b.txt' has no header", ()),
    ],
)
def test_the_paths_that_were_not_found(reason: str, paths: tuple[str, ...]) -> None:
    assert crash.missing_paths(reason)[: len(paths) or 1] == paths


def start(lab: Lab, script: str, workers: str = "") -> None:
    lab.git("switch", "--quiet", "-c", "try/a")
    (lab.root / "train.py").write_text(script)
    lab.git("commit", "--quiet", "-am", "a")
    lab.git("switch", "--quiet", "main")
    lab.write_config(["a"], workers=workers)


def test_a_race_tells_the_exception_and_what_to_bring_along(lab: Lab) -> None:
    start(lab, "import os\nos.chdir('.')\nopen('data/sets/train.bin')\n")
    (lab.root / "data" / "sets").mkdir(parents=True)
    (lab.root / "data" / "sets" / "train.bin").touch()
    lab.wtrace("run", expect=1)
    status = " ".join(lab.wtrace("status").stdout.split())
    assert "No such file or directory: 'data/sets/train.bin'; the main worktree has it untracked" in status
    assert 'include = ["data/"]' in status
    assert 'include = ["data/"]' in (lab.latest / "results" / "FAILURE_REPORT.md").read_text().replace(
        "\\", ""
    )
    start_again = (
        (lab.root / "wtrace.toml").read_text().replace("[workers.a]", '[workers.a]\ninclude = ["data/"]')
    )
    (lab.root / "wtrace.toml").write_text(start_again)
    lab.wtrace("run", expect=1)
    assert "FileNotFoundError" not in lab.wtrace("status").stdout


def test_a_file_that_git_tracks_is_no_matter_of_include(lab: Lab) -> None:
    start(lab, "open('data.bin')\n")
    (lab.root / "data.bin").touch()
    lab.git("add", "data.bin")
    lab.wtrace("run", expect=1)
    assert "include" not in lab.wtrace("status").stdout


def test_a_wrapper_does_not_hide_the_reason(lab: Lab) -> None:
    script = (
        "import subprocess, sys\n"
        "if sys.argv[1:]: raise RuntimeError('CUDA error\\nsecond line\\nlast line')\n"
        "subprocess.run([sys.executable, __file__, 'inner'], check=True)\n"
    )
    start(lab, script)
    lab.wtrace("run", expect=1)
    assert "RuntimeError: CUDA error" in lab.wtrace("status").stdout


def test_the_reasons_of_this_pythons_own_tracebacks(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text("def f(n):\n    f(n + 1) if n < 9 else (n/0)\nf(0)\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert crash.reason(done.stderr) == "ZeroDivisionError: division by zero"
