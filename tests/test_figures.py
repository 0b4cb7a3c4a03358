"""The figures: what is drawn is what was recorded; whatever a race lacks, the others are drawn."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from figure_samples import EPOCH_S, NAMES, PLAIN, STARTED, Race, content_at, race, renamed, spec_of
from wtrace.cli.commands.report import plot
from wtrace.errors import ToolError, UsageError
from wtrace.judging import referee
from wtrace.publish import savings
from wtrace.publish.figures import draw as drawings
from wtrace.publish.figures import sheet
from wtrace.publish.figures.before_after import objects_of
from wtrace.publish.figures.draw import TIMELINE, draw_all, make, make_sheet
from wtrace.publish.figures.figure_data import MOST_INTERVALS, Content, NotDrawableError
from wtrace.publish.figures.sample_grid import grid_of, overall, selected
from wtrace.publish.figures.separation import separation_of
from wtrace.publish.figures.style import DARK, LIGHT, Theme, drawing, png
from wtrace.race import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Bbox

    from race_lab import Lab
    from wtrace.publish.figures.figure_data import FigureEvidence

ALL = {
    "attention_ratio_progression.png",
    "before_after_comparison.png",
    "distribution_separation.png",
    "sample_level_grid.png",
    "SUCCESS_VISUALIZATION.png",
    "race_timeline.png",
}


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with drawing(LIGHT):
        yield


def words(figure: FigureBase) -> str:
    """Every text of a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))


def points(line: Line2D) -> list[tuple[float, float]]:
    """What a line goes through."""
    xs, ys = np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()
    return list(zip(xs, ys, strict=True))


def bars_of(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def tiles_of(figure: Figure, panel: int) -> np.ndarray:
    """The values behind the tiles; NaN where there is none."""
    found = figure.axes[panel].images[0].get_array()
    assert isinstance(found, np.ma.MaskedArray)
    return np.asarray(found.filled(np.nan))


def with_chosen(made: Race, content: Content) -> FigureEvidence:
    """The race's evidence, the winning check of which held something else."""
    evidence = made.evidence()
    assert evidence.chosen is not None
    return replace(evidence, chosen=replace(evidence.chosen, content=content))


def test_every_figure_is_written_and_decodes(tmp_path: Path) -> None:
    drawn = draw_all(tmp_path / "success_viz", race(60).evidence(), (LIGHT, DARK))
    assert {path.name for path in drawn.paths} == ALL | {name.replace(".png", "_dark.png") for name in ALL}
    assert drawn.left_out == drawn.failed == {}
    assert {path.name for path in (tmp_path / "success_viz").iterdir()} == {path.name for path in drawn.paths}
    for path in drawn.paths:
        image = matplotlib.image.imread(path)
        assert image.shape[1] in (1800, 3450), path.name  # 150 dots per inch
        corner = image[0, 0, :3].mean()
        assert (corner < 0.2) == path.name.endswith("_dark.png")


def test_the_same_evidence_gives_the_same_bytes_whatever_matplotlibrc_says() -> None:
    evidence = race(40).evidence()
    for name in ("attention_ratio_progression", "distribution_separation", TIMELINE):
        first = png(make(name, evidence, LIGHT))
        with (
            mpl.rc_context({"axes.linewidth": 5, "xtick.major.size": 20}),
            drawing(LIGHT),
        ):  # a user's matplotlibrc
            assert png(make(name, evidence, LIGHT)) == first, name
    assert b"Software" not in png(make(TIMELINE, evidence, LIGHT))


def test_curves_are_the_recorded_values_with_threshold_zone_and_star() -> None:
    made = race(60, spec_of(control="contrastive"))
    axes = make("attention_ratio_progression", made.evidence(), LIGHT).axes[0]
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    for row in made.standing.workers:
        label = f"{row.name} (control)" if row.control else row.name
        recorded = [(p.epoch, p.values[0]) for p in row.recent]
        assert points(lines[label]) == recorded, row.name
        assert (lines[label].get_linestyle() == "--") == row.control
    threshold = next(line for line in axes.get_lines() if line.get_color() == LIGHT.zone)
    assert [y for _, y in points(threshold)] == [1.5, 1.5]
    zone = next(patch for patch in axes.patches if patch.get_alpha() == 0.09)
    assert zone.get_extents().y0 == pytest.approx(axes.transData.transform((0, 1.5))[1])
    assert "success\n≥ 1.5" in words(axes.figure)
    assert points(lines["the winning check"]) == [(20, made.standing.workers[0].recent[-1].values[0])]


def test_bands_are_the_referees_intervals() -> None:
    made = race(60)
    evidence = made.evidence()
    line = next(line for line in made.lines if line.worker == NAMES[0] and line.epoch == 15)
    expected = referee.interval(made.spec.success[0], line.content().metrics, line.content().samples)
    assert expected is not None
    point = next(point for point in evidence.curves[NAMES[0]] if point.epoch == 15)
    assert point.interval == expected
    figure = make("attention_ratio_progression", evidence, LIGHT)
    axes = figure.axes[0]
    assert "winning check: attention-supervised, epoch 20" in words(figure)
    corners = [
        vertex
        for band in axes.collections
        for path in band.get_paths()
        for vertex in np.asarray(path.vertices).tolist()
    ]
    assert [15, expected.low] in corners
    assert [15, expected.high] in corners


def test_a_long_race_has_a_band_for_the_pictured_worker_only() -> None:
    made = race(20, spec_of(max_epochs=200), until=200)
    assert sum(row.checks for row in made.standing.workers) > MOST_INTERVALS
    banded = {
        name for name, curve in made.evidence().curves.items() if any(point.interval for point in curve)
    }
    assert banded == {NAMES[0]}


def test_before_and_after_are_the_recorded_objects_of_the_same_worker() -> None:
    evidence = race(30).evidence()
    figure = make("before_after_comparison", evidence, LIGHT)
    for axes, check in zip(figure.axes, (evidence.before, evidence.chosen), strict=True):
        assert check is not None
        assert check.worker == NAMES[0]
        values = check.content.objects["value"]
        kinds = check.content.objects["kind"]
        assert isinstance(values, list)
        assert isinstance(kinds, list)
        assert sorted(bar.get_height() for bar in bars_of(axes)) == pytest.approx(sorted(values))
        mean = {
            k: np.mean([v for v, kind in zip(values, kinds, strict=True) if kind == k]) for k in set(kinds)
        }
        assert f"ratio {mean['persistent'] / mean['transient']:.3g}" in axes.get_title(loc="left")
    assert (evidence.before.epoch, evidence.chosen.epoch) == (0, 20)  # type: ignore[union-attr]


def test_the_statistics_are_those_of_the_samples() -> None:
    content = Content(
        {}, {"persistent": [2.0, 4.0, 6.0, 1.0], "transient": [1.0, 2.0, 2.0, 1.0], "accuracy": [1.0] * 4}
    )
    text = words(make("distribution_separation", with_chosen(race(30), content), LIGHT))
    # by hand: means 3.25 and 1.5; differences 1, 2, 4, 0 with mean 1.75 and sd 1.708; pooled sd sqrt((4.9167 + 0.3333) / 2)
    assert "paired 1.02 (of the differences), pooled 1.08" in text
    assert "ratio of means 2.17" in text
    assert "75.0 % of the samples are above it" in text
    for number in ("3.25", "2.22", "1.5", "0.577"):
        assert f"\n{number}\n" in text


def test_the_p_value_shown_is_the_recorded_one() -> None:
    evidence = race(60).evidence()
    assert evidence.chosen is not None
    results = tuple(
        replace(r, value=0.000123) if r.name == "separation" else r for r in evidence.chosen.results
    )
    evidence = replace(evidence, chosen=replace(evidence.chosen, results=results))
    assert "p = 0.00012, met: judged at < 0.00025 after correction" in words(
        make("distribution_separation", evidence, LIGHT)
    )


def test_without_a_p_criterion_the_first_ratio_of_columns_is_compared() -> None:
    made = race(30, spec_of('consistency = "fraction(transient / persistent < 0.9) >= 0.5"'))
    found = separation_of(made.evidence())
    assert found.names == ("transient", "persistent")
    assert "p = " not in words(make("distribution_separation", made.evidence(), LIGHT))


def test_passing_samples_are_counted_as_by_hand() -> None:
    samples = {
        "id": ["a", "b", "c", "d", "e"],
        "persistent": [3.0, 1.4, 1.0, None, 2.6],
        "transient": [1.0, 1.0, 1.0, 1.0, 2.0],
        "accuracy": [0.8, 0.7, 0.9, 0.9, 0.75],
    }
    evidence = with_chosen(race(30), Content({}, samples))
    grid = grid_of(evidence)
    assert grid.names == ("a", "b", "e", "c", "d")  # by the ratio; without one last
    assert grid.passed.tolist() == [True, False, False, False, False]  # e is at 1.3, not above it
    figure = make("sample_level_grid", evidence, LIGHT)
    assert "Sample by sample: 1 of 5 pass (20.0 %)" in words(figure)
    assert "2 of 5 pass (40.0 %)" in words(figure)
    assert "4 of 5 pass (80.0 %)" in words(figure)
    assert overall(grid) == (
        "Overall, of the means: persistent / transient = 1.667 · accuracy = 0.81 · 1 PASS, 4 FAIL"
    )
    assert np.nansum(tiles_of(figure, 0)) == 1


def test_a_thousand_samples_are_tiles_and_a_few_rows_of_text() -> None:
    evidence = race(1000).evidence()
    grid = grid_of(evidence)
    shown = [at for _, members in selected(grid) for at in members]
    assert len(shown) == len(set(shown)) == 15
    limit = int(grid.each_passed[0].sum())
    assert {limit - 1, limit} <= set(shown)
    figure = make("sample_level_grid", evidence, LIGHT)
    assert np.isfinite(tiles_of(figure, 1)).sum() == 1000


def test_the_timeline_has_each_run_and_what_was_not_trained() -> None:
    made = race(30)
    pause: list[ev.Event] = [
        ev.WorkerPaused(STARTED + 300, NAMES[1]),
        ev.WorkerUnpaused(STARTED + 420, NAMES[1]),
    ]
    restart: list[ev.Event] = [
        ev.WorkerExited(STARTED + 600, NAMES[1], 1, 1, None, True),
        ev.WorkerStarted(STARTED + 660, NAMES[1], 2, 9, "h"),
    ]
    events: list[ev.Event] = [*made.events, *pause, *restart]
    events.sort(key=lambda event: event.at)
    evidence = replace(made, events=events).evidence()
    axes = make(TIMELINE, evidence, LIGHT).axes[0]
    second = [bar for bar in bars_of(axes) if bar.get_y() + bar.get_height() / 2 == pytest.approx(1)]
    spans = [(round(bar.get_x(), 2), round(bar.get_width(), 2)) for bar in second]
    left = 14 * EPOCH_S[NAMES[1]] / 60
    assert spans == [(0.02, 9.98), (11.0, 14.07), (5.0, 2.0), (25.07, round(left, 2))]
    assert "■ terminated, epoch 36/50; 10 min not needed" in words(axes.figure)
    assert "■ skipped" not in words(axes.figure)


def test_the_saving_is_epochs_times_pace_and_money_is_the_machines() -> None:
    made = race(30)
    found = {each.worker: each for each in savings.savings(made.standing)}
    left = {"attention-supervised": 30, "pretrained-features": 14, "contrastive": 33, "multi-task": 29}
    assert {name: each.epochs for name, each in found.items()} == left
    assert {name: each.epoch_s for name, each in found.items()} == pytest.approx(EPOCH_S)
    total_s = sum(left[name] * EPOCH_S[name] for name in NAMES)
    assert sum(each.seconds for each in found.values()) == pytest.approx(total_s)
    told = savings.told(tuple(found.values()), 3.06)
    assert told.endswith(f"a cost of {33 * 88 / 3600 * 3.06:.2f} at 3.06 per hour")
    failed = tuple(replace(row, state="failed") for row in made.standing.workers)
    assert savings.savings(replace(made.standing, workers=failed)) == ()
    assert savings.savings(race(30, winner=None).standing) == ()


def test_without_a_winner_the_closest_approach_is_drawn_and_called_so() -> None:
    evidence = race(40, winner=None).evidence()
    for name in drawings.PARTS:
        assert "closest approach (no winner): attention-supervised, epoch 20" in words(
            make(name, evidence, LIGHT)
        )
    text = words(make_sheet(list(drawings.PARTS), evidence, LIGHT))
    assert "No winner. Closest approach: attention-supervised at epoch 20" in text
    assert "winning check" not in text


def test_the_banner_says_who_won_by_what_and_whether_it_was_confirmed() -> None:
    text = words(make_sheet([], race(60).evidence(), LIGHT))
    assert "★ attention-supervised won at epoch 20" in text
    assert "not confirmed on held-out data" in text
    assert "✓ samples  60 (≥ 20)" in text
    held_out = content_at(1.8, 99, 60)
    confirmed = race(60, confirmed=True).evidence(held_out)
    text = words(make_sheet([], confirmed, LIGHT))
    interval = referee.interval(spec_of().success[0], {}, held_out.samples)
    assert interval is not None
    assert " · confirmed on held-out data · " in text
    assert f"(95 % interval {interval.low:.3g} to {interval.high:.3g})" in text
    assert "held-out 60" in text


def test_figures_that_a_race_has_no_data_for_are_left_out_with_a_reason(tmp_path: Path) -> None:
    made = race(4, spec_of(PLAIN, "[]"))
    bare = [replace(line, content=lambda: Content({"val_loss": 0.4})) for line in made.lines]
    (tmp_path / "sample_level_grid.png").write_bytes(b"of an earlier drawing")
    drawn = draw_all(tmp_path, replace(made, lines=bare).evidence())
    assert {path.name for path in drawn.paths} == {
        "attention_ratio_progression.png",
        "SUCCESS_VISUALIZATION.png",
        "race_timeline.png",
    }
    assert drawn.left_out == {
        "before_after_comparison.png": "the check of attention-supervised at epoch 0: it names no objects (columns `kind` and `value`)",
        "distribution_separation.png": "no criterion compares two columns of the samples",
        "sample_level_grid.png": "[figures] sample_pass does not say when a sample passes",
    }
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in drawn.paths
    }  # not the earlier one


def test_a_race_without_any_check_has_a_banner(tmp_path: Path) -> None:
    made = race(4, winner=None)
    rows = tuple(replace(row, best=None, recent=(), checks=0) for row in made.standing.workers)
    drawn = draw_all(
        tmp_path, Race(made.spec, replace(made.standing, workers=rows), [], made.events).evidence()
    )
    assert {path.name for path in drawn.paths} == {"SUCCESS_VISUALIZATION.png", "race_timeline.png"}
    assert set(drawn.left_out.values()) == {"no check was judged"}


def test_one_figure_that_fails_does_not_break_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a\x1b[31mb")

    monkeypatch.setattr(drawings, "PARTS", {**drawings.PARTS, "sample_level_grid": broken})
    drawn = draw_all(tmp_path, race(30).evidence())
    assert drawn.failed == {"sample_level_grid.png": "ZeroDivisionError: a\\x1b[31mb"}
    assert {path.name for path in drawn.paths} == ALL - {"sample_level_grid.png"}


HOSTILE = {
    NAMES[0]: r"$\frac{1}{0}$ $x_$",
    NAMES[1]: "注意力監督学習 \U00010000",
    NAMES[2]: "a\x1b[31m\u202eb\n$",
    NAMES[3]: "x" * 300,
}


@pytest.mark.filterwarnings("error")
def test_hostile_names_are_shown_as_they_are_and_draw_without_a_warning() -> None:
    evidence = renamed(race(40), HOSTILE).evidence()
    for figure in (
        *[make(name, evidence, LIGHT) for name in (*drawings.PARTS, TIMELINE)],
        make_sheet(list(drawings.PARTS), evidence, LIGHT),
    ):
        png(figure)
        text = words(figure)
        assert r"$\frac{1}{0}$ $x_$" in text
        assert "\U00010000" not in text  # no font has it
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "x" * 60 not in text
    assert "a\\x1b[31m\\u202eb\\x0a$" in words(make(TIMELINE, evidence, LIGHT))


@pytest.mark.filterwarnings("error")
def test_samples_and_objects_may_be_anything() -> None:
    good = content_at(1.9, 20, 40)
    strange = [math.nan, math.inf, None, True, "x", 1e300, -1, 0]
    samples = {
        **good.samples,
        "persistent": [*strange, *[1.5] * 32],
        "id": [f"$id_{i}$\x07" for i in range(40)],
    }
    kinds = ["a", 1, None, "$k$", "b", "c"]
    values = [1, math.nan, 2, 3, 10**400, True]
    objects = {"kind": kinds, "value": values, "sample": ["s", [], {}, "\x1b", None, 7]}
    assert [(each.kind, each.value) for each in objects_of(objects)] == [("a", 1), ("$k$", 3)]
    many = [
        Content({}, samples, objects),
        Content({}, {"persistent": "no", "accuracy": []}, {"kind": 3, "value": []}),
    ]
    many.append(Content({}, {"persistent": [1.0] * 30, "transient": [1.0] * 30, "accuracy": [0.8] * 30}))
    many.append(Content({}, {"persistent": [2.0], "transient": [0.0]}))
    for content, name in itertools.product(many, drawings.PARTS):
        evidence = with_chosen(race(30), content)
        try:
            figure = make(name, evidence, LIGHT)
        except NotDrawableError:
            continue
        figure.draw_without_rendering()
        assert "\x07" not in words(figure)


def test_texts_do_not_overlap_in_any_figure() -> None:
    """Neither within an axes' texts nor out of the picture, with long names and a thousand samples."""
    evidence = renamed(
        race(1000, confirmed=True), {NAMES[0]: "w" * 80, NAMES[1]: "long-name-" * 9}
    ).evidence()
    for name in (*drawings.PARTS, TIMELINE):
        figure = make(name, evidence, LIGHT)
        figure.draw_without_rendering()
        assert overlapping(figure) == []


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that lie on one another, and texts that leave the picture."""
    hidden = {
        label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _beyond_view(axis)
    }
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible()]
    texts = [text for text in texts if text.get_text().strip() and text not in hidden]
    texts = [
        text for text in texts if not text.get_text().endswith("\n")
    ]  # a title with room for what is below it
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    found = [
        (a, b) for (a, one), (b, two) in itertools.combinations(boxes, 2) if a != b and _overlap(one, two)
    ]
    width = figure.bbox.width
    return found + [(text, "the edge") for text, box in boxes if box.x0 < -1 or box.x1 > width + 1]


def _beyond_view(axis: Axis) -> list[Text]:
    """Labels of ticks that are not drawn."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]


def _overlap(one: Bbox, two: Bbox) -> bool:
    width, height = min(one.x1, two.x1) - max(one.x0, two.x0), min(one.y1, two.y1) - max(one.y0, two.y0)
    return bool(width > 2 and height > 3)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_colours_can_be_read_and_told_apart(theme: Theme) -> None:
    for color in (theme.ink, theme.muted, theme.passed, theme.failed, theme.zone):
        assert contrast(color, theme.paper) >= 4.5, color  # WCAG 2.2, 1.4.3
    for blindness in MACHADO:
        for pair in ((theme.passed, theme.failed), (theme.first, theme.second)):
            assert distance(*pair, blindness) > 40
        for one, two in itertools.combinations(theme.series, 2):
            assert distance(one, two, blindness) > 18, (one, two)


# Machado, Oliveira and Fernandes (2009), IEEE TVCG 15:1291, severity 1.0: protanopia and deuteranopia.
MACHADO = (
    np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
)
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color: str) -> np.ndarray:
    rgb = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, two: str) -> float:
    bright, dark = sorted((float(XYZ[1] @ linear(color)) for color in (one, two)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def distance(one: str, two: str, blindness: np.ndarray) -> float:
    """CIE 1976 colour difference as seen with that blindness."""
    labs = []
    for color in (one, two):
        xyz = XYZ @ np.clip(blindness @ linear(color), 0, 1) / np.array([0.9505, 1.0, 1.089])
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        labs.append(np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]))
    return float(np.linalg.norm(labs[0] - labs[1]))


def test_only_the_judged_check_and_what_came_before_it_are_pictured() -> None:
    made = race(30)
    first, judged = (next(x for x in made.lines if x.worker == NAMES[0] and x.epoch == e) for e in (0, 20))
    wrong = content_at(9.0, 0, 30)
    unjudged = replace(judged, judged=False, results=(), content=lambda: wrong)
    other = replace(first, worker=NAMES[1], content=lambda: wrong)
    again = replace(first, content=lambda: wrong)  # of a later attempt
    made.lines[:] = [unjudged, *made.lines[:1], other, *made.lines[1:], unjudged, again]
    evidence = made.evidence()
    assert evidence.chosen is not None
    assert evidence.before is not None
    assert evidence.chosen.content == judged.content()
    assert evidence.before.content == first.content()
    assert sheet.headline(evidence) == "★ attention-supervised won at epoch 20"


def test_plot_draws_a_real_race_again_from_its_record(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lab.root)
    with pytest.raises(UsageError, match="there is no race in this repo yet"):
        plot()
    lab.race(
        {"a": [["check", 5, 1.2], ["check", 10, 1.6], ["forever"]]},
        extra='[figures]\nsample_pass = ["accuracy >= 0.75"]',
    )
    lab.wtrace("run")
    folder = lab.latest / "results" / "success_viz"
    for path in folder.glob("*") if folder.exists() else ():
        path.unlink()
    plot(dark=True)
    told = capsys.readouterr().out.splitlines()
    assert {path.name for path in folder.iterdir()} == {line.rpartition("/")[2] for line in told[:10]}
    assert told[-1] == "before_after_comparison_dark.png is left out: a sent no check at epoch 0"
    (folder / "race_timeline.png").unlink()
    (folder / "race_timeline.png").mkdir()  # a file cannot take its place
    with pytest.raises(ToolError, match="the figures cannot be written"):
        plot()
    with pytest.raises(UsageError, match="there is no race bogus"):
        plot(race="bogus")
