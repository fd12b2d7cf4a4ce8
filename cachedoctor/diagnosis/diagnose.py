"""From evidence to a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.buildkit import SECONDS_PER_CALL, SECONDS_PER_MARSHAL_STEP, SECONDS_PER_WALK_STEP
from cachedoctor.diagnosis import exports as dumps
from cachedoctor.diagnosis import phases
from cachedoctor.diagnosis.evidence import Evidence
from cachedoctor.diagnosis.exports import Export, Wait
from cachedoctor.diagnosis.findings import Finding, findings
from cachedoctor.diagnosis.phases import Phase, shares, shares_of_table
from cachedoctor.diagnosis.seen import Seen
from cachedoctor.diagnosis.timed import TIMED
from cachedoctor.diagnosis.twice import Twice, compare
from cachedoctor.errors import FocusError
from cachedoctor.numbers import YEAR
from cachedoctor.pprof import units
from cachedoctor.pprof.top import Sort, Top, top

if TYPE_CHECKING:
    from cachedoctor.graph.survey import Survey

__all__ = ["TIMED", "Diagnosis", "Finding", "Remaining", "diagnose"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that a report shows."""

    evidence: Sequence[Evidence]
    """What was read, first the profile that the table and the phases are from."""
    top: Top
    phases: Mapping[Phase, float]
    """The share of each phase, largest first; empty if the profile does not show where the time goes."""
    estimated: bool
    """Whether the phases were estimated from a table."""
    exports: Sequence[Export]
    waits: Sequence[Wait]
    findings: Sequence[Finding]
    """Causes, the main one first; never empty."""
    cores: float | None
    """How many cores the daemon used, `None` if unknown."""
    go_version: str | None
    buildkit: str | None
    """The releases that the exporter may be from."""
    twice: Twice | None = None
    """What moved between two dumps, if there are two."""
    remaining: Remaining | None = None
    """How long it goes on, if caches were given and the work of the main cause depends on them."""

    @property
    def main(self) -> Finding:
        """The main cause."""
        return self.findings[0]


def diagnose(
    evidence: Sequence[Evidence],
    *,
    sort: Sort = "cum",
    count: int = 0,
    focus: str | None = None,
    caches: Survey | None = None,
    elapsed: float | None = None,
) -> Diagnosis:
    """Find the cause. Of several goroutine dumps the last one counts, and is compared with the first.

    `caches` is what the export holds, `elapsed` how many seconds it has run.

    `count` is the number of functions in the table, 0 for all. Raises `FocusError` if `focus` is not a regular
    expression, or the evidence is a table.
    """
    with_goroutines = [item for item in evidence if item.goroutines]
    earlier, now = with_goroutines[:-1], with_goroutines[-1:]
    others = sorted((item for item in evidence if not item.goroutines), key=lambda item: item.kind not in TIMED)
    ordered = [*others, *now]
    first = ordered[0]
    twice = compare(earlier[0].goroutines, now[0].goroutines) if earlier else None
    table = top(first.profile, sort, count, focus) if first.profile else _table(first, sort, count, focus)
    dump = [goroutine for item in ordered for goroutine in item.goroutines]
    tables = [item.table.top for item in ordered if item.table and item.kind == "goroutine"]
    exports = dumps.exports(dump) + [export for rows in tables for export in dumps.exports_of_table(rows)]
    by_phase, estimated = _shares(first, exports)
    cores = _cores(first)
    waits = dumps.waits(dump)
    results = findings(Seen(ordered, by_phase, cores, exports, waits, dump, twice))
    functions = [name for item in ordered for name in item.functions]
    left = None
    if caches:
        main = results[0].cause
        left = remaining(
            main,
            caches,
            old_maps=phases.has_old_maps(functions),
            elapsed=elapsed if elapsed is not None else _elapsed(exports, main),
            cores=_cores_of_each(results[0], cores, exports),
        )
    return Diagnosis(
        evidence=[*ordered, *earlier],
        top=table,
        phases=by_phase,
        estimated=estimated,
        exports=exports,
        waits=waits,
        findings=results,
        cores=cores,
        go_version=phases.go_version(functions),
        buildkit=phases.buildkit_regime(functions),
        twice=twice,
        remaining=left,
    )


def _table(first: Evidence, sort: Sort, count: int, focus: str | None) -> Top:
    """The table that was read, in the order and length asked for."""
    assert first.table
    if focus:
        raise FocusError("a table does not show which samples a function is in: --focus needs the profile itself")
    table = first.table.top
    rows = sorted(table.rows, key=lambda row: (-abs(row.cum if sort == "cum" else row.flat), row.function))
    if not count or count >= len(rows):
        return replace(table, rows=rows)
    heading = [line for line in table.heading if not line.startswith("Showing ")]
    return replace(table, rows=rows[:count], heading=[*heading, f"Showing {count} of {len(rows)} lines of the table"])


def _shares(first: Evidence, exports: Sequence[Export]) -> tuple[Mapping[Phase, float], bool]:
    """The share of each phase, and whether it is estimated."""
    if first.kind in TIMED:
        if first.table:
            return shares_of_table(first.table.top), True
        return shares(first.profile) if first.profile else {}, False
    return dumps.phases(exports), False


def _cores(first: Evidence) -> float | None:
    """Seconds of CPU time for each second."""
    if first.kind not in TIMED or not first.duration_seconds or first.duration_seconds < 0:
        return None
    seconds, unit = units.scale(first.total, first.unit, "seconds")
    return seconds / first.duration_seconds if unit == "s" else None


def _elapsed(exports: Sequence[Export], cause: str) -> float | None:
    """Seconds since the first export of a cause began, `None` if unknown."""
    minutes = [export.minutes for export in _of_cause(exports, cause) if export.minutes is not None]
    return max(minutes) * 60.0 if minutes else None


def _cores_of_each(main: Finding, cores: float | None, exports: Sequence[Export]) -> float | None:
    """The part of a core that each export of the main cause gets, `None` if unknown."""
    if cores is None or main.share is None:
        return None
    used = main.share * cores
    number = sum(export.count for export in _of_cause(exports, main.cause)) or max(1, round(used))
    return used / number


def _of_cause(exports: Sequence[Export], cause: str) -> list[Export]:
    return [export for export in exports if export.cause == cause]


OLD_MAPS = 1.4
"""How much longer a call of the loop check takes with the maps from before Go 1.24."""


class Remaining(NamedTuple):
    """How long the export goes on, for the given caches."""

    work: str
    """What is counted: `loop-check calls`, `marshalling steps`, `descendants walked`."""
    fewest: int
    most: int
    """How many, at least and at most: it can depend on the order in which the exporter merges."""
    rate: tuple[float, float]
    """How many each second, at least and at most."""
    total: tuple[float | None, float | None]
    """Seconds for all of them, at least and at most; `None` past 1e308."""
    elapsed: float | None
    """Seconds since the export began, `None` if unknown."""
    left: tuple[float | None, float | None]
    """Seconds from now, at least and at most; the same as `total` if `elapsed` is unknown."""

    @property
    def never(self) -> bool:
        """Whether it would take more than a year."""
        return self.left[0] is None or self.left[0] > YEAR

    @property
    def overdue(self) -> bool:
        """Whether it should have ended: then the export holds more than the given caches."""
        return self.elapsed is not None and self.total[1] is not None and self.elapsed > self.total[1]


def remaining(
    cause: str, caches: Survey, *, old_maps: bool | None, elapsed: float | None, cores: float | None
) -> Remaining | None:
    """How long the work of a cause takes for these caches; `None` if it does not depend on them.

    `cores` is the part of a core that the export gets, one if `None`.
    """
    from cachedoctor.graph import cost

    if cause == "loop-check":
        fast, _, slow = SECONDS_PER_CALL
        orders = caches.loop_check.orders
        work, fewest, most = "loop-check calls", orders[0].calls, orders[-1].calls
        seconds = (OLD_MAPS * fast if old_maps else fast, slow)
    elif cause == "deep-chains":
        work, fewest, most = "marshalling steps", caches.marshal_steps, caches.marshal_steps
        seconds = (SECONDS_PER_MARSHAL_STEP, 2 * SECONDS_PER_MARSHAL_STEP)
    elif cause == "re-add":
        work, fewest, most = "descendants walked", caches.walk.steps, caches.walk.steps
        seconds = (SECONDS_PER_WALK_STEP, 2 * SECONDS_PER_WALK_STEP)
    else:
        return None
    speed = 1.0 if cores is None else max(0.01, min(1.0, cores))
    total = (cost.seconds(fewest, seconds[0] / speed), cost.seconds(most, seconds[1] / speed))
    rate = (speed / seconds[1], speed / seconds[0])
    return Remaining(work, fewest, most, rate, total, elapsed, (_left(total[0], elapsed), _left(total[1], elapsed)))


def _left(total: float | None, elapsed: float | None) -> float | None:
    return None if total is None else max(0.0, total - (elapsed or 0.0))
