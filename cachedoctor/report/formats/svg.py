"""A profile as a flame graph: one self-contained SVG that any browser shows, with or without scripts."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from zlib import crc32

from cachedoctor.pprof.names import without_folders
from cachedoctor.report import Part
from cachedoctor.report.page import Page, Style
from cachedoctor.text import printable

NEEDS = Part.STACKS

LEVELS = 256
"""Levels drawn above the root."""
MOST = 20_000
"""Frames drawn, the widest of all."""
NARROWEST = 1000
"""A frame is drawn if it is at least one part in this many of the whole."""
LONGEST = 4096
"""Letters kept of a name, to bound the size of the drawing."""

_WIDTH, _PAD, _ROW = 1200, 10, 18
_CHART = _WIDTH - 2 * _PAD
_LETTER, _HEADING = 7.2, 9.6
_PRECISION = 10_000
_CONTROLS = 430
_SHADES = 4
_LEGEND = (("b", "BuildKit"), ("r", "Go runtime, internal"), ("s", "standard library"), ("o", "others"))

_BUILDKIT = "github.com/moby/buildkit/"
# Only a package of the standard library has no dot in the first element of its path.
_STANDARD = re.compile(r"([a-z][a-z0-9]*)(?:/|\.[^/\[(]*(?:[\[(]|$))")

Stack = tuple[tuple[str, ...], int]
"""The frames from the root to the leaf, cut at `LEVELS`, and the value of all samples with them."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A box: `depth` 0 is the root; `start` and `value` in the unit of the samples, `start` from the left edge."""

    name: str
    depth: int
    start: int
    value: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Frames in preorder, the root first; `deepest` is the number of frames of the deepest stack, drawn or not."""

    frames: list[Frame]
    whole: int
    deepest: int
    narrow: bool
    crowded: bool


def render(page: Page, style: Style) -> str:
    """The SVG; the style makes no difference. Raises `InputError` if a table was read, which has no stacks."""
    stacks = page.stacks
    assert stacks
    return svg(stacks.stacks(), title=stacks.title, value=stacks.value, total=stacks.total)


def svg(stacks: Iterable[tuple[Sequence[str], int]], *, title: str, value: Callable[[int], str], total: int) -> str:
    """The flame graph of `stacks`, each a sequence of frames from the root to the leaf with its sample value.

    Percentages and widths are shares of `total`, or of the sum of the samples should that be greater.
    The result depends on the samples alone, not on their order. All texts are shown as `printable` has them.
    """
    plan = layout(stacks, total)
    notes = _notes(plan)
    top = 78 + 16 * len(notes)
    rows = max((frame.depth for frame in plan.frames), default=0) + 1
    height = top + rows * _ROW + _PAD
    floor = top + (rows - 1) * _ROW
    heading = _text(title)
    idle = f"all: {_text(value(plan.whole))}" if plan.whole else "No samples."
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="flame" width="100%" viewBox="0 0 {_WIDTH} {height}" '
            'preserveAspectRatio="xMidYMin meet">',
            f"<title>{escape(heading)}</title>",
            f"<style><![CDATA[\n{_asset('flamegraph.css')}]]></style>",
            f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
            '<g class="frames">',
            *(_box(frame, plan.whole, floor, value) for frame in plan.frames),
            "</g>",
            *_header(heading, idle, notes, top),
            f"<script><![CDATA[\n{_asset('flamegraph.js')}]]></script>",
            "</svg>\n",
        ]
    )


def layout(stacks: Iterable[tuple[Sequence[str], int]], total: int) -> Layout:
    """The widest `MOST` frames of the trie of all stacks.

    A node of the trie is just the list of the stacks that go through it, split into its children only when it is
    drawn. So each frame of each stack is looked at once at most, and narrow ones never.
    """
    table, deepest = _merge(stacks)
    whole = max(total, sum(amount for _, amount in table))
    if whole <= 0:
        return Layout([], 0, deepest, narrow=False, crowded=False)
    drawn: list[Frame] = []
    narrow, serial = False, 0
    # No child is wider than its parent: the order of the heap never reaches a child whose parent is left out.
    heap: list[tuple[int, int, int, Frame, Sequence[int]]] = [
        (-whole, 0, serial, Frame("all", 0, 0, whole), range(len(table)))
    ]
    while heap and len(drawn) < MOST:
        *_, frame, members = heapq.heappop(heap)
        drawn.append(frame)
        for child, inside in _children(frame, members, table):
            if child.value * NARROWEST < whole:
                narrow = True
            else:
                serial += 1
                heapq.heappush(heap, (-child.value, child.depth, serial, child, inside))
    drawn.sort(key=lambda frame: (frame.start, frame.depth))
    return Layout(drawn, whole, deepest, narrow, crowded=bool(heap))


def family(name: str) -> str:
    """The key of the legend for a Go function: `b`uildKit, `r`untime and internal, `s`tandard library, `o`thers."""
    if name.startswith(_BUILDKIT) and "/vendor/" not in name:
        return "b"
    if name.startswith(("type:", "type..", "go:")):
        return "r"
    package = _STANDARD.match(name)
    if not package or package[1] == "main":
        return "o"
    return "r" if package[1] in ("runtime", "internal") else "s"


def fit(name: str, room: float) -> str:
    """A name for `room` letters: whole, else without its folders, else cut with an ellipsis, else nothing."""
    if _cells(name) <= room:
        return name
    name = without_folders(name)
    if _cells(name) <= room:
        return name
    if room < 3:
        return ""
    used, kept = 1, 0
    for letter in name:
        used += _cells(letter)
        if used > room:
            break
        kept += 1
    return name[:kept] + "…"


def _merge(stacks: Iterable[tuple[Sequence[str], int]]) -> tuple[list[Stack], int]:
    """Equal stacks added up, and the depth of the deepest before they are cut."""
    sums: dict[tuple[str, ...], int] = {}
    deepest = 0
    for frames, amount in stacks:
        if amount > 0:
            deepest = max(deepest, len(frames))
            key = tuple(frames[:LEVELS])
            sums[key] = sums.get(key, 0) + amount
    return list(sums.items()), deepest


def _children(frame: Frame, members: Sequence[int], table: list[Stack]) -> Iterator[tuple[Frame, list[int]]]:
    """The frames right above a frame, from the left by name, each with the indices of the stacks through it."""
    depth = frame.depth
    groups: dict[str, list[int]] = {}
    for index in members:
        frames = table[index][0]
        if len(frames) > depth:
            groups.setdefault(frames[depth], []).append(index)
    start = frame.start
    for name in sorted(groups):
        amount = sum(table[index][1] for index in groups[name])
        yield Frame(name, depth + 1, start, amount), groups[name]
        start += amount


def _cells(text: str) -> int:
    """Room for a text in letters; those beyond ASCII may be wide, so each is given two."""
    return len(text) if text.isascii() else sum(1 if letter.isascii() else 2 for letter in text)


def _text(foreign: str) -> str:
    """A text from outside with no character that XML forbids, of bounded length; still to be escaped."""
    shown = printable(foreign[:LONGEST])
    return shown if len(foreign) <= LONGEST else shown + "…"


def _box(frame: Frame, whole: int, floor: int, value: Callable[[int], str]) -> str:
    """A frame as a group with its tooltip, its box and as much of its name as there is room for."""
    name = _text(frame.name)
    # Both edges are rounded down to the same grid, so the boxes of children never outgrow the box of their parent.
    left = frame.start * _CHART * _PRECISION // whole
    right = (frame.start + frame.value) * _CHART * _PRECISION // whole
    x, width = left / _PRECISION + _PAD, (right - left) / _PRECISION
    y = floor - frame.depth * _ROW
    label = fit(name, (width - 6) / _LETTER)
    shade = f"{family(frame.name)}{crc32(name.encode()) % _SHADES}" if frame.depth else "all"
    return (
        f'<g class="frame {shade}" data-depth="{frame.depth}">'
        f"<title>{escape(name)}\n{escape(_text(value(frame.value)))}, {_percent(frame.value / whole, 2)}</title>"
        f'<rect x="{x:.4f}" y="{y}" width="{width:.4f}" height="{_ROW - 1}"/>'
        + (f'<text x="{x + 3:.2f}" y="{y + 13}">{escape(label)}</text></g>' if label else "</g>")
    )


def _header(heading: str, idle: str, notes: Sequence[str], height: int) -> Iterator[str]:
    """Everything above the frames. It comes after them in the document, to lie over them when they scroll."""
    room = (_CHART - _CONTROLS) / _HEADING
    yield f'<g class="header"><rect class="page" width="{_WIDTH}" height="{height - 4}"/>'
    yield f'<text class="heading" x="{_PAD}" y="26">{escape(fit(heading, room))}</text>'
    at = float(_PAD)
    for key, label in _LEGEND:
        yield f'<rect class="{key}0" x="{at:.1f}" y="39" width="12" height="12"/>'
        yield f'<text x="{at + 17:.1f}" y="49">{label}</text>'
        at += 35 + len(label) * _LETTER
    yield f'<text class="matched" x="{_WIDTH - _PAD}" y="49" text-anchor="end"></text>'
    for row, note in enumerate(notes):
        yield f'<text class="note" x="{_PAD}" y="{66 + 16 * row}">{note}</text>'
    yield f'<text class="details" x="{_PAD}" y="{height - 11}">{escape(fit(idle, _CHART / _LETTER))}</text>'
    yield "</g>"


def _notes(plan: Layout) -> list[str]:
    """What the drawing leaves out, a line each."""
    notes = []
    if plan.deepest > LEVELS:
        notes.append(f"Drawn are the lowest {LEVELS} levels; the deepest stack has {plan.deepest:,}.")
    if plan.crowded:
        notes.append(f"Drawn are the widest {MOST:,} frames.")
    if plan.narrow:
        notes.append(f"Frames under {_percent(1 / NARROWEST, 1)} of the total are left out.")
    return notes


def _percent(share: float, places: int) -> str:
    return f"{100 * share:.{places}f}%"


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
