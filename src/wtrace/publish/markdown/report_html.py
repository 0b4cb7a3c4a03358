"""The report as one HTML file: made of its Markdown, the figures inside, nothing fetched and nothing run.

Whatever a name, a note or a config holds is text here: the Markdown has it escaped, raw HTML and links are not read,
and the page's Content Security Policy allows its own style and pictures in it, and no script at all.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from wtrace.publish.data_uri import embedded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jinja2 import Template
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

    from wtrace.publish.data_uri import Figure

FOLDED = re.compile(r"<details>\n<summary>[^<>]*(<code>[^<>]*</code>)?[^<>]*</summary>\n?|</details>\n?")
"""The only HTML that our Markdown holds: `page.folded` writes it."""


def report_html(text: str, figures: Mapping[str, Path]) -> str:
    """The report's Markdown as a page. `figures`: the PNG files, by the path that the Markdown names them by.

    A figure that cannot be read is told in its place.
    """
    from markupsafe import Markup

    shown = dict(zip(figures, embedded(figures.values()), strict=True))
    parser = _parser()
    tokens = parser.parse(text)
    parts = _number_parts(parser, tokens)
    _align_by_class(tokens)
    body = parser.renderer.render(tokens, parser.options, {"figures": shown})
    head, end, rest = body.partition("</h1>\n")
    return _template().render(
        title=_title(text),
        head=Markup(head + end),  # noqa: S704 - the renderer has escaped all text
        rest=Markup(rest),  # noqa: S704
        parts=[(number, Markup(name)) for number, name in parts],  # noqa: S704
        policy=_policy(),
        style=Markup(_style()),  # noqa: S704
    )


def _number_parts(parser: MarkdownIt, tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """Give each part's heading an id; the ids and the headings as HTML."""
    parts: list[tuple[str, str]] = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            number = f"part-{len(parts) + 1}"
            token.attrSet("id", number)
            parts.append((number, parser.renderInline(tokens[index + 1].content)))
    return parts


def _align_by_class(tokens: Sequence[Token]) -> None:
    """A style of its own on every cell would be refused by the page's policy."""
    for token in tokens:
        if token.type in ("th_open", "td_open") and token.attrs.pop("style", None) == "text-align:right":
            token.attrSet("class", "right")


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = (
        MarkdownIt("commonmark").enable("table").disable(["link", "autolink", "html_inline", "reference"])
    )
    for name, rule in (
        ("image", _image),
        ("html_block", _html),
        ("table_open", _table),
        ("table_close", _end),
    ):
        parser.add_render_rule(name, rule)
    return parser


def _image(_self: Any, tokens: Sequence[Token], index: int, _options: Any, env: Mapping[str, Any]) -> str:
    source = tokens[index].attrGet("src")
    figure: Figure | None = env["figures"].get(source)
    alt = escape(tokens[index].content)
    if figure is None or figure.source is None:
        why = "" if figure is None else f": {escape(figure.problem or '')}"
        return f'<span class="missing">{alt}{why}</span>'
    return f'<img src="{figure.source}" alt="{alt}">'


def _html(_self: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    content = tokens[index].content
    return content if FOLDED.fullmatch(content) else f"<p>{escape(content)}</p>\n"


def _table(*_: Any) -> str:
    return '<div class="scroll" tabindex="0">\n<table>\n'


def _end(*_: Any) -> str:
    return "</table>\n</div>\n"


def _title(text: str) -> str:
    """The first heading as plain text."""
    tokens = _parser().parse(text.partition("\n")[0])
    children = (tokens[1].children or []) if len(tokens) > 1 else []
    return "".join(child.content for child in children) or "Report"


@cache
def _style() -> str:
    return resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")


@cache
def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(
        resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    )
