"""`wtrace sync`: progress and results, pushed to a target that the config names."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli.common import (
    ConfigOption,
    RaceOption,
    TrustOption,
    find_root,
    read_config,
    require_standing,
    require_trust,
)
from wtrace.config.names import did_you_mean
from wtrace.data import replace
from wtrace.errors import UsageError
from wtrace.race.paths import Layout
from wtrace.text import plain, seconds

if TYPE_CHECKING:
    from wtrace.config.spec import RaceSpec, SyncSpec
    from wtrace.mirror.agent import Facts
    from wtrace.mirror.diagnose import Answer
    from wtrace.mirror.push import Push
    from wtrace.mirror.target import Target
    from wtrace.mirror.target_state import TargetState


def sync(
    to: Annotated[
        str, typer.Option("--to", metavar="TARGET", help="A target of the config: `[sync.TARGET]`.")
    ],
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Go on, as often as the target's `every` says, until the race has ended."
        ),
    ] = False,
    config: ConfigOption = None,
    race: RaceOption = None,
    trust: TrustOption = False,
) -> None:
    """Push progress to the target now; of a race that has ended also the results, checked when they are there.

    A target that cannot be reached: exit code 4, and what is in the way.
    """
    from wtrace.mirror.target import resolve

    root = find_root()
    spec = read_config(root, config)
    chosen = _chosen(spec, to)
    require_trust(root, spec, approve=trust)
    standing = require_standing(root, race)
    target = resolve(chosen, standing.name, root)
    if watch:
        _keep(root, standing.id, target)
    else:
        _push_once(root, standing.id, target)


def _chosen(spec: RaceSpec, name: str) -> SyncSpec:
    known = [target.name for target in spec.sync]
    for target in spec.sync:
        if target.name == name:
            return target
    raise UsageError(
        f"there is no target {plain(name, 70) or 'without a name'} in this config{did_you_mean(name, known)}",
        hint=f"the targets are: {', '.join(known)}" if known else "a table [sync.NAME] with `host` makes one",
    )


def _push_once(root: Path, race_id: str, target: Target) -> None:
    from wtrace.mirror.connection import Connection
    from wtrace.mirror.errors import SyncError
    from wtrace.mirror.push import Push
    from wtrace.supervisor.sync_agent import RaceFacts

    race = Layout(root).race(race_id)
    facts = RaceFacts(Layout(root), race_id)()
    began = time.time()
    with Connection(target) as connection:
        push = Push(connection, race_id, race.results)
        try:
            push.progress()
        except SyncError:
            _explain(target)
            raise
        print(plain(f"progress is at {target} ({seconds(time.time() - began)})"))
        if facts.closed and target.results:
            _push_results(push, target, facts)
        _remember(race.folder, target, verified=facts.closed and target.results)


def _push_results(push: Push, target: Target, facts: Facts) -> None:
    from wtrace.cli.terminal.transfer_bar import bar
    from wtrace.mirror.arrivals import in_words, left_here, not_whole_in_words

    output, left_out = facts.winner_output, facts.winner_left_out
    with bar(f"results to {target}") as told:
        push.results(told)
    if output is not None:
        with bar(f"the winner's output to {target}") as told:
            push.winner(output, left_out, told)
        if (kept_here := in_words(left_here(output))) is not None:
            print(kept_here)
    with bar("checksums of what arrived"):
        push.verify(output, left_out)
    if (torn := not_whole_in_words(left_out)) is not None:
        print(torn)
    print("everything is there, and the same as here")


def _keep(root: Path, race_id: str, target: Target) -> None:
    """The same as the race's own agent does, told on the terminal."""
    from wtrace.files import write_atomically
    from wtrace.mirror import brief, target_state
    from wtrace.mirror.agent import Agent
    from wtrace.mirror.connection import Connection
    from wtrace.mirror.push import Push
    from wtrace.supervisor.sync_agent import Alarm, RaceFacts

    race = Layout(root).race(race_id)
    file = target_state.state_file(race.folder, target.name)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    facts = RaceFacts(Layout(root), race_id)

    def tell(state: TargetState) -> None:
        write_atomically(file, target_state.encode(state))
        if state.stage != "sending":
            print(plain(f"{time.strftime('%H:%M:%S')} {brief.line(asdict(state), time.time())}"), flush=True)

    with Connection(target) as connection, Alarm(race, facts) as alarm:
        push = Push(connection, race_id, race.results)
        Agent(target, push, facts, alarm, tell, before=target_state.read_state(file)).run()


def _remember(race: Path, target: Target, *, verified: bool) -> None:
    """Tell `wtrace status` that the target was reached, unless an agent keeps its state."""
    from wtrace.files import write_atomically
    from wtrace.mirror import target_state

    now = time.time()
    file = target_state.state_file(race, target.name)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    before = target_state.read_state(file) or target_state.TargetState(target.name, target.host)
    after = replace(before, last_reached=now, error=None, hint=None, seen=None, failing_since=None, tries=0)
    if verified:
        after = replace(after, stage="delivered", verified=now, next_try=None)
    write_atomically(file, target_state.encode(after))


def _explain(target: Target) -> None:
    """What is well and what is not, one line each, before the error itself."""
    from wtrace.mirror.diagnose import questions

    for answer in questions(target):
        print(answer_line(answer), file=sys.stderr)


def answer_line(answer: Answer) -> str:
    """One line of `wtrace doctor`'s kind."""
    mend = f" ({plain(answer.mend, 200)})" if answer.mend else ""
    return f"{answer.state:8} {plain(answer.name)}: {plain(answer.text, 200)}{mend}"
