from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtrace.config.placeholders import PLACEHOLDERS, fill, fill_text, literal, uses, with_python

VALUES = {name: f"<{name}>" for name in PLACEHOLDERS}


@pytest.mark.parametrize(
    ("argument", "filled"),
    [
        ("{output}", "<output>"),
        ("--out={output}/{worker}", "--out=<output>/<worker>"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ('{"out": "{output}"}', '{"out": "<output>"}'),
        ("{{output}}", "{output}"),
        ("{{{output}}}", "{{output}}"),
        ("{'a': {output}}", "{'a': <output>}"),
        ("{} {0} { output } {-} {{}} $ {", "{} {0} { output } {-} {{}} $ {"),
        ("", ""),
    ],
)
def test_only_a_name_between_braces_is_filled_in(argument: str, filled: str) -> None:
    assert fill_text(argument, VALUES) == filled


def test_all_placeholders_are_filled_in_and_found() -> None:
    argv = [f"{{{name}}}" for name in PLACEHOLDERS]
    assert fill(argv, VALUES) == tuple(VALUES.values())
    assert uses([*argv, "{ouput}", "{{worktree2}}", '{"a": 1}']) == {*PLACEHOLDERS, "ouput"}


def test_a_value_is_never_expanded_again() -> None:
    values = {"output": "{worker}{{worker}}\\1\\g<0>", "worker": "w"}
    assert fill(["{output}"], values) == ("{worker}{{worker}}\\1\\g<0>",)


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(KeyError, match="checkpoint"):
        fill(["python", "{checkpoint}"], {"output": "x"})


@given(st.text(st.sampled_from("{}ab_1 ")) | st.text())
def test_literal_text_comes_out_as_it_is(text: str) -> None:
    assert fill_text(literal(text), {}) == text
    assert uses([literal(text)]) == set()


def test_only_a_first_argument_that_is_exactly_python_is_replaced() -> None:
    assert with_python(["python", "python", "x"], "/w/.venv/bin/python") == (
        "/w/.venv/bin/python",
        "python",
        "x",
    )
    for argv in (("python3", "x"), ("./python",), ("env", "python"), ("Python",), ()):
        assert with_python(argv, "/w/.venv/bin/python") == argv
