"""The table of functions, as `go tool pprof -top` makes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from cachedoctor.errors import FocusError
from cachedoctor.pprof import expressions, units
from cachedoctor.pprof.profile import Ints, Nodes, Profile

NODE_FRACTION = 0.005
"""The share of the total below which a node is dropped (pprof, `-nodefraction`)."""
EDGE_FRACTION = 0.001
"""The share below which an edge does not count (pprof, `-edgefraction`)."""
FRAMES = 1 << 22
"""Frames whose edges are looked at together."""
CELLS = 1 << 20
"""Cells of the table in which repeated frames of a stack are found."""

Sort = Literal["cum", "flat"]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Row:
    """One function."""

    function: str
    flat: int
    """The value of the samples that it is the leaf of."""
    cum: int
    """The value of the samples that it occurs in."""
    inline: str
    """`inline`, `partial-inline`, or empty."""


@dataclass(frozen=True, slots=True)
class Top:
    """The table, in the unit of the profile's sample type."""

    rows: Sequence[Row]
    total: int
    unit: str
    heading: Sequence[str]
    """The lines above it, as pprof prints them."""
    dropped_nodes: int
    dropped_cum: int
    """The cum at or below which nodes are dropped."""
    shown_unit: str
    """The unit that values are printed in."""

    def lines(self) -> list[str]:
        """The whole table as pprof prints it."""
        return [*self.heading, HEAD, *(self.line(row, summed) for row, summed in self.summed())]

    def summed(self) -> list[tuple[Row, int]]:
        """Each row with the sum of flat down to it."""
        sums = []
        flat = 0
        for row in self.rows:
            flat += row.flat
            sums.append((row, flat))
        return sums

    def line(self, row: Row, summed: int) -> str:
        """One line of the table."""
        cells = (
            f"{self.value(row.flat):>10} {units.percentage(row.flat, self.total)} "
            f"{units.percentage(summed, self.total)} {self.value(row.cum):>10} {units.percentage(row.cum, self.total)}"
        )
        return f"{cells}  {row.function}{f' ({row.inline})' if row.inline else ''}"

    def value(self, value: int) -> str:
        """A value with its unit."""
        return units.label(value, self.unit, self.shown_unit)


HEAD = "      flat  flat%   sum%        cum   cum%"


def top(profile: Profile, sort: Sort = "cum", count: int = 0, focus: str | None = None) -> Top:
    """The table of a profile, of at most `count` functions (0: all), of samples that match `focus`.

    Raises `FocusError` where `focus` is no regular expression (RE2). Source: google/pprof as of Go 1.27,
    internal/report (`newTrimmedGraph`, `printText`) and internal/graph (`newGraph`).
    """
    chosen = focused(profile, focus) if focus else profile
    graph = _Graph(chosen)
    shown = graph.nonzero
    total = profile.total
    cutoff = abs(int(float(int(graph.flat.sum())) * NODE_FRACTION))
    edge_cutoff = abs(int(float(int(graph.flat.sum())) * EDGE_FRACTION))
    dropped = 0
    if cutoff > 0:
        kept = shown & (np.abs(graph.cum) >= cutoff)
        dropped = int(shown.sum() - kept.sum())
        shown = kept
    order = graph.order(np.flatnonzero(shown), sort)
    nodes = order[:count] if count else order
    final = np.zeros(len(shown), np.bool_)
    final[nodes] = True
    labels = graph.inline_labels(final, edge_cutoff)
    rows = [
        Row(profile.names[node], int(graph.flat[node]), int(graph.cum[node]), labels.get(int(node), ""))
        for node in nodes.tolist()
    ]
    unit = profile.sample_type.unit
    shown_unit = _shown_unit(rows, total, unit)
    made = Top(rows, total, unit, [], dropped, abs(int(float(total) * NODE_FRACTION)), shown_unit)
    return replace(made, heading=_heading(profile, made, len(order), focus))


def focused(profile: Profile, focus: str) -> Profile:
    """The samples of which a function, its file or the binary matches. Raises `FocusError`."""
    try:
        expression = expressions.compiled(focus)
    except ValueError as error:
        raise FocusError(f"{focus!r} is no regular expression") from error
    matching = np.array([any(map(expression.search, texts)) for texts in profile.texts], np.bool_)
    hits = np.flatnonzero(matching[profile.locations]) if len(matching) else np.empty(0, np.int64)
    at = np.searchsorted(hits, profile.location_starts)
    return profile.subset(at[1:] > at[:-1])


class _Graph:
    """The nodes of a profile with their values."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile.subset(profile.values != 0) if (profile.values == 0).any() else profile
        self.size = len(profile.names)
        self.flat = np.zeros(self.size, np.int64)
        self.cum = np.zeros(self.size, np.int64)
        stacks = np.flatnonzero(np.diff(self.profile.starts))
        np.add.at(self.flat, self.profile.frames[self.profile.starts[stacks]], self.profile.values[stacks])
        for part, owners, first in _first_in_sample(self.profile.frames, self.profile.starts, self.size):
            np.add.at(self.cum, self.profile.frames[part][first], self.profile.values[owners[first]])

    @property
    def nonzero(self) -> Mask:
        """Nodes with any value."""
        shown: Mask = (self.cum != 0) | (self.flat != 0)
        return shown

    def order(self, nodes: Ints, sort: Sort) -> Ints:
        """Nodes by value without signs, then by name."""
        first, second = (self.cum, self.flat) if sort == "cum" else (self.flat, self.cum)
        names = self.profile.names
        keys = [(-abs(int(first[node])), names[node], -abs(int(second[node])), node) for node in nodes.tolist()]
        return np.array([key[-1] for key in sorted(keys)], np.int64)

    def inline_labels(self, kept: Mask, cutoff: int) -> dict[int, str]:
        """What pprof says of nodes that are inlined: into all that call them, or into some.

        An edge leads from a kept node to the next kept one towards the leaf; its value counts once a sample.
        """
        profile = self.profile
        candidates = np.zeros(self.size, np.bool_)
        candidates[profile.frames[profile.inlined]] = True
        candidates &= kept
        if not candidates.any():
            return {}
        weights: dict[int, int] = {}
        calls: set[int] = set()
        samples = np.searchsorted(profile.starts, np.arange(0, len(profile.frames), FRAMES))
        for low, high in pairwise([*sorted({0, *samples.tolist()}), len(profile.values)]):
            self._add_edges(low, high, kept, candidates, weights, calls)
        labels: dict[int, str] = {}
        for key, weight in weights.items():
            if abs(weight) >= cutoff:
                node = key % self.size
                said = "" if key in calls else "inline"
                before = labels.setdefault(node, said)
                labels[node] = said if before == said else "partial-inline"
        return labels

    def _add_edges(
        self, low: int, high: int, kept: Mask, candidates: Mask, weights: dict[int, int], calls: set[int]
    ) -> None:
        """Add the edges to candidates of the samples from `low` to `high`; `calls` are those that are not inlined."""
        profile = self.profile
        bounds = profile.starts[low : high + 1]
        part = slice(int(bounds[0]), int(bounds[-1]))
        places = np.flatnonzero(kept[profile.frames[part]])
        owners = np.repeat(np.arange(high - low, dtype=np.int32), np.diff(bounds))[places]
        nodes, inlined = profile.frames[part][places], profile.inlined[part][places]
        edges = np.flatnonzero(candidates[nodes[:-1]] & (owners[:-1] == owners[1:]) & (nodes[:-1] != nodes[1:]))
        keys = nodes[edges + 1].astype(np.int64) * self.size + nodes[edges]
        distinct, edge = np.unique(keys, return_inverse=True)
        edge = edge.astype(np.int32)
        sums = np.zeros(len(distinct), np.int64)
        called = np.zeros(len(distinct), np.bool_)
        starts = np.searchsorted(owners[edges], np.arange(high - low + 1))
        for block, samples, first in _first_in_sample(edge, starts, len(distinct)):
            new = edge[block][first]
            np.add.at(sums, new, profile.values[low + samples[first]])
            called[new[~inlined[edges[block][first]]]] = True
        for key, value in zip(distinct.tolist(), sums.tolist(), strict=True):
            weights[key] = weights.get(key, 0) + value
        calls.update(distinct[called].tolist())


def _first_in_sample(items: Nodes, starts: Ints, kinds: int) -> Iterator[tuple[slice, Nodes, Ints]]:
    """The items that are new in their sample, seen from its last item: one a kind and sample.

    `items` are numbers below `kinds`, and sample *n* has those from `starts[n]` to `starts[n + 1]`. Yields, for some
    samples after the other, where their items are, the sample of each, and which of these items are new. As many
    samples are taken at once as a table with a cell for each kind and sample holds; of several items that are written
    to a cell the last stays.
    """
    together = max(1, CELLS // max(1, kinds))
    table = np.empty(together * max(1, kinds), np.int32)
    for low in range(0, len(starts) - 1, together):
        bounds = starts[low : low + together + 1]
        part = slice(int(bounds[0]), int(bounds[-1]))
        owners = np.repeat(np.arange(len(bounds) - 1, dtype=np.int32), np.diff(bounds))
        cells = owners * np.int32(kinds) + items[part]
        places = np.arange(len(cells), dtype=np.int32)
        table[cells] = places
        yield part, owners + np.int32(low), np.flatnonzero(table[cells] == places)


def _shown_unit(rows: Sequence[Row], total: int, unit: str) -> str:
    """The unit for all values (pprof, `selectOutputUnit`)."""
    least = [abs(row.flat) or abs(row.cum) for row in rows]
    if not rows:
        return units.SMALLEST
    return units.common(min((value for value in least if value), default=0) or total, total, unit)


def _heading(profile: Profile, table: Top, nodes: int, focus: str | None) -> list[str]:
    """The lines above the table (pprof, `ProfileLabels` and `reportLabels`)."""
    lines = [f"File: {profile.file}"] if profile.file else []
    lines += [f"Build ID: {profile.build_id}"] if profile.build_id else []
    lines += [comment for comment in profile.comments if not comment.startswith("#")]
    lines += [f"Type: {profile.sample_type.type}"] if profile.sample_type.type else []
    lines += [f"Doc: {profile.doc_url}"] if profile.doc_url else []
    lines += [f"Time: {_time(profile.time_nanos)}"] if profile.time_nanos else []
    if profile.duration_nanos:
        duration = units.label(profile.duration_nanos, "nanoseconds")
        nanos, unit = units.scale(table.total, table.unit, "nanoseconds")
        ratio = f"({units.percentage(int(nanos), profile.duration_nanos)})" if unit == "ns" and nanos else ""
        lines.append(f"Duration: {duration}, Total samples = {table.value(table.total)} {ratio}")
    if focus:
        shown = (
            focus
            if len(f"focus={focus}".encode()) <= 80
            else f"{f'focus={focus}'.encode()[:80].decode('utf-8', 'replace')[6:]}…"
        )
        lines += ["Active filters:", f"   focus={shown}"]
    flat = sum(row.flat for row in table.rows)
    share = units.percentage(flat, table.total).strip()
    lines.append(f"Showing nodes accounting for {table.value(flat)}, {share} of {table.value(table.total)} total")
    if table.total and table.dropped_nodes:
        noun = "node" if table.dropped_nodes == 1 else "nodes"
        lines.append(f"Dropped {table.dropped_nodes} {noun} (cum <= {table.value(table.dropped_cum)})")
    if table.total and 0 < len(table.rows) < nodes:
        lines.append(f"Showing top {len(table.rows)} nodes out of {nodes}")
    return lines


def _time(nanos: int) -> str:
    at = datetime.fromtimestamp(nanos // 10**9, UTC)
    # A zone of 24 hours, which TZ may name, is none to Python.
    with suppress(ValueError, OSError):
        at = at.astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S %Z}"
