"""The table of functions, as `go tool pprof -top` prints it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from cachedoctor.pprof import units
from cachedoctor.pprof.profile import Profile
from cachedoctor.pprof.samples import wrapped

NODE_FRACTION = 0.005
"""The share of the total below which a node is dropped (pprof, `-nodefraction`)."""
EDGE_FRACTION = 0.001
"""The share below which an edge does not count (pprof, `-edgefraction`)."""

Sort = Literal["cum", "flat"]


class Row(NamedTuple):
    """One function."""

    function: str
    flat: int
    """The value of the samples whose leaf it is."""
    cum: int
    """The value of the samples it is in."""
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
    """Nodes are dropped up to this cum value."""
    shown_unit: str
    """The unit in which values are printed."""

    def lines(self) -> list[str]:
        """The whole table as pprof prints it."""
        return [*self.heading, HEAD, *(self.line(row, summed) for row, summed in self.summed())]

    def summed(self) -> list[tuple[Row, int]]:
        """Each row, and the sum of the flat values from the first row down to it."""
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

    Raises `FocusError` if `focus` is not a regular expression (RE2). Source: google/pprof as of Go 1.27,
    internal/report (`newTrimmedGraph`, `printText`) and internal/graph (`newGraph`).
    """
    total, unit = profile.total, profile.sample_type.unit
    if focus:
        from cachedoctor.pprof.filter import focused

        profile = focused(profile, focus)
    flat, cum = profile.samples.weights(len(profile.names))
    nodes = [node for node in range(len(flat)) if flat[node] or cum[node]]
    whole = wrapped(sum(flat))
    cutoff = _part(whole, NODE_FRACTION)
    kept = [node for node in nodes if wrapped(abs(cum[node])) >= cutoff] if cutoff > 0 else nodes
    order = _sorted(kept, profile.names, flat, cum, sort)
    shown = order[:count] if count else order
    labels = _inline_labels(profile, shown, _part(whole, EDGE_FRACTION))
    rows = [Row(profile.names[node], flat[node], cum[node], labels.get(node, "")) for node in shown]
    dropped_cum = _part(total, NODE_FRACTION)
    table = Top(rows, total, unit, [], len(nodes) - len(kept), dropped_cum, _shown_unit(rows, total, unit))
    return replace(table, heading=_heading(profile, table, len(order), focus))


def _part(total: int, fraction: float) -> int:
    """A fraction of a total, as pprof rounds it."""
    return abs(int(float(total) * fraction))


def _sorted(
    nodes: Sequence[int], names: Sequence[str], flat: Sequence[int], cum: Sequence[int], sort: Sort
) -> list[int]:
    """Nodes by value without its sign, largest first, then by name."""
    first, second = (cum, flat) if sort == "cum" else (flat, cum)
    return sorted(nodes, key=lambda node: (-abs(first[node]), names[node], -abs(second[node]), node))


def _inline_labels(profile: Profile, shown: Sequence[int], cutoff: int) -> dict[int, str]:
    """What pprof says of functions that are inlined: into all that call them, or into some.

    An edge leads from a function that is shown to the next one towards the leaf.
    """
    nodes = range(len(profile.names))
    inlined = {node for line in profile.samples.lines for node in line[:-1]}.intersection(shown)
    if not inlined:
        return {}
    kept = set(shown)
    labels: dict[int, str] = {}
    edges = profile.samples.edges([node in kept for node in nodes], [node in inlined for node in nodes])
    for (_, callee), (weight, called) in edges.items():
        if abs(weight) >= cutoff:
            label = "" if called else "inline"
            labels[callee] = label if labels.setdefault(callee, label) == label else "partial-inline"
    return labels


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
        label = f"focus={focus}".encode()
        shown = label[:80].decode("utf-8", "replace") + ("…" if len(label) > 80 else "")
        lines += ["Active filters:", f"   {shown}"]
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
    seconds = nanos // 10**9
    at = time.localtime(seconds)
    zone = at.tm_zone
    # Go does not know the zones of 24 hours that TZ may name, and takes UTC instead.
    if abs(at.tm_gmtoff) >= 86400:
        at, zone = time.gmtime(seconds), "UTC"
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', at)} {zone}"
