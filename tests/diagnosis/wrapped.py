"""A known dump and a known table, and the kinds of wrapping in which they reach people."""

from __future__ import annotations

import html
import json
import re
import textwrap
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest

from hypothesis import strategies as st

from tests.support import FIXTURES

DUMP = (FIXTURES / "profiles" / "goroutine-stuck-debug2.txt").read_text()
GROUPED = (FIXTURES / "profiles" / "goroutine-stuck-debug1.txt").read_text()
TABLE = (FIXTURES / "profiles" / "issue-6008-top50.txt").read_text()

Wrapping = Callable[[str], str]


def each(change: Callable[[int, str], str]) -> Wrapping:
    """A wrapping of each line."""
    return lambda text: "".join(f"{change(at, line)}\n" for at, line in enumerate(text.splitlines()))


def json_lines(key: str, **others: str) -> Wrapping:
    """Each line as the value of a key."""
    return each(lambda at, line: json.dumps({"time": f"2026-01-02T03:04:{at % 60:02}Z", key: f"{line}\n", **others}))


def broken(width: int, prefix: str = "") -> Wrapping:
    """Lines broken at a column, as a terminal does it."""

    def of_line(_: int, line: str) -> str:
        whole = (prefix + line).expandtabs()
        return "\n".join(whole[at : at + width] for at in range(0, len(whole), width)) if whole else ""

    return each(of_line)


def without_arguments(text: str) -> str:
    """Function names without arguments."""
    return re.sub(r"^(?!created|goroutine)(\S.*?[^.(])\([^*].*\)$", r"\1", text, flags=re.MULTILINE)


def interleaved(text: str) -> str:
    """The same dump from two containers that take turns."""
    lines = text.splitlines()
    half = len(lines) // 3
    pairs = zip_longest([*lines, *[""] * half], [*[""] * half, *lines], fillvalue="")
    return "".join(f"[pod/buildkitd-7c9/buildkitd] {a}\n[pod/buildkitd-x4q/buildkitd] {b}\n" for a, b in pairs)


KINDS: dict[str, Wrapping] = {
    "syslog": each(lambda at, line: f"Jun {at % 2 + 9:2} 21:38:{at % 60:02} build-host dockerd[158939]: {line}"),
    "syslog octal": each(lambda at, line: f"Jun 17 21:38:{at % 60:02} host dockerd[15]: " + line.replace("\t", "#011")),
    "journal iso": each(lambda at, line: f"2026-06-17T21:38:{at % 60:02}+0200 host-1 buildkitd[1]: {line}"),
    "gitlab": each(lambda at, line: f"2025-06-03T12:00:01.{at:06}Z 01O {line}"),
    "jenkins": each(lambda at, line: f"00:02:{at % 60:02}.958  {line}"),
    "bracket": each(lambda at, line: f"[2023-11-06T12:02:{at % 60:02}.958Z] {line}"),
    "gh run view": each(lambda at, line: f"build\tRun tests\t2025-03-24T16:52:{at % 60:02}.04Z {line}"),
    "cri": each(lambda at, line: f"2023-11-06T12:02:{at % 60:02}.958123456Z stderr F {line}"),
    "compose": each(lambda _, line: f"buildkitd-1  | {line}"),
    "stern": each(lambda _, line: f"buildkitd-0 buildkitd {line}"),
    "colors": each(lambda _, line: f"\x1b[36mbuildkitd-0\x1b[0m \x1b[1mbuildkitd\x1b[0m {line}"),
    "klog": each(lambda at, line: f"I0603 12:00:01.{at:06}       1 main.go:42] {line}"),
    "progress": each(lambda at, line: f"#3 {990 + at / 10:.1f} {line}"),
    "go test": each(lambda _, line: f"    sandbox.go:136: {line}"),
    "grep": each(lambda at, line: f"{at + 1}:{line}"),
    "numbered": each(lambda at, line: f"{at + 1}. {line}"),
    "bulleted": each(lambda _, line: f"- {line}"),
    "quoted": each(lambda _, line: f"> > {line}".rstrip()),
    "comments": each(lambda _, line: f"// {line}"),
    "indented": each(lambda _, line: f"      {line}"),
    "spaces": str.expandtabs,
    "grafana table": each(lambda at, line: f"| | 2020-11-24 10:34:{at % 60:02} | {line} |"),
    "csv": each(lambda at, line: f'"2020-11-24 10:34:{at % 60:02}","{line}"'),
    "docker json": json_lines("log", stream="stderr"),
    "nested json": each(lambda _, line: json.dumps({"kubernetes": {"pod": "b-0"}, "data": {"message": line}})),
    "json behind a prefix": lambda text: each(lambda _, line: f"buildkitd-1  | {line}")(json_lines("msg")(text)),
    "one json": lambda text: json.dumps({"events": [{"message": line} for line in text.splitlines()]}, indent=2),
    "loki": lambda text: json.dumps(
        {"data": {"result": [{"values": [[str(at), line] for at, line in enumerate(text.splitlines())]}]}}
    ),
    "one string": lambda text: json.dumps({"msg": text}),
    "msg": each(lambda at, line: f'time="2026-01-02T03:04:{at % 60:02}Z" level=error msg={json.dumps(line)}'),
    "one msg": lambda text: f'time="2026-01-02T03:04:05Z" level=error msg={json.dumps(text)}\n',
    "escaped": lambda text: text.replace("\n", "\\n").replace("\t", "\\t"),
    "html": lambda text: "<pre>" + html.escape(text).replace("\n", "<br>\n").replace("\t", "&#9;") + "</pre>",
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "doubled blank lines": lambda text: text.replace("\n", "\n\n"),
    "no blank lines": lambda text: re.sub(r"\n+", "\n", text),
    "flush left": lambda text: re.sub(r"^[ \t]+", "", text, flags=re.MULTILINE),
    "flush left and quoted": lambda text: each(lambda _, line: f"> {line.strip()}")(text),
    "fenced": lambda text: f"Here is what it prints:\n\n```\n{text}\n```\n\nThanks.\n",
    "details": lambda text: f"<details>\n<summary>dump</summary>\n\n```text\n{text}```\n</details>\n",
}
"""Kinds that lose nothing."""
OF_DUMPS: dict[str, Wrapping] = {
    "broken at 80": broken(80),
    "broken at 120": broken(120),
    "broken at 150": broken(150),
    "broken behind a prefix": broken(100, "00:02:22.958  "),
    "broken between words": lambda text: "\n".join(
        part for line in text.split("\n") for part in (textwrap.wrap(line, 90, break_long_words=False) or [""])
    ),
    "without arguments": without_arguments,
    "without arguments, behind a prefix": lambda text: each(lambda _, line: f"#3 990.7 {line}")(
        without_arguments(text)
    ),
    "names only": lambda text: re.sub(r"\n[ \t][^\n]*", "", without_arguments(text)),
    "without positions": lambda text: re.sub(r"\n[ \t][^\n]*", "", text),
}
"""Kinds that lose arguments or positions, which nobody needs."""


_WORD = st.sampled_from(["app", "buildkitd-0", "ip-10-0-0-1", "INFO", "stderr", "x_1", "dockerd[12]", "a/b/c"])
_TIME = st.sampled_from(
    [
        "%02d:59:01",
        "2026-01-02T03:04:%02dZ",
        "2026/01/02 03:04:%02d",
        "[%d]",
        "%d",
        "%d.5s",
        "#7 %d.2",
        "I0%d",
        "(%02d)",
    ]
)
_BETWEEN = st.sampled_from([" ", "  ", " | ", ": ", " - ", "\t", "] [", ","])
_END = st.sampled_from([" ", "  ", ": ", " | ", "> ", "] ", "\t", " $ "])


@st.composite
def prefixes(draw: st.DrawFn) -> Callable[[int, str], str]:
    """Something before each line: words that stay, numbers that change, with any punctuation between them."""
    parts: Sequence[str] = draw(st.lists(st.one_of(_WORD, _TIME), min_size=1, max_size=4))
    between = draw(st.lists(_BETWEEN, min_size=len(parts), max_size=len(parts)))
    shape = "".join(chain(*zip(parts, [*between[1:], draw(_END)], strict=True)))
    return lambda at, line: re.sub(r"%(0?2?)d", lambda found: f"{at % 90 + 10:{found[1]}d}", shape) + line
