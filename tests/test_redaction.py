"""What is taken out of a text before it leaves: by hand-picked cases, and by whatever Hypothesis thinks of."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import fields, is_dataclass
from html import escape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config_samples import MINIMAL
from standing_samples import running_race
from wtrace.config import load
from wtrace.config.spec import RaceSpec
from wtrace.data import replace
from wtrace.race.redaction import FEWEST, LEFT_OUT, Redaction, published, redaction_of
from wtrace.race.status import ClaimStanding
from wtrace.text import plain

PLACES = (("/w/repo-worktrees", "../repo-worktrees"), ("/w/repo/", ""), ("/w/repo", "."), ("/home/me", "~"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("its log: /w/repo/.wtrace/races/x/a/training.log)", "its log: .wtrace/races/x/a/training.log)"),
        ("it is checked out in /w/repo", "it is checked out in ."),
        ("/w/repo-worktrees/a/train.py: no", "../repo-worktrees/a/train.py: no"),
        ("/w/repo2/a and /home/me2/b and /home/me/c", "…/a and …/b and ~/c"),
        ('open("/data/clips/x.bin")', 'open("…/x.bin")'),
        ("out=/scratch/me:/tmp/x", "out=…/me:…/x"),
        ("mean(a)/mean(b) / 3, 15/50 and 3 /50", "mean(a)/mean(b) / 3, 15/50 and 3 /50"),
        ("/dev/null, /usr/lib/python3.11/json/decoder.py", "/dev/null, /usr/lib/python3.11/json/decoder.py"),
        ("https://me:pw@host/x?y and https://host/x", "https://…@host/x?y and https://host/x"),
        ("with s3cret-value", "with …"),
        ("word hidden1, not unhidden1", "word …, not unhidden1"),
        ("a" * 120 + "s3cre", "a" * 120 + "…"),
        ("cut s3cret-val…", "cut …"),
    ],
)
def test_a_text(text: str, shown: str) -> None:
    redaction = Redaction(("s3cret-value", "hidden1"), (), PLACES)
    assert redaction.text(text) == shown
    assert redaction.text(shown) == shown, "redacting twice is not redacting once"


words = st.text(min_size=FEWEST, max_size=40).filter(lambda value: len(value.strip()) >= FEWEST)


@given(words, st.text(max_size=30), st.text(max_size=30))
def test_no_value_is_left_however_it_is_written(value: str, before: str, after: str) -> None:
    spec = load.parse(MINIMAL)
    worker = spec.workers[0]
    redaction = redaction_of(_with_env(spec, {worker.name: {"KEY": value}}))
    forms = (value.strip(), plain(value.strip()), json.dumps(value.strip())[1:-1], escape(value.strip()))
    for form in forms:
        left = redaction.text(f"{before} {form} {after}")
        assert form not in left.replace(before, "").replace(after, "")


def _with_env(spec: RaceSpec, env: dict[str, dict[str, str]]) -> RaceSpec:
    return replace(spec, workers=tuple(replace(each, env=env.get(each.name, {})) for each in spec.workers))


def test_what_is_shown_anyway_is_no_secret() -> None:
    spec = load.parse(MINIMAL)
    name = spec.workers[0].name
    redaction = redaction_of(_with_env(spec, {name: {"RUN": name, "DEVICE": "cuda", "KEY": "s3cret-value"}}))
    assert redaction.text(f"{name} on cuda with s3cret-value") == f"{name} on cuda with {LEFT_OUT}"


def test_of_the_environment_only_what_is_called_a_secret_is_one() -> None:
    inherited = {
        "HF_TOKEN": "abcdef-1",
        "EDITOR": "emacs-nox",
        "my_passWord": "correct horse",
        "PYTHONPATH": "src/lib",
    }
    redaction = redaction_of(load.parse(MINIMAL), inherited=inherited)
    assert redaction.text("abcdef-1 emacs-nox correct horse src/lib") == "… emacs-nox … src/lib"


def test_the_config_keeps_its_names_and_can_still_be_read() -> None:
    text = MINIMAL + (
        '\n[after]\nwinner = [["curl", "--header", "key: t0p-s3cret"], ["done"]]\n'
        '[notify]\nurls = ["json://me:pw@host"]\n'
        '[runners.far]\nengine = "ray"\naddress = "http://10.0.0.7:8265"\n'
        '[sync.mac]\nhost = "me@10.0.0.8"\n'
    )
    spec = load.parse(text)
    name = spec.workers[0].name
    spec = _with_env(spec, {name: {"KEY": "x", "OTHER": "s3cret-value"}})
    shown = load.dump(published(spec, redaction_of(spec)))
    for private in ("t0p-s3cret", "--header", "10.0.0.7", "10.0.0.8", "pw@host", "s3cret-value", 'KEY = "x"'):
        assert private not in shown
    for kept in ("KEY", "OTHER", "curl", "sync.mac", "far", *(worker.name for worker in spec.workers)):
        assert kept in shown


def test_addresses_are_taken_out_of_what_is_said_about_them() -> None:
    text = MINIMAL + (
        '\n[notify]\nurls = ["json://me:pw@hooks.example/x"]\n'
        '[runners.far]\nengine = "ray"\naddress = "http://10.0.0.7:8265"\n'
        '[sync.mac]\nhost = "me@10.0.0.8"\n[sync.laptop]\nhost = "laptop"\n'
    )
    redaction = redaction_of(load.parse(text), inherited={"RAY_ADDRESS": "http://10.0.0.9:8265"})
    said = (
        "mac: me@10.0.0.8 refuses; laptop: asleep; 10.0.0.7:8265 and http://10.0.0.9:8265 and hooks.example"
    )
    assert redaction.text(said) == "mac: … refuses; laptop: asleep; … and … and …"


SECRET = "s3cret-value"
SHOWN = {
    "Standing.id", "Standing.name", "Standing.winner", "WorkerStanding.name", "WorkerStanding.branch", "WorkerStanding.commit",
    "CriterionInfo.name", "CriterionInfo.text", "CriterionInfo.op", "CriterionStanding.name", "CriterionStanding.op",
}  # fmt: skip
"""Fields that hold names. Whoever adds a field of text decides: a name, or taken out."""


def filled(value: Any) -> Any:
    """The value with every text in it, also those that may be missing, being a secret; states stay."""
    if isinstance(value, tuple):
        return tuple(map(filled, value))
    if not is_dataclass(value) or isinstance(value, type):
        return value
    texts = {each.name for each in fields(value) if str(each.type) in ("str", "str | None")}
    return dataclasses.replace(
        value,
        **{
            each.name: SECRET if each.name in texts else filled(getattr(value, each.name))
            for each in fields(value)
        },
    )


def texts_with(value: Any, part: str) -> set[str]:
    """The fields, anywhere in the value, whose text holds that part."""
    if isinstance(value, tuple):
        return {found for each in value for found in texts_with(each, part)}
    if not is_dataclass(value) or isinstance(value, type):
        return set()
    here = {
        f"{type(value).__name__}.{each.name}"
        for each in fields(value)
        if isinstance(text := getattr(value, each.name), str) and part in text
    }
    return here.union(*(texts_with(getattr(value, each.name), part) for each in fields(value)))


def test_of_a_standing_every_text_but_names_goes_through() -> None:
    race = running_race()
    claimed = dataclasses.replace(race.workers[0], claim=ClaimStanding(5, "unconfirmed", why=""))
    standing = filled(dataclasses.replace(race, workers=(claimed, *race.workers[1:])))
    assert "ClaimStanding.why" in texts_with(standing, SECRET)
    assert len(texts_with(standing, SECRET)) > len(SHOWN)
    assert texts_with(Redaction((SECRET,)).standing(standing), SECRET) == SHOWN
