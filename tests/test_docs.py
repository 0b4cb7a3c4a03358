"""The documentation holds: links lead somewhere, generated pages are those that the code writes, names exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from standing_samples import running_race
from wtrace.cli.app import command_line
from wtrace.cli.reference import commands_reference
from wtrace.config.load import parse
from wtrace.race.status_json import status_json

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the builder of the site make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w -]", "", heading).strip().replace(" ", "-") for heading in plain}


def broken_links(page: Path, text: str) -> list[str]:
    """The links of that text, as one of that page, that lead nowhere. Other sites are not asked."""
    inner = [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+://|mailto:", t)]
    return [target for target in inner if not leads_somewhere(page, target)]


def leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    aim = page.parent / path if path else page
    return aim.exists() and (not anchor or anchor in anchors(aim))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page, prose(page)) == []


def test_a_link_that_leads_nowhere_is_noticed() -> None:
    page = ROOT / "docs" / "README.md"
    text = (
        "[a](gone.md) [b](reference/commands.md#gone) [c](#gone) [d](reference/config.md) [e](#documentation)"
    )
    assert broken_links(page, text) == ["gone.md", "reference/commands.md#gone", "#gone"]


def test_the_first_page_of_the_documentation_leads_to_all_of_its_four_parts() -> None:
    docs = ROOT / "docs"
    parts = ("tutorial", "how-to", "reference", "explanation")
    pages = {str(page.relative_to(docs)) for part in parts for page in (docs / part).glob("*.md")}
    assert pages - set(re.findall(r"\]\(([^)#]+)\)", (docs / "README.md").read_text("utf-8"))) == set()


SPOKEN = re.compile(r"(?<![\w/.-])(?<!from )wtrace ((?:--?)?[a-z][a-z-]*)([^\n`#|;&)]*)")
COMMANDS: Any = typer.main.get_command(command_line()).commands  # type: ignore[attr-defined]


def spoken(text: str) -> list[tuple[str, str]]:
    """The commands of wtrace in a page's blocks of code and in its `inline code`, each with the rest of its line."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, flags=re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [found for piece in [*blocks, *inline] for found in SPOKEN.findall(piece)]


def unknown(text: str) -> list[str]:
    """What a page asks of wtrace that wtrace does not have."""
    found = []
    for name, rest in spoken(text):
        options = re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest.partition(" -- ")[0])
        if name.startswith("-"):
            found += [] if name in {"--version", "--help", "-h", "--install-completion"} else [name]
        elif name not in COMMANDS:
            found.append(name)
        else:
            known = {word for option in COMMANDS[name].params for word in option.opts} | {"--help", "-h"}
            found += [f"{name} {option}" for option in options if option not in known]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    assert unknown(page.read_text("utf-8")) == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    text = (
        "`wtrace gone`\n```sh\nwtrace run --gone --trust  # --no-option\n```\n`wtrace evidence red a -- -x`"
    )
    assert unknown(text) == ["run --gone", "gone"]
    assert ("run", "         ") in spoken((ROOT / "README.md").read_text("utf-8"))


def test_the_config_of_the_readme_is_one() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    config = re.findall(r"```toml\n(.*?)```", readme, flags=re.DOTALL)[0]
    assert [worker.name for worker in parse(config).workers] == ["linear", "network"]


def test_the_targets_of_make_that_a_page_names_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    named = {
        name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text("utf-8"), re.M)
    }
    assert {"race", "test", "docs"} <= named
    assert named - targets == set()


def test_the_page_of_the_commands_is_written_from_the_code() -> None:
    page = ROOT / "docs" / "reference" / "commands.md"
    assert page.read_text() == commands_reference(), (
        "python -m wtrace.cli.reference > docs/reference/commands.md"
    )


def test_the_page_of_the_status_names_what_status_prints() -> None:
    page = (ROOT / "docs" / "reference" / "status-json.md").read_text()
    example = json.loads(re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)[0])
    printed = status_json(running_race())
    assert example.keys() == printed.keys()
    assert example["race"].keys() == printed["race"].keys()
    assert example["workers"][0].keys() == printed["workers"][0].keys()


def test_the_walk_through_the_code_names_functions_that_are_there() -> None:
    page = (ROOT / "docs/explanation/how-a-race-runs.md").read_text()
    stations = re.findall(r"`([a-z_/]+\.py)` `([a-z_]+)`", page)
    assert len(stations) > 10
    for file, function in stations:
        assert f"def {function}(" in (ROOT / "src/wtrace" / file).read_text(), (file, function)


def test_contributing_names_files_and_names_that_are_there() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().split("**To add something**", 1)[1].split("\n\n", 2)[1]
    paths = re.findall(r"`([a-z_/]+(?:\.py|/))`", table)
    assert len(paths) > 10
    missing = [path for path in paths if not any((ROOT / top / path).exists() for top in ("src/wtrace", "."))]
    assert missing == []
    for name, file in re.findall(r"`([A-Z][A-Za-z]+)` (?:of|in) `([a-z_/]+\.py)`", table):
        assert re.search(rf"^(?:class )?{name}\b", (ROOT / "src/wtrace" / file).read_text(), re.MULTILINE), (
            name
        )
