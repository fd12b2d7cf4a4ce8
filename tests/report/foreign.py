"""Hostile texts to put wherever text from outside is shown, and checks that reports neutralize them."""

from __future__ import annotations

import re
import unicodedata

from markdown_it import MarkdownIt

CONTROLS = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
FORMATS = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200c\u200d\u2060\ufeff\xad"
SEPARATORS = "\u2028\u2029\x85"
NASTY = {
    "terminal": "a\x1b[2J\x1b]0;x\x07\x9b31m" + CONTROLS,
    "bidi": f"b{FORMATS}{SEPARATORS}\ue000\ufffe\U000e0041\U0001d173\U0010fffd",
    "rich": "c [bold]x[/bold] [link=http://evil.example]y[/link] [/] :boom:",
    "markdown": "d | ` `` *e* ![i](http://evil.example/i.png) [l](javascript:x) <http://evil.example> http://evil.example",
    "blocks": "e\n\n# h\n- l\n> q\n```\n| t |\n|---|\n\n<details>\n<script>alert(1)</script>\n\n---\n[r]: http://evil.example",
    "html": "f</title></text>]]><!--<script>alert(1)</script>\"'><img src=x onerror=x>&lt;&#60;&amp;<?x?><!DOCTYPE x>",
    "github": "::error title=y::z\n::add-mask::x\r\n::set-output name=a::b%0A::error::c ##[error]d\n##[group]",
    "mention": "@team #1 GH-1 moby/buildkit#1 \\| \\` \\<b> $x$ ~~s~~ &nbsp;",
    "long": "g" * 3000 + "|" * 10,
}
"""Texts by what they try; each is put in every field."""

_MARKUP = frozenset({"html_inline", "html_block", "image", "link_open", "fence", "code_block", "hr", "blockquote_open"})


def steering(text: str, *, allowed: str = "\n") -> set[str]:
    """The characters of a report that control a terminal, are invisible, or reorder the text around them."""
    return {
        letter
        for letter in set(text) - set(allowed)
        if unicodedata.category(letter)[0] == "C" or unicodedata.category(letter) in ("Zl", "Zp")
    }


def markup(text: str) -> list[str]:
    """The parts of a markdown report that are not paragraphs, headings, lists, tables, code or emphasis."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = parser.parse(text)
    every = [*tokens, *(child for token in tokens for child in token.children or ())]
    return [f"{token.type}: {token.content}" for token in every if token.type in _MARKUP or token.type == "s_open"]


def cells(text: str) -> list[set[int]]:
    """For each table of a markdown report, the set of its rows' numbers of cells."""
    parser = MarkdownIt("commonmark").enable("table")
    widths: list[set[int]] = []
    count = 0
    for token in parser.parse(text):
        if token.type == "table_open":
            widths.append(set())
        elif token.type == "tr_open":
            count = 0
        elif token.type in ("td_open", "th_open"):
            count += 1
        elif token.type == "tr_close":
            widths[-1].add(count)
    return widths


def commands(text: str) -> list[str]:
    """The lines that the GitHub Actions runner would execute as commands."""
    return [line for line in re.split(r"[\r\n]", text) if line.lstrip().startswith("::") or "##[" in line]
