"""Goroutine dumps: what each goroutine is doing, and since when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cachedoctor.errors import InputError
from cachedoctor.pprof.profile import Profile, ValueType
from cachedoctor.pprof.samples import ListSamples

MOST_GOROUTINES = 2_000_000
"""Goroutines, or groups of them, in one dump."""
TOTAL = "goroutine profile: total "

_HEADER = re.compile(r"goroutine (\d{1,18})\b[^\[]*\[([^\]]*)\].*:$")
_GROUP = re.compile(r"(\d{1,9}) @(?: 0x[0-9a-f]+)*$")
_FRAME = re.compile(r"#\s+0x[0-9a-f]+\s+(\S.*?)(?:\+0x[0-9a-f]+)?(?:\s+\S+:\d+)?$")
_CREATED = re.compile(r"created by (.+?)(?: in goroutine (\d{1,18}))?$")
_WAIT = re.compile(r"(\d{1,9}) minutes")
_POSITION = re.compile(r"^\s+\S.*:\d+( \+0x[0-9a-f]+)?$")
_HIDDEN = "stack unavailable"


@dataclass(frozen=True, slots=True)
class Goroutine:
    """One goroutine, or several with the same stack."""

    stack: tuple[str, ...]
    """Functions from the leaf to the root. Go cuts off deep stacks."""
    count: int = 1
    state: str = ""
    """`running`, `IO wait`, `select`, …; empty if the dump does not say."""
    hidden: bool = False
    """Whether it was running on another thread, so that a dump made on SIGQUIT does not show its stack."""
    minutes: int | None = None
    """How long it has been in this state; `None` below one minute, and if the dump does not say."""
    id: int | None = None
    creator: int | None = None
    """The id of the goroutine that started it."""


def is_grouped(lines: Sequence[str]) -> bool:
    """Whether a text is a dump of `debug=1`."""
    return any(line.lstrip().startswith(TOTAL) for line in lines)


def is_listed(lines: Sequence[str]) -> bool:
    """Whether a text has a dump of `debug=2` in it, or what a Go program prints on SIGQUIT."""
    return any(_HEADER.match(line.lstrip()) for line in lines)


def grouped(lines: Sequence[str]) -> list[Goroutine]:
    """The goroutines of `/debug/pprof/goroutine?debug=1`.

    Raises `InputError`. Source: runtime/pprof of Go 1.24, `printCountProfile`.
    """
    goroutines: list[Goroutine] = []
    count, stack = 0, list[str]()
    for line in [*map(str.strip, lines), ""]:
        group = _GROUP.match(line)
        frame = _FRAME.match(line)
        if frame:
            stack.append(frame.group(1))
        elif (group or not line) and count:
            goroutines.append(Goroutine(tuple(stack), count))
            _check_count(goroutines)
            count, stack = 0, []
        if group:
            count = int(group.group(1))
    _check_stacks(goroutines)
    return goroutines


def missing(lines: Sequence[str], goroutines: Sequence[Goroutine]) -> int:
    """How many goroutines are missing from a dump of `debug=1`, going by the total on its first line."""
    line = next((line.lstrip() for line in lines if line.lstrip().startswith(TOTAL)), "")
    total = line.removeprefix(TOTAL).strip()
    expected = int(total) if total.isascii() and total.isdecimal() and len(total) < 10 else 0
    return max(0, expected - sum(goroutine.count for goroutine in goroutines))


def listed(lines: Sequence[str]) -> list[Goroutine]:
    """The goroutines of `/debug/pprof/goroutine?debug=2`, indented or not.

    Raises `InputError`. Source: runtime of Go 1.24, `goroutineheader` and `traceback`.
    """
    goroutines: list[Goroutine] = []
    for header, block in _blocks(_outdented(lines)):
        stack: list[str] = []
        creator = None
        hidden = False
        for line in block:
            hidden = hidden or _HIDDEN in line
            created = _CREATED.match(line)
            if created:
                creator = int(created.group(2)) if created.group(2) else None
                break
            name = _function(line)
            if name:
                stack.append(name)
        state, *rest = header.group(2).split(", ")
        waits = (_WAIT.fullmatch(part) for part in rest)
        minutes = next((int(wait.group(1)) for wait in waits if wait), None)
        number = int(header.group(1))
        goroutines.append(Goroutine(tuple(stack), 1, state.partition(" (")[0], hidden, minutes, number, creator))
        _check_count(goroutines)
    _check_stacks(goroutines)
    return goroutines


def is_cut(lines: Sequence[str]) -> bool:
    """Whether a dump of `debug=2` ends in the middle of a goroutine: each function is followed by its position."""
    last = next((line for line in reversed(_outdented(lines)) if line.strip(" `")), "")
    ends = bool(_POSITION.search(last)) or _HIDDEN in last
    return not ends and not last.startswith(("goroutine ", "$", "rax", "fs ", "gs "))


def _outdented(lines: Sequence[str]) -> Sequence[str]:
    """The lines without the indentation of the first goroutine's header."""
    first = next((line for line in lines if line.lstrip().startswith("goroutine ")), "")
    indent = first[: len(first) - len(first.lstrip())]
    return [line.removeprefix(indent) for line in lines] if indent else lines


def _blocks(lines: Sequence[str]) -> Iterator[tuple[re.Match[str], list[str]]]:
    header: re.Match[str] | None = None
    block: list[str] = []
    for line in lines:
        start = _HEADER.match(line.lstrip())
        if start:
            if header:
                yield header, block
            header, block = start, []
        elif header and line and (not line[0].isspace() or _HIDDEN in line):
            block.append(line)
    if header:
        yield header, block


def _function(line: str) -> str | None:
    """The name in `name(arguments)`."""
    if not line.endswith(")"):
        return None
    depth = 0
    for at in range(len(line) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(line[at], 0)
        if not depth:
            return line[:at] or None
    return None


def _check_count(goroutines: Sequence[Goroutine]) -> None:
    if len(goroutines) > MOST_GOROUTINES:
        raise InputError(f"more than {MOST_GOROUTINES:,} goroutines, which is refused")


def _check_stacks(goroutines: Sequence[Goroutine]) -> None:
    if not any(goroutine.stack for goroutine in goroutines):
        raise InputError("a goroutine dump without any stack: it is cut short, or was changed")


def from_profile(profile: Profile) -> list[Goroutine]:
    """The goroutines of a goroutine profile in protobuf form."""
    names = profile.names
    return [Goroutine(tuple(names[node] for node in nodes), value) for nodes, value in profile.samples if value > 0]


def profile_of(goroutines: Sequence[Goroutine]) -> Profile:
    """A profile that counts these goroutines."""
    nodes: dict[str, int] = {}
    stacks = [[nodes.setdefault(name, len(nodes)) for name in goroutine.stack] for goroutine in goroutines]
    return Profile(
        kind="goroutine",
        sample_type=ValueType("goroutine", "count"),
        names=list(nodes),
        samples=ListSamples(
            stacks, [goroutine.count for goroutine in goroutines], lines=[[node] for node in range(len(nodes))]
        ),
        texts=[[name] for name in nodes],
    )
