"""What leaves `.wtrace/`, read after real races: all of it is there, tells what it promises, and holds nothing private."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

from published_race import PRIVATE, Inbox, race
from race_lab import Lab, wait_for
from wtrace.mirror import snapshot
from wtrace.publish.dashboard.page import dashboard_page
from wtrace.publish.data_uri import PNG
from wtrace.race.published import PUBLISHED, Published, is_published
from wtrace.supervisor.publishing.pages import pause_s
from wtrace.supervisor.publishing.snapshots import curves_of


@dataclass
class Raced:
    """Two labs after their races, one that was won and one that was not, and what was said about them."""

    labs: list[Lab]
    live: Path  # the results of the first while it ran
    notices: list[str]

    @property
    def won(self) -> Path:
        return self.labs[0].latest

    @property
    def lost(self) -> Path:
        return self.labs[1].latest

    def text(self, name: str) -> str:
        """A published file of the race with a winner, else of the one without."""
        files = [folder / "results" / name for folder in (self.won, self.lost)]
        return next(file for file in files if file.exists()).read_text()

    def dashboard(self) -> str:
        return self.text("dashboard.html")


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raced]:
    """A race that is won, with its figures, and one that is not."""
    pytest.importorskip("apprise", reason="needs the extra `notify`")
    labs = [Lab(tmp_path_factory.mktemp(name)) for name in ("won", "lost")]
    labs[0].env.pop("WTRACE_FIGURES")
    inbox = Inbox()
    try:
        live = race(labs[0], inbox)
        race(labs[1], inbox, "nobody")
        wait_for(lambda: len(inbox.told) >= 5, "the notices of both races")
        yield Raced(labs, live, inbox.told)
    finally:
        for lab in labs:
            lab.end_all()
        inbox.close()
    wait_for(lambda: not any(lab.survivors() for lab in labs), "the races to leave nothing running")


FIGURES = {
    "attention_ratio_progression.png", "before_after_comparison.png", "distribution_separation.png",
    "sample_level_grid.png", "race_timeline.png", "SUCCESS_VISUALIZATION.png",
}  # fmt: skip


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# ---- what is published


def test_nothing_else_lies_in_results(raced: Raced) -> None:
    for race_folder in (raced.won, raced.lost):
        results = race_folder / "results"
        others = [str(path.relative_to(results)) for path in files_of(results)]
        assert [path for path in others if not is_published(path)] == []


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.path)
def test_every_file_is_there_and_not_empty(raced: Raced, published: Published) -> None:
    found = [path for folder in (raced.won, raced.lost) for path in (folder / "results").glob(published.path)]
    assert found
    assert all(path.stat().st_size for path in found)


def test_the_page_of_files_lists_them_all() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "reference" / "files.md").read_text()
    assert [each.path for each in PUBLISHED if each.path.partition("/")[0] not in page] == []


# ---- nothing private leaves


def left(raced: Raced) -> Iterator[tuple[str, bytes]]:
    """Everything that leaves, by what it is called."""
    for lab in raced.labs:
        folder = lab.latest
        for path in [*files_of(folder / "results"), *files_of(lab.home / "live"), folder / "wtrace.log"]:
            yield str(path), path.read_bytes()
        for form in ("json", "csv"):
            yield f"export {form}", lab.wtrace("export", "--to", form, folder.name).stdout.encode()
    for number, notice in enumerate(raced.notices):
        yield (
            f"notice {number}",
            notice.encode() + json.dumps(json.loads(notice), ensure_ascii=False).encode(),
        )
    lab = raced.labs[0]
    yield "the merge's message", lab.git("log", "main^1..main").encode()
    for name in lab.git("ls-tree", "-r", "--name-only", "main", "results/").splitlines():
        yield f"merged {name}", subprocess.check_output(["git", "show", f"main:{name}"], cwd=lab.root)


def test_nothing_that_leaves_holds_a_value_an_argument_an_address_or_a_path(raced: Raced) -> None:
    private = [*PRIVATE, *(str(lab.root.parent) for lab in raced.labs)]
    leaving = list(left(raced))
    named = []
    for name, content in leaving:
        shown = content + unescape(content.decode("utf-8", "replace")).encode()
        named += [f"{name}: {each}" for each in private if each.encode() in shown]
    assert named == []
    names = {name.rsplit("/", 1)[-1] for name, _ in leaving}
    assert {
        "SUCCESS_REPORT.md",
        "FAILURE_REPORT.md",
        "wtrace.log",
        "export json",
        "notice 4",
        "1.jsonl",
    } <= names


def test_names_stay(raced: Raced) -> None:
    report = raced.text("SUCCESS_REPORT.md")
    for name in (
        "HF_TOKEN",
        "OMP_NUM_THREADS",
        "winner",
        "try/loser",
        "python …: failed: exit code 7",
        "far",
    ):
        assert name in report


def test_pages_of_before_are_merged_without_what_they_hold(raced: Raced, tmp_path: Path) -> None:
    """A report that an earlier version wrote is on disk as it was, and is committed as it should have been."""
    from wtrace.race.paths import Layout
    from wtrace.store.reader import Reader
    from wtrace.supervisor.create import recall
    from wtrace.supervisor.merging import collect
    from wtrace.supervisor.publishing.redacting import redaction_for

    layout = Layout(raced.labs[0].root)
    context, state, _ = recall(layout, raced.won.name)
    with Reader(layout.database) as reader:
        standing = reader.standing(raced.won.name)
    assert standing is not None
    old = raced.won / "results" / "OLD_REPORT.md"
    old.write_text(f"env = {PRIVATE[0]} in {raced.labs[0].root}/.wtrace")
    try:
        exhibits = collect(
            raced_layout := context.layout, standing, state.claims, tmp_path, redaction_for(context)
        )
    finally:
        old.unlink()
    committed = exhibits.files["OLD_REPORT.md"]
    assert isinstance(committed, Path)
    assert committed.read_text() == "env = … in .wtrace"
    assert raced_layout.folder == raced.won


# ---- the progress page


@pytest.mark.parametrize(
    "told",
    [
        r"^# lab: won$",
        r"^\*\*Last updated \d{4}-.*Z\*\* \(UTC\) · race `",
        r"^\*\*Winner: `winner`\*\* at epoch 25, .* confirmed on held-out data",
        r"^\| `winner` \| 25/50 \| ✓ 1\.\d+ \| ✓ 0\.\d+ \| ★ won",
        r"^\| `loser` \| 15/50 \| ✗ 1\.\d+, needs \+0\.\d+ \| ✓ .* terminated \|$",
        r"^\| `crashed` \| 0/50 \| — \| — \| ✗ failed \(exit code 3\): RuntimeError: .*; 1 bad metrics lines",
        r"^## Best so far$",
        r"winner claims success at epoch 25",
        r"winner WINS at epoch 25",
        r"^- `ratio`: `mean\(persistent\) / mean\(transient\) >= 1.5`$",
    ],
)
def test_the_progress_page_tells(raced: Raced, told: str) -> None:
    assert re.search(told, raced.text("PARALLEL_PROGRESS.md"), re.MULTILINE)


@pytest.mark.parametrize(
    "told",
    [
        r"^# lab: running$",
        r"^\| `winner` \| 20/50 \| ✗ 1\.\d+, needs \+0\.\d+ \| ✓ .* ● running",
        r"^## Best so far\n\nleader: `winner`, epoch 20, 1 of 2 met; needs ratio \+0\.\d+",
        r"^## Trend and time to success\n\n(.*\n)*\| `winner` \| rising: ratio.* \| (any moment|about \d|\d).* \|$",
    ],
)
def test_the_progress_page_tells_while_it_runs(raced: Raced, told: str) -> None:
    assert re.search(told, (raced.live / "PARALLEL_PROGRESS.md").read_text(), re.MULTILINE)


def test_only_what_is_live_is_published_while_it_runs(raced: Raced) -> None:
    assert {path.name for path in raced.live.iterdir()} == {each.path for each in PUBLISHED if each.live}
    found = snapshot.read(raced.live)
    assert found is not None
    assert not found.closed
    assert found.standing.winner is None


# ---- the dashboard


@pytest.mark.parametrize(
    ("feature", "pattern"),
    [
        ("the race's state", r'<span class="chip plain">running</span>'),
        ("who leads", r'<section class="verdict plain".*?Leader.*?<bdi>winner</bdi>'),
        ("what it lacks", r"epoch 20, 1 of 2 met; needs ratio \+0\.\d+"),
        ("when all may be met", r'<td role="cell" class="eta" data-label="all met in">[^<—]+</td>'),
        ("how long an epoch takes", r'<td role="cell" class="pace" data-label="per epoch">[^<—]+</td>'),
        ("whose curves to show", r'<div class="legend".*?data-w="3"'),
        ("a curve's end with its number", r'<circle cx="[\d.]+" cy="[\d.]+" r="8"/>'),
        ("that it reloads itself", r'"live": true'),
    ],
)  # fmt: skip
def test_the_dashboard_shows_while_it_runs(raced: Raced, feature: str, pattern: str) -> None:
    assert re.search(pattern, (raced.live / "dashboard.html").read_text(), re.DOTALL), feature


@pytest.mark.parametrize(
    ("feature", "pattern"),
    [
        ("the race's state", r'<span class="chip good">won</span>'),
        ("the verdict", r'<section class="verdict good".*?<bdi>winner</bdi>'),
        ("a row for each worker", r'(?s)row.*?<bdi>winner</bdi>.*?<bdi>loser</bdi>.*?<bdi>crashed</bdi>'),
        ("the winner's mark", r'<span class="tag good">★ winner</span>'),
        ("the note of who crashed", r'<tr role="row" class="remark">\s*<td [^>]*>.*RuntimeError'),
        ("a trend", r'<polyline points="[\d., ]+"/>'),
        ("the goal", r'<path class="threshold" d="M0 [\d.]+h\d+"/>'),
        ("the winning check's star", r'<text class="star" x="[\d.]+%"'),
        ("what happened", r'<ol class="events".*?winner WINS at epoch 25'),
        ("how old it is", r'<time datetime="[^"]+Z" id="age">'),
        ("what the script works on", r'<script type="application/json" id="data">\{"at": \d'),
        ("the policy", r"Content-Security-Policy\" content=\"default-src &#39;none&#39;"),
    ],
)  # fmt: skip
def test_the_dashboard_shows(raced: Raced, feature: str, pattern: str) -> None:
    assert re.search(pattern, raced.dashboard(), re.DOTALL), feature


def test_the_dashboard_has_a_chart_a_curve_and_a_band_for_each(raced: Raced) -> None:
    page = raced.dashboard()
    charts = re.findall(r'<figure class="chart".*?</figure>', page, re.DOTALL)
    assert len(charts) == 2
    for chart in charts:
        assert chart.count('class="curve" d="M') == 2
        assert chart.count('class="band" d="M') == 2, "the samples give confidence intervals"
    assert "Each worker&#39;s 95 % confidence intervals are shaded" in page


def test_a_band_holds_its_values(raced: Raced) -> None:
    found = snapshot.read(raced.won / "results")
    assert found is not None
    points = [point for curve in found.curves["winner"] for point in curve]
    assert len(points) == 2 * 5
    for _, value, _, band in points:
        assert value is not None
        assert band is not None
        assert band[0] < value < band[1]


def test_the_dashboard_holds_the_figures(raced: Raced) -> None:
    drawn = {path.name for path in (raced.won / "results" / "success_viz").iterdir()}
    assert drawn == FIGURES
    for name in drawn:
        assert f'<span class="dim">{name}</span>' in raced.dashboard()
    assert raced.dashboard().count('src="data:image/png;base64,') == len(drawn)


# ---- the reports


@pytest.mark.parametrize(
    "heading",
    [
        "The winning check: epoch 25", "Claims and their confirmation on held-out data", "How strong the evidence is",
        "What the others had reached", "After the race",
        "What is left of the losers' checkpoints",
        "The rules", "Fair play", "What the trainings said of themselves", "If it were merged now",
        "How to reproduce", "Environment", "Every check",
    ],
)  # fmt: skip
def test_the_success_report_has(raced: Raced, heading: str) -> None:
    assert f"\n## {heading}\n\n" in raced.text("SUCCESS_REPORT.md")
    assert re.search(rf'<h2 id="part-\d+">{heading}</h2>', raced.text("SUCCESS_REPORT.html"))


@pytest.mark.parametrize(
    "heading",
    [
        "The closest approach to each criterion", "Most criteria at one check", "What to combine", "How each ended",
        "The rules", "Fair play", "How to reproduce", "Environment", "Every check",
    ],
)  # fmt: skip
def test_the_failure_report_has(raced: Raced, heading: str) -> None:
    assert f"\n## {heading}\n\n" in raced.text("FAILURE_REPORT.md")
    assert re.search(rf'<h2 id="part-\d+">{heading}</h2>', raced.text("FAILURE_REPORT.html"))


@pytest.mark.parametrize(
    "told",
    [
        r"confirmed on held-out data",
        r"^Saved by stopping early: .* of training, .* a cost of .* at 3\.06 per hour\.$",
        r"^\| 1 \| `winner` \| 25 \| confirmed \| 1 \|",
        r"its frozen checkpoint has sha256 `[0-9a-f]{64}`",
        r"^\| `ratio` \| held-out data \| 1\.\d+ \| 1\.\d+ . \d[\d.]* \|$",
        r"^- loser: kept 5\.pt; removed 2 of 2 others",
        r"^- byte-equal in every branch at the start, .* `train\.py` \(sha256 `",
        r"^command = \[\"python\", \"~/confirm\.py\", \"\{checkpoint\}\"\]$",
    ],
)
def test_the_success_report_tells(raced: Raced, told: str) -> None:
    assert re.search(told, raced.text("SUCCESS_REPORT.md"), re.MULTILINE)


def test_the_report_shows_the_figures_as_files_and_inside(raced: Raced) -> None:
    results = raced.won / "results"
    named = re.findall(r"!\[\w+\]\(([^)]+)\)", raced.text("SUCCESS_REPORT.md"))
    assert len(named) == len(FIGURES)
    assert all((results / name).read_bytes().startswith(PNG) for name in named)
    assert raced.text("SUCCESS_REPORT.html").count('<img src="data:image/png;base64,') == len(named)


# ---- the snapshot


def test_the_snapshot_says_that_nothing_will_change(raced: Raced) -> None:
    for folder, winner in ((raced.won, "winner"), (raced.lost, None)):
        found = snapshot.read(folder / "results")
        assert found is not None
        assert found.closed
        assert found.standing.winner == winner


def test_a_report_that_is_written_again_is_still_the_last_word(raced: Raced) -> None:
    raced.labs[1].wtrace("report")
    found = snapshot.read(raced.lost / "results")
    assert found is not None
    assert found.closed


def test_the_page_drawn_from_the_snapshot_is_the_page(raced: Raced) -> None:
    """What a laptop draws for itself is what the race's machine would have shown it."""
    results = raced.won / "results"
    found = snapshot.read(results)
    assert found is not None
    figures = sorted(
        (results / "success_viz").iterdir(), key=lambda path: ("SUCCESS" not in path.name, path.name)
    )
    page = dashboard_page(
        found.standing, curves_of(found), figures=figures, now=found.standing.at, every_s=found.every_s
    )
    assert page == raced.dashboard()


@pytest.mark.parametrize(
    ("latest_s", "before_s", "pause"),
    [
        (0.48, 0.002, 1.0),  # the first drawing with curves: what it imports is paid once
        (0.02, 0.48, 2.0),
        (0.03, 0.03, 3.0),
        (0.5, 0.5, 10.0),  # a large race: never longer than the documentation says
        (0.0, 0.0, 1.0),
    ],
)
def test_a_page_is_never_older_than_promised_whatever_it_costs(
    latest_s: float, before_s: float, pause: float
) -> None:
    assert pause_s(latest_s, before_s) == pytest.approx(pause)
