"""Stacks in the texts of other tools: folded stacks, `pprof -traces`, perf, gdb and delve."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cachedoctor.errors import InputError
from cachedoctor.pprof.goroutines import FRAME, LONGEST_LINE, LONGEST_MARK, NAME, Goroutine, check_count, whole_frames
from cachedoctor.pprof.profile import Profile, ValueType
from cachedoctor.pprof.samples import ListSamples
from cachedoctor.pprof.table import LARGEST, MOST_ROWS, Table, value_of
from cachedoctor.pprof.top import Row, Top
from cachedoctor.pprof.units import SMALLEST

MOST_FRAMES = 8_000_000
"""Frames of all stacks together."""
_PERCENT_PARTS = 100
"""Parts of a percent that a share of perf is counted in."""

_RULE = re.compile(r"-{5,}\+-{5,}$")
_TRACE = re.compile(r"(?:(\d[\w.µμ]*)\s+)?(\S+)(?:\s+\(inline\))?$")
_LABEL = re.compile(r"[\w.-]+:\s")
_TYPE = re.compile(r"Type: (\S+)")
_PERF = re.compile(
    r"(\d{1,3}[.,]\d{1,4})%\s+(?:(\d{1,3}[.,]\d{1,4})%\s+)?(?:\d+\s+)?\S.*?\s\[[.kgu]\]\s+(\S.*?)(?:\s+-\s+-)?$"
)
_PERF_FRAME = re.compile(r"[0-9a-f]{3,16} (\S+?)(?:\+0x[0-9a-f]+)? \([/\[][^)]*\)$")
_HEAP = re.compile(r"heap profile: \d+: \d+ \[\d+: \d+\] @ heap(_v2)?/(\d{1,15})$")
_HEAP_GROUP = re.compile(r"(\d{1,15}): (\d{1,15}) \[\d+: \d+\] @(?:\s+[0-9a-fx]+)*$")
_GDB = re.compile(rf"#\d+\s+(?:0x[0-9a-f]+ in )?(?=[A-Za-z_])({NAME})(?= \(|\s*$)")
_DELVE = re.compile(rf"(\d+)\s+0x[0-9a-f]{{3,16}} in ({NAME})$")
_THREAD = re.compile(r"Thread \d+|\(gdb\)|\(dlv\)|Goroutine (\d{1,18})")
_DELVE_GOROUTINE = re.compile(
    rf"\*?\s*Goroutine (\d{{1,18}}) - [A-Z][\w ]*: \S+ ({NAME}) \(0x[0-9a-f]+\)(?:.*?\[([a-z][\w ]*?)(?: \d+)?\])?"
)

MARKS = re.compile(
    rf"#\d+\s+(?:0x[0-9a-f]+ in )?(?=[A-Za-z_]){NAME} \((?:\)|[\w.~]+=)|\d+\s+0x[0-9a-f]{{3,16}} in {NAME}$"
    r"|\d{1,3}[.,]\d{1,4}%\s+\S.*\s\[[.kgu]\]\s|[0-9a-f]{5,16} [\w./]+\.\S+?\+0x[0-9a-f]+ \([/\[]"
)
"""How lines with such stacks begin: what a prefix is learned from."""


class Stacks(NamedTuple):
    """What was read: samples, a table, or the stacks of threads."""

    profile: Profile | None = None
    table: Table | None = None
    goroutines: Sequence[Goroutine] = ()


def read(lines: Sequence[str]) -> Stacks | None:
    """The stacks in a text, `None` if it has none in any of these forms. Raises `InputError`."""
    texts = [text for line in lines if (text := line[:LONGEST_LINE].strip())]
    for reader in (_heap, _traces, _perf, _perf_script, _backtraces, _folded):
        if found := reader(texts):
            return found
    return None


def _most(texts: Sequence[str], matches: Callable[[str], object]) -> bool:
    """Whether most lines of a text, or of its first lines, match."""
    some = texts[:1000]
    return sum(bool(matches(text)) for text in some) > len(some) / 2


def _folded(texts: Sequence[str]) -> Stacks | None:
    """Lines such as `root;caller;leaf 12`. Source: Brendan Gregg's flamegraph.pl."""
    if not any(";" in text for text in texts[:1000]) or not _most(texts, _sample_of):
        return None
    samples = list(filter(None, map(_sample_of, texts)))
    # Goroutines that wait are parked, which takes no time.
    parked = sum(value for stack, value in samples if stack[0] in ("runtime.gopark", "runtime.goparkunlock"))
    if 2 * parked > sum(value for _, value in samples):
        return Stacks(goroutines=[Goroutine(stack, value) for stack, value in samples if value])
    return Stacks(_profile(samples, "cpu", ValueType("samples", "count")))


def _sample_of(text: str) -> tuple[tuple[str, ...], int] | None:
    """The stack of a line, leaf first, and its value; `None` if it is no folded stack."""
    names, _, value = text.rpartition(" ")
    if not (value.isascii() and value.isdecimal() and len(value) < 19):
        return None
    stack = tuple(reversed(names.strip().split(";")))
    return (stack, int(value)) if all(stack) else None


def _traces(texts: Sequence[str]) -> Stacks | None:
    """What `pprof -traces` prints. Source: google/pprof, internal/report, `printTraces`."""
    rules = [at for at, text in enumerate(texts) if _RULE.match(text)]
    if not rules or not any(_TRACE.match(text) for text in texts[rules[0] :]):
        return None
    kind = next((match[1] for text in texts[: rules[0]] if (match := _TYPE.match(text))), "cpu")
    samples: list[tuple[tuple[str, ...], int]] = []
    stack: list[str] = []
    value, unit = 0, ""
    for text in [*texts[rules[0] :], "-----+-----"]:
        if _RULE.match(text):
            if stack:
                samples.append((tuple(stack), value))
            stack, value = [], 0
        elif (frame := _TRACE.match(text)) and not _LABEL.match(text):
            if not stack and frame[1] and (parsed := value_of(frame[1])):
                value, unit = parsed[0], parsed[1] or unit
            stack.append(frame[2])
    if not samples:
        return None
    if kind == "goroutine":
        return Stacks(goroutines=[Goroutine(stack, value) for stack, value in samples if value > 0])
    of_memory = kind.startswith(("inuse_", "alloc_")) or unit == "bytes"
    return Stacks(_profile(samples, "heap" if of_memory else kind, ValueType(kind, unit or "count")))


def _heap(texts: Sequence[str]) -> Stacks | None:
    """A heap profile of `debug=1`: the memory in use, scaled up from what was sampled.

    Source: runtime/pprof of Go 1.24, `writeHeapInternal`; google/pprof, profile/legacy_profile.go, `scaleHeapSample`.
    """
    head = next(filter(None, map(_HEAP.match, texts)), None)
    if not head:
        return None
    rate = int(head[2]) / (1 if head[1] else 2)
    samples: list[tuple[tuple[str, ...], int]] = []
    stack: list[str] = []
    value = 0
    for text in [*whole_frames(texts), ""]:
        if frame := FRAME.match(text):
            stack.append(frame[1].rstrip())
            continue
        if stack and value:
            samples.append((tuple(stack), value))
        group = _HEAP_GROUP.match(text)
        stack, value = [], _scaled(int(group[1]), int(group[2]), rate) if group else 0
    return Stacks(_profile(samples, "heap", ValueType("inuse_space", "bytes"))) if samples else None


def _scaled(count: int, size: int, rate: float) -> int:
    """How many bytes there probably are if so many were sampled, one of each `rate` bytes."""
    if not count or not size or rate <= 1:
        return size
    return min(LARGEST, int(size / -math.expm1(-size / count / rate)))


def _perf(texts: Sequence[str]) -> Stacks | None:
    """The table of `perf report` and `perf top`; with `Children`, the first share is that of the stacks below, too."""
    shares = [match for text in texts if "%" in text and (match := _PERF.match(text[:LONGEST_MARK]))]
    if not shares:
        return None
    rows: dict[str, Row] = {}
    for match in shares:
        cum = _parts(match[1])
        flat = _parts(match[2]) if match[2] else cum
        known = rows.get(match[3], Row(match[3], 0, 0, ""))
        rows[match[3]] = Row(match[3], known.flat + flat, known.cum + cum, "")
        if len(rows) > MOST_ROWS:
            raise InputError(f"more than {MOST_ROWS:,} lines in the table, which is refused")
    top = Top(list(rows.values()), 100 * _PERCENT_PARTS, "count", [], 0, 0, SMALLEST)
    return Stacks(table=Table(top, "cpu", None))


def _perf_script(texts: Sequence[str]) -> Stacks | None:
    """What `perf script` prints: a line for each sample, and below it the stack."""
    samples: list[tuple[tuple[str, ...], int]] = []
    stack: list[str] = []
    for text in [*texts, ""]:
        if frame := _PERF_FRAME.match(text[:LONGEST_MARK]):
            stack.append(frame[1])
        elif stack:
            samples.append((tuple(stack), 1))
            stack = []
    return Stacks(_profile(samples, "cpu", ValueType("samples", "count"))) if samples else None


def _parts(share: str) -> int:
    return min(LARGEST, round(float(share.replace(",", ".")) * _PERCENT_PARTS))


def _backtraces(texts: Sequence[str]) -> Stacks | None:
    """The stacks of threads or goroutines as gdb and delve print them, each beginning with the number 0."""
    goroutines: list[Goroutine] = []
    stack: list[str] = []
    header: re.Match[str] | None = None

    def keep() -> None:
        if stack:
            goroutines.append(Goroutine(tuple(stack), id=int(header[1]) if header else None))
        elif header:
            goroutines.append(Goroutine((header[2],), state=header[3] or "", id=int(header[1])))
        stack.clear()
        check_count(goroutines)

    for text in texts:
        frame = _GDB.match(text) or _DELVE.match(text)
        if frame:
            number = text.lstrip("#").split(None, 1)[0]
            if number == "0" and stack:
                keep()
                header = None
            stack.append(frame[frame.lastindex or 1])
        elif found := _DELVE_GOROUTINE.match(text):
            keep()
            header = found
        elif _THREAD.match(text) and stack:
            keep()
            header = None
    keep()
    return Stacks(goroutines=goroutines) if goroutines else None


def _profile(samples: Sequence[tuple[tuple[str, ...], int]], kind: str, type: ValueType) -> Profile:
    if sum(len(stack) for stack, _ in samples) > MOST_FRAMES:
        raise InputError(f"more than {MOST_FRAMES:,} frames, which is refused")
    nodes: dict[str, int] = {}
    stacks = [[nodes.setdefault(name, len(nodes)) for name in stack] for stack, _ in samples]
    return Profile(
        kind=kind,
        sample_type=type,
        names=list(nodes),
        samples=ListSamples(stacks, [value for _, value in samples], lines=[[node] for node in range(len(nodes))]),
        texts=[[name] for name in nodes],
    )
