"""What nobody may be steered by: texts for every place that foreign text gets into, and what is true of each report."""

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
"""Texts by what they try; all end up in every place."""

_MARKUP = frozenset({"html_inline", "html_block", "image", "link_open", "fence", "code_block", "hr", "blockquote_open"})


def steering(text: str, *, allowed: str = "\n") -> set[str]:
    """The characters of a report that steer a terminal, hide, or reorder what stands beside them."""
    return {
        one
        for one in set(text) - set(allowed)
        if unicodedata.category(one)[0] == "C" or unicodedata.category(one) in ("Zl", "Zp")
    }


def markup(text: str) -> list[str]:
    """What in a markdown report is neither a paragraph, a heading, a list, a table, code nor emphasis."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = parser.parse(text)
    every = [*tokens, *(below for one in tokens for below in one.children or ())]
    return [f"{one.type}: {one.content}" for one in every if one.type in _MARKUP or one.type == "s_open"]


def cells(text: str) -> list[set[int]]:
    """For each table of a markdown report the numbers of cells that its rows have."""
    parser = MarkdownIt("commonmark").enable("table")
    found: list[set[int]] = []
    count = 0
    for token in parser.parse(text):
        if token.type == "table_open":
            found.append(set())
        elif token.type == "tr_open":
            count = 0
        elif token.type in ("td_open", "th_open"):
            count += 1
        elif token.type == "tr_close":
            found[-1].add(count)
    return found


def commands(text: str) -> list[str]:
    """The lines that the runner of GitHub Actions takes for commands."""
    return [line for line in re.split(r"[\r\n]", text) if line.lstrip().startswith("::") or "##[" in line]
