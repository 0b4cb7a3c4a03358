"""One or two examples for each command, shown by its `--help` and on the page of the commands."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {  # (what is typed, what it does)
    "init": (
        ("wtrace init", "a worker for each branch that is checked out nowhere"),
        ("wtrace init --from-branches 'exp/*'", "a worker for each branch that matches"),
    ),
    "doctor": (("wtrace doctor", "before the first race, and after changes to the machine"),),
    "try": (
        (
            "wtrace try train.log",
            "which lines match, which epochs are judged; without a config, a pattern for them",
        ),
        ("python train.py | wtrace try -", "of a training that runs now"),
        ("wtrace try --worker fast", "the newest log of that worker, by the config as it is now"),
    ),
    "trust": (("wtrace trust", "read the commands of a config that somebody else wrote, then approve them"),),
    "setup": (
        ("wtrace setup", "make what is missing; a second time changes nothing"),
        ("wtrace setup --config quick.toml", "for the workers of another config"),
    ),
    "run": (
        ("wtrace run --dry-run", "what would start where, with which command"),
        ("wtrace run --max-epochs 10 --worker fast --worker slow", "a shorter race of two"),
        ("wtrace run --detach", "start it and get the prompt back; `wtrace watch` shows it"),
    ),
    "status": (
        ("wtrace status", "one table"),
        ("wtrace status --json | jq -r .race.winner", "for a script"),
    ),
    "watch": (("wtrace watch", "leave it with `q`; the race runs on"),),
    "logs": (
        ("wtrace logs fast -n 100", "the last 100 lines"),
        ("wtrace logs fast -f", "as it grows"),
    ),
    "stop": (
        ("wtrace stop", "the whole race"),
        ("wtrace stop slow", "one worker; the others run on"),
    ),
    "pause": (("wtrace pause slow", "its memory stays taken, its cores are free"),),
    "unpause": (("wtrace unpause slow", "let it go on"),),
    "sync": (
        ("wtrace sync --to macbook", "to the `[sync.macbook]` of the config, once"),
        ("wtrace sync --to macbook --watch", "until the race has ended"),
    ),
    "pull": (("wtrace pull box:project --watch", "asked for from the laptop"),),
    "report": (("wtrace report", "of the newest race"),),
    "plot": (("wtrace plot --dark", "in light and dark colours"),),
    "replay": (
        ("wtrace replay --config stricter.toml", "who would have won under other criteria"),
        ("wtrace replay --json | jq -r .winner", "for a script"),
    ),
    "merge": (("wtrace merge", "the winner of the newest race into the base"),),
    "evidence": (
        ("wtrace evidence red fast", "before the change: its tests must fail"),
        ("wtrace evidence green fast -- -k accuracy", "after it: those that name accuracy must pass"),
    ),
    "history": (
        ("wtrace history", "one line for each race"),
        ("wtrace history --csv > races.csv", "for a spreadsheet"),
    ),
    "compare": (("wtrace compare 20261125-033050-demo 20261126-090000-demo", "two races by their ids"),),
    "export": (
        ("wtrace export --to csv > curves.csv", "every value of the newest race, one a row"),
        ("wtrace export --to tensorboard --output runs", "as event files, below runs/RACE/"),
    ),
    "clean": (("wtrace clean", "worktrees that hold work are kept, and named"),),
}


def epilog(command: str) -> str:
    """The examples as the last part of the command's `--help`."""
    lines = [line for typed, told in EXAMPLES.get(command, ()) for line in (f"  {typed}", f"      {told}")]
    return "\n".join(["\b", "Examples:", *lines]) if lines else ""
