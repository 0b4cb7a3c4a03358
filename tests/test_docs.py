"""The documentation holds: links lead somewhere, generated pages are those that the code writes, names exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from standing_samples import running_race
from wtrace.cli.reference import commands_reference
from wtrace.core.contract import status_json

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+://|#|mailto:", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page}: {target}"


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
