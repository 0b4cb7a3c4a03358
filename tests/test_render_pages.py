"""The progress page and the reports say what the standing and the evidence say, and nothing a stranger wrote acts."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from standing_samples import (
    STARTED,
    WON,
    big_race,
    evidence_of,
    lost_race,
    point,
    running_race,
    standings_of,
    won_race,
)
from wtrace.cli.terminal.table import status_lines
from wtrace.judging.checks import CheckSummary, CriterionInfo, CriterionStanding
from wtrace.publish.dashboard import model as dashboard
from wtrace.publish.markdown.elements import fenced
from wtrace.publish.markdown.near_misses import closest_to, complements, contested, most_at_once
from wtrace.publish.markdown.progress import progress_page
from wtrace.publish.markdown.report import failure_report, success_report
from wtrace.publish.markdown.report_parts import CHECKS_SHOWN
from wtrace.publish.markdown.validity import FairPlay, fair_play_part
from wtrace.publish.record import CheckRow, Evidence
from wtrace.race.claims import Claim
from wtrace.race.status import ClaimStanding, Happening, RaceStateName, Standing

_PARSER = MarkdownIt("commonmark").enable("table")


def section(page: str, title: str) -> str:
    """The part of a page under a heading that begins so."""
    return next(part for part in page.split("\n## ") if part.startswith(title))


def row(page: str, name: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))


def test_the_progress_page_tells_how_each_target_was_last_reached() -> None:
    page = progress_page(running_race(), ["macbook: last reached 12 min ago; <asleep>"])
    assert section(page, "Mirrors").strip().endswith("- macbook: last reached 12 min ago; &lt;asleep&gt;")
    assert "Mirrors" not in progress_page(running_race())


def test_the_progress_page_of_a_running_race() -> None:
    page = progress_page(running_race())
    assert "early-persistence: running" in page.splitlines()[0]
    assert "**Last updated 2026-09-21T14:25:00Z** (UTC)" in page
    winner_row = row(page, "attention-supervised")
    assert "17/50" in winner_row
    assert "✓ 1.62" in winner_row
    assert "✗ 0.71, needs +0.04" in winner_row
    assert "● running" in winner_row
    assert "✗ 0.02, 0.02 too high" in row(page, "contrastive")
    assert "line 7 is not JSON; 2 bad metrics lines" in row(page, "contrastive")
    assert "○ waiting" in row(page, "multitask")
    best = section(page, "Best so far")
    assert "leader: `attention-supervised`, epoch 15, 4 of 5 met; needs val_accuracy +0.04." in best
    assert "judged at &lt; 0.00025 after correction" in page
    assert "stalled: no metric for 900 s" in page
    assert "Winner" not in page
    assert 1000 < len(page.encode()) < 4096


def test_the_outlook_gives_a_trend_and_an_estimate_or_its_reason() -> None:
    outlook = section(progress_page(running_race()), "Trend")
    assert "rising: attention_ratio" in row(outlook, "attention-supervised")
    assert "no estimate: it is silent" in row(outlook, "pretrained-features")
    assert "multitask" not in outlook


def test_a_control_is_shown_and_never_called_the_best() -> None:
    race = running_race()
    control = replace(race.workers[0], name="baseline", control=True)
    page = progress_page(replace(race, workers=(control, *race.workers[1:])))
    assert "control, cannot win" in row(page, "baseline")
    assert "`pretrained-features`, epoch 10, 2 of 5" in section(page, "Best so far")
    assert "baseline" not in section(page, "Trend")


def test_the_verdict_says_whether_it_was_confirmed_and_what_first_means() -> None:
    page = progress_page(won_race())
    assert "**Winner: `attention-supervised`** at epoch 20, 13 min after the start" in page
    assert "not confirmed on held-out data. First by the clock, not best." in page
    assert "not confirmed" not in progress_page(won_race(confirmed=True))


def test_a_race_whose_supervisor_is_gone_says_so() -> None:
    page = progress_page(replace(running_race(), supervisor_alive=False))
    assert "its supervisor is gone" in page.splitlines()[0]


def test_before_the_first_check_nothing_is_invented() -> None:
    race = running_race()
    page = progress_page(replace(race, workers=race.workers[3:]))
    assert "No check has been judged yet." in page


def test_the_success_report_names_the_winner_and_every_criterion() -> None:
    report = success_report(won_race(), evidence_of(won_race()))
    assert (
        "**`attention-supervised`** was the first to meet every criterion at one check: at epoch **20**"
        in report
    )
    assert (
        "`3f2a9c1d4b5e6f708192a3b4c5d6e7f801234567` of branch `early-persistence/attention-supervised`"
        in report
    )
    assert "**not confirmed on held-out data**. First by the clock, not best." in report
    check = section(report, "The winning check")
    assert "| 1.2e-09 | &lt; 0.01 | &lt; 0.00025 | ✓ yes |" in row(check, "separation")
    assert "| `mean(accuracy) >= 0.75` | 0.81 |" in row(check, "val_accuracy")
    others = section(report, "What the others had reached")
    assert "failed (exit code 1)" in row(others, "contrastive")
    assert "| terminated |" in row(others, "pretrained-features")
    assert "epoch 10" in row(others, "pretrained-features")
    assert "CUDA out of memory" in others
    assert "| `attention-supervised`" not in others
    assert "wtrace run --config wtrace.toml" in section(report, "How to reproduce")
    assert "| python | 3.11.9 |" in section(report, "Environment")
    assert "m = 40" in section(report, "The rules")
    assert "9 checks" in section(report, "Every check")


def test_the_winning_check_is_the_one_in_the_evidence() -> None:
    race = won_race()
    evidence = evidence_of(race)
    changed = [
        replace(check, criteria=standings_of((1.7, 0.77, 1e-6, 0.75, 380)))
        if (check.worker, check.epoch) == ("attention-supervised", 20)
        else check
        for check in evidence.checks
    ]
    report = success_report(race, replace(evidence, checks=tuple(changed)))
    assert "| 0.77 |" in row(section(report, "The winning check"), "val_accuracy")


def test_there_is_no_success_report_without_a_winner() -> None:
    with pytest.raises(ValueError, match="winner"):
        success_report(lost_race(), evidence_of(lost_race()))


def test_the_failure_report_says_who_came_how_close_and_what_to_combine() -> None:
    report = failure_report(lost_race(), evidence_of(lost_race()))
    closest = section(report, "The closest approach")
    assert "`pretrained-features` | 10 | ✓ 0.79" in closest
    assert "`attention-supervised` | 15 | ✓ 1.62" in closest
    assert "`attention-supervised` at epoch 15 met 4 of 5" in section(report, "Most criteria")
    combine = section(report, "What to combine")
    assert "only `attention-supervised` met `attention_ratio`, `separation`, `consistency`" in combine
    assert "only `pretrained-features` met `val_accuracy`" in combine
    assert "between them they met every criterion" in combine
    ended = section(report, "How each ended")
    assert "failed (exit code 3)" in row(ended, "pretrained-features")
    assert "RuntimeError: NaN loss" in ended
    assert "lost (nobody saw how)" in row(ended, "contrastive")


def refuted_race() -> tuple[Standing, Evidence]:
    """Nobody won: attention-supervised met everything at two checks, and held-out data refuted it."""
    why = "held-out val_accuracy 0.7, needs ≥ 0.75"
    race = lost_race()
    refuted = replace(
        race.workers[0], state="refuted", best=point(20, WON),
        claim=ClaimStanding(20, "refuted", why=why), ruled_out=f"refuted: {why}",
    )  # fmt: skip
    perfect = [CheckRow(refuted.name, 1, e, STARTED + e, standings_of(WON)) for e in (20, 25)]
    evidence = evidence_of(race)
    claims = (Claim(1, refuted.name, 20, "best.pt", status="refuted", why=why),)
    race = replace(race, workers=(refuted, *race.workers[1:]))
    return race, replace(evidence, checks=(*evidence.checks, *perfect), confirmed=True, claims=claims)


def test_a_worker_that_was_refuted_is_told_as_such_in_the_failure_report() -> None:
    report = failure_report(*refuted_race())
    assert "before a worker had met" not in report
    assert "none met every criterion" not in report
    assert "never all at one check" not in report
    assert (
        "`attention-supervised` met every criterion at epochs 20 and 25; "
        "refuted at epoch 20: held-out val_accuracy 0.7, needs ≥ 0.75"
    ) in report
    assert "1.94" not in section(report, "The closest approach"), "a refuted check is no approach"


@pytest.mark.parametrize("state", ["no_winner", "stopped", "interrupted"])
def test_checks_that_did_not_count_are_no_missing_checks(state: RaceStateName) -> None:
    race, evidence = refuted_race()
    unfair = replace(race.workers[0], claim=None, ruled_out="the judge was changed in its branch")
    race = replace(race, state=state, workers=(unfair, *race.workers[1:]))
    report = failure_report(race, replace(evidence, claims=()))
    assert "its checks do not count: the judge was changed in its branch" in report
    assert "had met every criterion" not in report


def test_no_page_calls_a_refuted_worker_the_leader_or_the_closest() -> None:
    race, _ = refuted_race()
    going_on = replace(
        race, state="running", ended=None, workers=(race.workers[0], *running_race().workers[1:])
    )
    for each in (race, going_on):
        best = section(progress_page(each), "Best so far")
        assert "attention-supervised" not in best
        assert "`pretrained-features`, epoch 10, 2 of 5 met" in best


def test_a_race_without_a_check_has_a_report_too() -> None:
    race = replace(lost_race(), state="stopped")
    report = failure_report(race, Evidence(checks=()))
    assert "stopped before" in report
    assert "**No winner:** no check was judged: " in report
    assert "What to combine" not in report


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ([("a", (1.0, 0.1, 0.5, 0.1, 5))], "nothing to combine yet"),
        (
            [("a", (1.6, 0.1, 1e-9, 0.9, 400)), ("a", (1.0, 0.9, 0.5, 0.1, 400))],
            "`a` alone met every criterion",
        ),
        (
            [("a", (1.6, 0.1, 0.5, 0.1, 400)), ("b", (1.0, 0.1, 0.5, 0.1, 400))],
            "No two complement one another",
        ),
        ([("a", (1.6, 0.1, 0.5, 0.1, 5)), ("b", (1.0, 0.9, 0.5, 0.1, 5))], "neither met `separation`"),
    ],
)
def test_advice_on_what_to_combine(values: list[tuple[str, tuple[float, ...]]], advice: str) -> None:
    checks = tuple(CheckRow(name, 1, 5 * i, float(i), standings_of(v)) for i, (name, v) in enumerate(values))
    assert advice in section(failure_report(lost_race(), Evidence(checks=checks)), "What to combine")


def test_controls_and_unjudged_checks_count_for_nothing() -> None:
    race = lost_race()
    control = replace(race.workers[0], control=True)
    race = replace(race, workers=(control, *race.workers[1:]))
    perfect = standings_of((9.0, 0.99, 1e-12, 1.0, 400))
    checks = (
        CheckRow("attention-supervised", 1, 5, 1.0, perfect),
        CheckRow("contrastive", 1, 0, 2.0, perfect, judged=False),
        CheckRow("contrastive", 1, 5, 3.0, standings_of((1.1, 0.6, 0.5, 0.3, 400))),
    )
    counted = contested(race, Evidence(checks=checks))
    assert [(check.worker, check.epoch) for check in counted] == [("contrastive", 5)]


def test_the_closest_is_the_best_value_in_the_direction_of_the_operator() -> None:
    checks = [
        CheckRow("a", 1, 5, 1.0, standings_of((1.2, 0.7, 0.3, 0.1, 400))),
        CheckRow("b", 1, 5, 2.0, standings_of((1.4, 0.6, 0.2, 0.1, 400))),
        CheckRow("c", 1, 5, 3.0, standings_of((1.4, 0.65, 0.4, 0.1, 400))),
    ]
    ratio, p_value = closest_to("attention_ratio", checks), closest_to("separation", checks)
    assert ratio is not None
    assert p_value is not None
    assert (ratio.worker, p_value.worker) == ("b", "b")
    best = most_at_once(checks)
    assert best is not None
    assert best.worker == "b"
    assert complements(["attention_ratio"], checks) is None


def test_every_page_and_table_tells_when_a_worker_would_succeed_and_how_sure_that_is() -> None:
    race = running_race()
    ratios = [1.0, 1.18, 1.27, 1.36, 1.4, 1.45]

    def checks(values: list[float]) -> tuple[CheckSummary, ...]:
        met = (False, True, True, True, True)
        return tuple(
            CheckSummary(5 * n, race.started + 600.0 * n, (ratio, 0.8, 1e-9, 0.9, 400), met)
            for n, ratio in enumerate(values, start=1)
        )

    rising = replace(race.workers[0], recent=checks(ratios), state="running", max_epochs=200)
    falling = replace(race.workers[1], recent=checks(ratios[::-1]), state="running")
    race = replace(race, at=race.started + 3600.0, workers=(rising, falling), winner=None)
    pages = (
        section(progress_page(race), "Trend"),
        "\n".join(status_lines(race, 200, race.at)),
        "\n".join(each.eta for each in dashboard.model(race).rows),
    )
    for page in pages:
        assert re.search(r"about 20 min \(10\S30\)", page.replace("\\", "")), page
        assert "not on this trend" in page


def test_what_was_looked_at_for_fair_play_is_told_whatever_was_found() -> None:
    nothing = fair_play_part(FairPlay(), confirmed=True)
    for said in (
        "no file that judges was named",
        "no training reported a checksum",
        "samples carry no ids, so",
        "no training reported code from outside",
        "no worktree held uncommitted changes",
        "is not known: the confirmation's samples carry no ids",
    ):
        assert said in nothing, said
    found = fair_play_part(
        FairPlay(
            judge_files={"evaluate.py": "ab12"},
            data={"a": "sha256:one", "b": "sha256:two"},
            ids_agree=True,
            foreign={"b": "/repo/model.py"},
            strict=True,
            patches={"a": "cd34"},
            uncounted=(("b", 5, "its data are not those of a"),),
            held_out_uses=(1, 1),
        ),
        confirmed=True,
    )
    for said in (
        "byte-equal in every branch at the start, and hashed again at each claim: `evaluate.py` (sha256 `ab12`)",
        "**not trained on the same data**",
        "judged on the same samples, by their ids",
        "`b` ran code from outside of its worktree, refused (`--strict`): /repo/model",
        "`a` raced with uncommitted changes, kept as `uncommitted.patch` (sha256 `cd34`)",
        "`b` met every criterion at epoch 5, which did not count: its data are not those of a",
        "used 1 time to confirm a claim, in 1 race of this repo",
    ):
        assert said in found, said
    assert "same data, by checksum `x`: `a`, `b`" in fair_play_part(
        FairPlay(data={"a": "x", "b": "x"}), confirmed=False
    )
    assert "held-out" not in fair_play_part(FairPlay(), confirmed=False)
    assert "**not comparable, and not counted**: `b`, whose samples carry no ids" in fair_play_part(
        FairPlay(ids_agree=True, without_ids=("b",)), confirmed=False
    )


def test_a_report_of_many_checks_stays_small_and_says_what_it_left_out() -> None:
    race = lost_race()
    checks = tuple(
        CheckRow("contrastive", 1, i, float(i), standings_of((1.1, 0.6, 0.5, 0.3, 400)))
        for i in range(20_000)
    )
    report = failure_report(race, Evidence(checks=checks))
    assert f"The latest {CHECKS_SHOWN} of 20000" in report
    assert len(report) < 400_000


@given(st.text())
def test_whatever_a_block_of_code_holds_stays_inside(text: str) -> None:
    tokens = _PARSER.parse(f"{fenced(text)}\n\nafter\n")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


HOSTILE = st.one_of(
    st.text(),
    st.sampled_from(["a|b", "`x`", "</details>", "\x1b[2J", "\u202ecod", "\n# h\n", "@all", "[l](u)", "\ud800", "~~~", "```"]),
)  # fmt: skip


def hostile_race(race: Standing, texts: list[str]) -> Standing:
    name, branch, note, commit = texts
    first = replace(race.workers[0], name=name, branch=branch, note=note, commit=commit)
    criteria = (replace(race.criteria[0], name=name, text=note), *race.criteria[1:])
    return replace(
        race,
        name=name,
        id=branch,
        workers=(first, *race.workers[1:]),
        winner=name if race.winner else None,
        criteria=criteria,
        happenings=(Happening(race.at, note),),
    )


def shape(page: str) -> list[str]:
    """The blocks of a page, without what stands in them."""
    return [token.type for token in _PARSER.parse(page)]


@settings(max_examples=30, deadline=None)
@given(st.lists(HOSTILE.filter(bool), min_size=4, max_size=4))
def test_hostile_names_change_no_page_s_structure(texts: list[str]) -> None:
    for race in (running_race(), won_race(), lost_race()):
        hostile = hostile_race(race, texts)
        tame = hostile_race(race, ["a", "b", "c", "d"])
        evidence = replace(
            evidence_of(hostile), environment={texts[0]: texts[1]}, config=texts[2], commands=(texts[3],)
        )
        calm = replace(evidence_of(tame), environment={"a": "b"}, config="c", commands=("d",))
        report = success_report if race.winner else failure_report
        for page, model in (
            (progress_page(hostile), progress_page(tame)),
            (report(hostile, evidence), report(tame, calm)),
        ):
            assert shape(page) == shape(model)
            assert not [c for c in page if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"]


def test_sixty_four_workers_make_a_page_too() -> None:
    page = progress_page(big_race(64))
    assert sum(line.startswith("| `approach-") for line in page.splitlines()) >= 64


def test_values_near_their_threshold_and_near_one_another_are_told_apart_everywhere() -> None:
    """`val_bpb <= 0.9979` was shown as ≤ 0.998, and 0.9982 as ✗ 0.998."""
    info = CriterionInfo("val_bpb", "val_bpb <= 0.9979", "<=", 0.9979, 0.9979)
    race = running_race()
    values = (0.9982, 0.99814, 1.25)
    workers = tuple(
        replace(
            worker,
            criteria=(CriterionStanding("val_bpb", value, "<=", 0.9979, met=False),),
            recent=(CheckSummary(5, race.started, (value,), (False,)),),
            best=None,
        )
        for worker, value in zip(race.workers, values, strict=False)
    )
    race = replace(race, criteria=(info,), workers=workers)
    cells = [cell for row in dashboard.model(race).rows for cell in row.cells]
    board = " ".join(f"{cell.value} {cell.bound}" for cell in cells)
    for page in ("\n".join(status_lines(race, 160, race.at)), progress_page(race), board):
        for shown in ("0.9982", "0.9981", "≤ 0.9979"):
            assert shown in page.replace("\\", ""), (shown, page)
