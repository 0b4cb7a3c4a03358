"""Races with their curves, for the dashboard: any size, any ending, hostile names."""

from __future__ import annotations

import math
import random
import struct
import zlib
from dataclasses import replace
from pathlib import Path

from standing_samples import CRITERIA, STARTED, met_by, running_race, standings_of, won_race
from wtrace.judging.checks import CheckSummary
from wtrace.publish.dashboard import Band, Curves
from wtrace.race.status import Happening, Standing, WorkerStanding, WorkerState

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\u65e5\u672c\u8a9e\u306e\u67b6\u7a7a\u306e\u679d\u540d \u4e2d\u6587\u5206\u652f",
    "x" * 200,
    "{{ 7 * 7 }} {% raw %} </script><!-- \u2028 \x1b[31m \ud800",
)


def curves_of(standing: Standing, *, bands: bool = False) -> Curves:
    """The recent checks of a standing as curves."""
    curves = Curves()
    for worker in standing.workers:
        for check in worker.recent:
            curves.add(worker.name, check, bands_of(check) if bands else ())
    return curves


def bands_of(check: CheckSummary) -> list[Band | None]:
    """Intervals such as samples would give: none for p values and counts."""
    wide = (0.07, 0.04, None, 0.05, None)
    rows = zip(check.values, wide, strict=True)
    return [
        None if value is None or width is None else (value - width, value + width) for value, width in rows
    ]


def learned(epoch: int, last: int, chance: random.Random, start: float, goal: float) -> tuple[float, ...]:
    """Values as a training gives them: quick at first, noisy, slower later."""
    done = 1 - math.exp(-3 * epoch / last)
    ratio = start + (goal - start) * done + chance.gauss(0, 0.03)
    p = 10 ** min(0.0, -4.2 * max(0.0, ratio - 1.22) / 0.3 + chance.gauss(0, 0.3))
    accuracy = min(1.0, 0.5 + 0.34 * done + chance.gauss(0, 0.012))
    return ratio, accuracy, p, min(1.0, max(0.0, 0.25 + 0.45 * (ratio - 0.9))), 400.0


def trained(
    name: str,
    checks: int,
    every: int,
    last: int,
    seed: int,
    state: WorkerState = "running",
    goal: float = 1.5,
) -> tuple[WorkerStanding, list[CheckSummary]]:
    """A worker that has been judged so often, and its checks."""
    chance = random.Random(seed)
    start = chance.uniform(0.95, 1.05)
    points = []
    for k in range(1, checks + 1):
        values = learned(k * every, last, chance, start, goal)
        points.append(CheckSummary(k * every, STARTED + 41 * k * every + seed, values, met_by(values)))
    row = WorkerStanding(
        name=name,
        branch=f"early-persistence/{name}",
        commit="3f2a9c1d4b5e6f708192a3b4c5d6e7f801234567",
        state=state,
        max_epochs=last,
        pid=4711 + seed,
        attempt=1,
        epoch=min(last, checks * every + (2 if state == "running" else 0)),
        criteria=standings_of(points[-1].values) if points else (),  # type: ignore[arg-type]
        checks=checks,
        started=STARTED,
        recent=tuple(points[-32:]),
        best=max(points, key=lambda p: (sum(p.met), p.values[0]), default=None),
    )
    return row, points


def race_of(workers: int, checks: int, *, every: int = 5, bands: bool = True) -> tuple[Standing, Curves]:
    """A running race of so many workers with so many checks each."""
    states: list[WorkerState] = [
        "running",
        "running",
        "running",
        "stalled",
        "running",
        "failed",
        "running",
        "finished",
    ]
    names = ("attention-supervised", "pretrained-features", "contrastive", "multi-task", "baseline")
    curves = Curves()
    rows = []
    for n in range(workers):
        state = states[n % len(states)] if n else "running"
        name = names[n] if n < len(names) else f"approach-{n + 1:02}"
        row, points = trained(
            name, checks, every, checks * every * 5 // 3, n, state, goal=1.62 - 0.035 * ((n * 5) % 16)
        )
        if state == "failed":
            row = replace(row, note="RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB")
        rows.append(replace(row, control=n == 4))
        for point in points:
            curves.add(name, point, bands_of(point) if bands else ())
    at = max(row.recent[-1].at for row in rows) + 12
    told = tuple(
        Happening(check.at, f"{row.name} check at epoch {check.epoch}: {sum(check.met)} of 5 criteria met")
        for row in rows
        for check in row.recent[-6:]
    )
    happenings = tuple(sorted(told, key=lambda happening: happening.at))[-30:]
    race = replace(running_race(), workers=tuple(rows), at=at, happenings=happenings)
    return race, curves


def hostile_race() -> Standing:
    """The race of four with names, notes and happenings that want to be more than text."""
    race = running_race()
    rows = [
        replace(
            race.workers[n % 4],
            name=HOSTILE[n],
            branch=HOSTILE[n],
            note=f"Traceback: {HOSTILE[n]}",
        )
        for n in range(len(HOSTILE))
    ]
    criteria = (replace(CRITERIA[0], name=HOSTILE[0], text=HOSTILE[1]), *CRITERIA[1:])
    rows = [
        replace(
            row,
            criteria=tuple(replace(c, name=HOSTILE[0]) if n == 0 else c for n, c in enumerate(row.criteria)),
        )
        for row in rows
    ]
    return replace(
        race,
        name=HOSTILE[1],
        id=HOSTILE[5],
        workers=tuple(rows),
        criteria=criteria,
        happenings=tuple(Happening(STARTED + 60 * n, text) for n, text in enumerate(HOSTILE)),
    )


def shifted(standing: Standing, now: float) -> Standing:
    """The same race, so much later that it stands at `now`."""
    by = now - standing.at

    def later(at: float | None) -> float | None:
        return None if at is None else at + by

    def point(check: CheckSummary) -> CheckSummary:
        return replace(check, at=check.at + by)

    rows = [
        replace(
            row, recent=tuple(map(point, row.recent)), best=None if row.best is None else point(row.best),
            started=later(row.started), ended=later(row.ended),
        )
        for row in standing.workers
    ]  # fmt: skip
    return replace(
        standing, at=now, started=standing.started + by, decided=later(standing.decided), ended=later(standing.ended),
        workers=tuple(rows), happenings=tuple(replace(h, at=h.at + by) for h in standing.happenings),
    )  # fmt: skip


def picture(path: Path, width: int = 640, height: int = 400) -> Path:
    """A small PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        b"\0" + bytes(c for x in range(width) for c in (40 + 160 * x // width, 90 + 120 * y // height, 190))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def won_at_length() -> tuple[Standing, Curves]:
    """A race of four, won at its ninth check."""
    race, curves = race_of(4, 9)
    winner = race.workers[0]
    values = (1.62, 0.81, 3.1e-6, 0.83, 400.0)
    winning = CheckSummary(50, race.at - 10, values, met_by(values))
    curves.add(winner.name, winning, bands_of(winning))
    ends = won_race().workers
    rows = [
        replace(winner, state="won", epoch=50, criteria=standings_of(values), recent=(*winner.recent, winning), best=winning, exit=ends[0].exit),
        *(replace(row, state=end.state, exit=end.exit, note=end.note) for row, end in zip(race.workers[1:], ends[1:], strict=True)),
    ]  # fmt: skip
    told = (
        *race.happenings,
        Happening(race.at - 10, f"{winner.name} WINS at epoch 50 (confirmed on held-out data)"),
    )
    race = replace(
        race, workers=tuple(rows), state="won", winner=winner.name, winner_epoch=50, decided=race.at - 10,
        ended=race.at - 3, confirmed=True, happenings=told,
    )  # fmt: skip
    return race, curves


def unjudged_race() -> Standing:
    """A race in which nobody has started."""
    rows = [
        replace(row, recent=(), best=None, criteria=(), state="waiting", epoch=0, note=None, bad_lines=0)
        for row in running_race().workers
    ]
    return replace(running_race(), workers=tuple(rows), happenings=())
