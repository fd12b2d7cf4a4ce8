"""Goroutine dumps: what each goroutine is doing, and since when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cachedoctor.errors import InputError
from cachedoctor.pprof.profile import Profile, ValueType

MOST_GOROUTINES = 2_000_000
"""Goroutines, or groups of them, in one dump."""

_ONE = re.compile(r"goroutine (\d{1,18})\b[^\[]*\[([^\]]*)\].*:$")
_GROUP = re.compile(r"(\d{1,9}) @(?: 0x[0-9a-f]+)*$")
_FRAME = re.compile(r"#\s+0x[0-9a-f]+\s+(\S.*?)(?:\+0x[0-9a-f]+)?(?:\s+\S+:\d+)?$")
_CREATED = re.compile(r"created by (.+?)(?: in goroutine (\d{1,18}))?$")
_WAIT = re.compile(r"(\d{1,9}) minutes")
_PLACE = re.compile(r"^\s+\S.*:\d+( \+0x[0-9a-f]+)?$")
_HIDDEN = "stack unavailable"
TOTAL = "goroutine profile: total "


@dataclass(frozen=True, slots=True)
class Goroutine:
    """One goroutine, or several with the same stack."""

    stack: tuple[str, ...]
    """Functions from the leaf to the root. The runtime cuts deep stacks off."""
    count: int = 1
    state: str = ""
    """`running`, `IO wait`, `select`, …; empty where the dump does not tell."""
    hidden: bool = False
    """Whether it was running on another thread, so that a dump made on SIGQUIT does not tell its stack."""
    minutes: int | None = None
    """How long it has been in this state; `None` below one minute, and where the dump does not tell."""
    id: int | None = None
    creator: int | None = None
    """The goroutine that started it."""


def is_grouped(lines: Sequence[str]) -> bool:
    """Whether a text is a dump of `debug=1`."""
    return any(line.lstrip().startswith(TOTAL) for line in lines)


def is_listed(lines: Sequence[str]) -> bool:
    """Whether a text holds a dump of `debug=2`, or what a Go program prints on SIGQUIT."""
    return any(_ONE.match(line.lstrip()) for line in lines)


def grouped(lines: Sequence[str], source: str) -> list[Goroutine]:
    """The goroutines of `/debug/pprof/goroutine?debug=1`.

    Raises `InputError`. Source: runtime/pprof of Go 1.24, `printCountProfile`.
    """
    found: list[Goroutine] = []
    count, stack = 0, list[str]()
    for line in [*map(str.strip, lines), ""]:
        group = _GROUP.match(line)
        frame = _FRAME.match(line)
        if frame:
            stack.append(frame.group(1))
        elif (group or not line) and count:
            found.append(Goroutine(tuple(stack), count))
            _bounded(found, source)
            count, stack = 0, []
        if group:
            count = int(group.group(1))
    return _with_stacks(found, source)


def is_cut(lines: Sequence[str]) -> bool:
    """Whether a dump of `debug=2` ends in the middle of a goroutine: each function is followed by its place."""
    last = next((line for line in reversed(lines) if line.strip(" `")), "")
    ends = bool(_PLACE.search(last)) or _HIDDEN in last
    return not ends and not last.startswith(("goroutine ", "$", "rax", "fs ", "gs "))


def missing(lines: Sequence[str], found: Sequence[Goroutine]) -> int:
    """How many goroutines a dump of `debug=1` lacks: its first line tells their number."""
    line = next((line.lstrip() for line in lines if line.lstrip().startswith(TOTAL)), "")
    total = line.removeprefix(TOTAL).strip()
    told = int(total) if total.isascii() and total.isdecimal() and len(total) < 10 else 0
    return max(0, told - sum(one.count for one in found))


def listed(lines: Sequence[str], source: str) -> list[Goroutine]:
    """The goroutines of `/debug/pprof/goroutine?debug=2`.

    Raises `InputError`. Source: runtime of Go 1.24, `goroutineheader` and `traceback`.
    """
    found: list[Goroutine] = []
    for header, block in _blocks(lines):
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
        found.append(Goroutine(tuple(stack), 1, state.partition(" (")[0], hidden, minutes, number, creator))
        _bounded(found, source)
    return _with_stacks(found, source)


def _blocks(lines: Sequence[str]) -> Iterator[tuple[re.Match[str], list[str]]]:
    header: re.Match[str] | None = None
    block: list[str] = []
    for line in lines:
        start = _ONE.match(line.lstrip())
        if start:
            if header:
                yield header, block
            header, block = start, []
        elif header and line and (not line[0].isspace() or _HIDDEN in line):
            block.append(line)
    if header:
        yield header, block


def _with_stacks(found: list[Goroutine], source: str) -> list[Goroutine]:
    """The goroutines, if there is anything to be told from them."""
    if not any(one.stack for one in found):
        raise InputError("a goroutine dump without any stack: it is cut short, or was changed", source=source)
    return found


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


def _bounded(found: Sequence[Goroutine], source: str) -> None:
    if len(found) > MOST_GOROUTINES:
        raise InputError(f"more than {MOST_GOROUTINES:,} goroutines, which is refused", source=source)


def from_profile(profile: Profile) -> list[Goroutine]:
    """The goroutines of a goroutine profile in protobuf form."""
    names = profile.names
    starts = profile.starts.tolist()
    return [
        Goroutine(tuple(names[node] for node in profile.frames[begin:end].tolist()), value)
        for begin, end, value in zip(starts, starts[1:], profile.values.tolist(), strict=False)
        if value > 0
    ]


def profile_of(goroutines: Sequence[Goroutine], source: str) -> Profile:
    """The same as a profile that counts goroutines."""
    nodes: dict[str, int] = {}
    frames = [nodes.setdefault(name, len(nodes)) for one in goroutines for name in one.stack]
    starts = np.cumsum([0, *(len(one.stack) for one in goroutines)], dtype=np.int64)
    columns = np.array(frames, np.int32)
    return Profile(
        source=source,
        kind="goroutine",
        sample_type=ValueType("goroutine", "count"),
        names=list(nodes),
        frames=columns,
        inlined=np.zeros(len(frames), np.bool_),
        starts=starts,
        values=np.array([one.count for one in goroutines], np.int64),
        locations=columns,
        location_starts=starts,
        texts=[[name] for name in nodes],
    )
