"""Figure 14: 200 winners that print their metric first and save afterwards: how many files are torn, how many lost.

In place over the earlier file, by a rename, in several files, by a child, in a thread, after a computation; each save
takes 0.1 to 20 s (a computation before it 8 s at most: after 10 s of quiet nobody is waited for). The others are told at
once; the winner settles. No peer: nothing else waits for a winner's save. And 50 races to a training with torch that
calls `torch.save` over one file.

All of it takes half an hour (`--seconds 1800`); by default it does as many as four minutes allow.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import pickle
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from lab import Lab, lab
from measure import Row, options, skipped, tell, worst_row

WAYS = (
    "in_place",
    "by_rename",
    "several",
    "by_child",
    "by_thread",
    "computed",
    "opened_early",
    "beside_logs",
)
AT_ONCE = 6
METRICS = """
[metrics]
from = "stdout"
pattern = 'epoch (?P<epoch>\\d+) val_loss (?P<val_loss>\\S+)'
checkpoint = "model.pt"
"""
LONGEST_COMPUTATION_S = 8.0


class Outcome(NamedTuple):
    """What was on the disk when the race was over."""

    torn: int
    lost: int  # of the winning epoch, or later, there is nothing
    later: int  # epochs after the winning one
    frozen: int  # the claim's checkpoint was copied
    wrong: int  # and the copy is torn, or of another epoch


def write_config(found: Lab, winner: Sequence[str], loser: Sequence[str], loss: float) -> None:
    workers = "".join(
        f'[workers.{name}]\nbranch = "try/{name}"\ncommand = {json.dumps(["python", "script.py", *words])}\n'
        for name, words in zip(found.names, (winner, loser), strict=True)
    )
    (found.root / "wtrace.toml").write_text(
        '[race]\nname = "bench"\nbase = "main"\ncheck_every = 1\nmax_epochs = 400\n'
        f'[success]\nloss = "val_loss <= {loss}"\n{METRICS}{workers}'
    )


def race(found: Lab) -> tuple[Path, int]:
    """Run the race to its end; where the winner's output lies, and the epoch that won."""
    found.wtrace("run", timeout_s=400)
    status = json.loads(found.wtrace("status", "--json"))
    assert status["race"]["winner"] == found.names[0], status
    return Path(status["workers"][0]["output"]), int(status["race"]["winner_epoch"])


def saved(way: str, save_s: float) -> Outcome:
    """One race won by a training that saves in that way."""
    with lab("saver.py", 2, files=0) as found:
        loser = ("never", "400", "0.9", "0.5", "0")
        epoch_s = 1.2 * save_s + 0.2 if way == "by_thread" else 0.5  # it saves while the next epoch goes on
        write_config(found, (way, "400", "0.1", f"{epoch_s:.2f}", f"{save_s:.2f}"), loser, 0.2)
        output, won_at = race(found)
        names = ("model.pt", "optimizer.pt", "scheduler.pt") if way == "several" else ("model.pt",)
        epochs = [epoch_of_whole(output / name) for name in names]
        return outcome(epochs, frozen_epochs(output, epoch_of_whole), won_at)


def frozen_epochs(output: Path, read: Callable[[Path], int | None]) -> list[int | None]:
    """The epoch of the claim's frozen copy; empty where there is none."""
    frozen = output.parents[1] / "claims" / "1" / "checkpoint.pt"
    return [read(frozen)] if frozen.exists() else []


def epoch_of_whole(path: Path) -> int | None:
    """The epoch that was saved there; None where the file is torn."""
    content = path.read_bytes() if path.exists() else b""
    whole, digest = content[:-32], content[-32:]
    return int(whole[:8]) if hashlib.sha256(whole).digest() == digest else None


def saved_by_torch(_: int) -> Outcome:
    """One race won by a training that calls `torch.save` over one file."""
    torch = importlib.import_module("torch")
    with lab("torch_saver.py", 2, files=0) as found:
        write_config(found, ("0.001",), ("0.0000001",), 0.002)
        output, won_at = race(found)

        def read(path: Path) -> int | None:
            try:
                return int(torch.load(path)["epoch"])
            except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
                return None

        return outcome([read(output / "model.pt")], frozen_epochs(output, read), won_at)


def outcome(epochs: Sequence[int | None], frozen: Sequence[int | None], won_at: int) -> Outcome:
    whole = [epoch for epoch in epochs if epoch is not None]
    later = max([epoch - won_at for epoch in whole], default=0)
    lost = sum(epoch < won_at for epoch in whole)
    wrong = sum(epoch != won_at for epoch in frozen)
    return Outcome(len(epochs) - len(whole), lost, later, len(frozen), wrong)


def rows(what: str, outcomes: Sequence[Outcome]) -> list[Row]:
    count, latest = len(outcomes), max(each.later for each in outcomes)
    exact = sum(each.later <= 1 for each in outcomes)
    note = f"{exact} of the winning epoch or the next, none more than {latest} later"
    frozen = f"{sum(each.frozen for each in outcomes)} frozen copies that are not whole, or of another epoch"
    counts = {
        f"{count} {what}: torn files": ([each.torn for each in outcomes], ""),
        f"{count} {what}: lost": ([each.lost for each in outcomes], note),
        f"{count} {what}: {frozen}": ([each.wrong for each in outcomes], ""),
    }
    return [
        worst_row("14", told, [float(sum(found))], limit=0, unit="", note=more)
        for told, (found, more) in counts.items()
    ]


def main() -> None:
    given = options(__doc__, seconds=240)
    dice = random.Random(0)
    count = given.pick(200, 4)
    longest_s = 0.5 if given.smoke else 20.0
    asked = [(WAYS[number % len(WAYS)], 0.1 * (longest_s / 0.1) ** dice.random()) for number in range(count)]
    deadline = time.monotonic() + given.seconds

    def one(way: str, save_s: float) -> Outcome | None:
        if not given.smoke and time.monotonic() > deadline - given.seconds / 3:  # torch wants its share
            return None
        found = saved(way, min(save_s, LONGEST_COMPUTATION_S) if way == "computed" else save_s)
        if found.torn or found.lost or found.wrong:
            print(f"{way}, {save_s:.1f} s: {found}")
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = [found for found in pool.map(lambda each: one(*each), asked) if found is not None]
    found = rows("winners that save after they print", outcomes)
    if importlib.util.find_spec("torch") is None:
        found.append(skipped("14", "winners that call torch.save", 0, "", "torch is not installed"))
    else:
        with ThreadPoolExecutor(2) as pool:
            ones = pool.map(
                lambda n: None if n and time.monotonic() > deadline else saved_by_torch(n),
                range(given.pick(50, 1)),
            )
            outcomes = [each for each in ones if each is not None]
        found += rows("winners that call torch.save over one file", outcomes)
    tell(found)


if __name__ == "__main__":
    main()
