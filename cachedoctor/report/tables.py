"""The tables that all reports for people share, as plain cells; those from outside are `Foreign` and not escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.buildkit import LOOP_CHECK, REWRITTEN
from cachedoctor.graph import cost
from cachedoctor.numbers import duration, plural, power, time_range
from cachedoctor.report import words
from cachedoctor.rules import RULES, Severity, verdict
from cachedoctor.text import short

COST_NOTE = (
    "Times are estimates from measured builders. Where one is given, a slower machine or an older build takes up to "
    "twice as long; ranges have them in it. "
    "Counting alone: compressing and pushing layers come on top."
)


class Foreign(str):
    """A cell that comes from a file or a registry."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Data:
    """A table: column heads (none for a list of facts), rows, and the columns that are numbers."""

    heads: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()


def costs(analysis: Analysis) -> Data:
    """One row for each regime that is judged."""
    survey = analysis.survey
    found = survey.loop_check
    rows = []
    if LOOP_CHECK.concerns(analysis.buildkit):
        least, _, most = (
            cost.seconds(order.calls, each)
            for order, each in zip(
                (found.orders[0], found.middle, found.orders[-1]), cost.SECONDS_PER_CALL, strict=True
            )
        )
        fewest, highest = found.orders[0].calls, found.orders[-1].calls
        calls = power(fewest) if fewest == highest else f"{power(fewest)} to {power(highest)}"
        certainty = words.certainty(found)
        rows.append((str(LOOP_CHECK), f"loop-check calls ({certainty})", calls, time_range(least, most)))
    if REWRITTEN.concerns(analysis.buildkit):
        walk = survey.walk
        seconds = cost.seconds(walk.steps, cost.SECONDS_PER_WALK_STEP)
        how = "exact" if walk.exact else "estimated from a sample"
        rows.append(
            (str(REWRITTEN), f"descendants walked on a re-import ({how})", power(walk.steps), duration(seconds))
        )
    seconds = cost.seconds(survey.marshal_steps, cost.SECONDS_PER_MARSHAL_STEP)
    what = f"marshalling steps, longest chain {survey.longest_chain} layers (estimated)"
    rows.append(("all", what, power(survey.marshal_steps), duration(seconds)))
    return Data(("BuildKit", "what is counted", "count", "time"), rows, frozenset({2}))


def hotspots(analysis: Analysis) -> Data:
    """The records that most calls go through, for versions that make these calls."""
    survey = analysis.survey
    if not LOOP_CHECK.concerns(analysis.buildkit):
        return Data((), [])
    total = survey.loop_check.middle.calls
    rows: list[tuple[str, ...]] = []
    for spot, inputs in zip(survey.hotspots, survey.hotspot_inputs, strict=True):
        document, record = survey.place(survey.loop_check.records[spot.item])
        digest = survey.configs[document].digests[record]
        name = f"{document + 1}:{record}" if len(survey.configs) > 1 else str(record)
        shares = " + ".join(f"{one.share:.0%} ({one.alternatives})" for one in inputs) or "root"
        label = analysis.labels.get(digest) or short(digest)
        rows.append((name, Foreign(label), f"{spot.calls / total:.1%}", power(spot.calls), str(spot.fan_out), shares))
    heads = ("record", "digest or step", "share", "calls", "fan-out", "paths by input (alternatives)")
    return Data(heads, rows, frozenset({0, 2, 3, 4}))


def graph(analysis: Analysis) -> Data:
    """Facts of the merged graph."""
    survey = analysis.survey
    written = survey.graph.size
    merged = survey.merged.size + survey.dead_records
    sure = "" if survey.merge.complete else " at most: merging was stopped"
    rows = [
        ("records", f"{merged:,} after merging{sure}, {written:,} as written" if merged != written else f"{merged:,}"),
        ("links", f"{survey.merged.links:,}"),
        ("roots", f"{len(survey.merged.roots()):,}"),
        ("results", f"{survey.results:,}"),
        ("dead records", f"{survey.dead_records:,}"),
        ("longest path", plural(survey.max_depth, "link")),
        ("loops", f"{len(survey.loops):,}"),
    ]
    return Data((), rows)


def judged(analysis: Analysis) -> Data:
    """What a check says of each source and of all together; nothing where there is one source."""
    sources = analysis.sources
    if analysis.check is None or len(sources) == 1:
        return Data((), [])
    rows = []
    for source in (*sources, ""):
        failed = analysis.failed(source)
        found = verdict(finding for finding in analysis.findings if finding.source == source)
        rows.append((Foreign(source) if source else words.TOGETHER, found, ", ".join(failed) or "nothing"))
    return Data(("source", "verdict", "failed"), rows)


def limits(analysis: Analysis) -> Data:
    """What a check was asked to hold the cache against."""
    check, bounds = analysis.check, analysis.limits
    if check is None:
        return Data((), [])
    rows = [
        ("fails on", f"{check.fail_on} and worse" if check.fail_on < Severity.ERROR else "error"),
        ("seconds of an export step", f"{bounds.max_seconds:,.10g}"),
        ("calls of the loop check", "no limit of their own" if bounds.max_calls is None else power(bounds.max_calls)),
        ("bytes of config or manifest", f"{bounds.max_bytes:,}"),
        ("BuildKit", str(analysis.buildkit or "every version")),
    ]
    if len(check.rules) < len(RULES):
        rows.append(("rules", ", ".join(check.rules)))
    if check.baseline:
        rows.append(("baseline", Foreign(check.baseline)))
    return Data((), rows)


def inputs(analysis: Analysis) -> Data:
    """What was read."""
    rows = [
        (
            Foreign(f"{item.source} ({item.platform})" if item.platform else item.source),
            item.kind,
            f"{len(item.config.digests):,}",
            f"{len(item.config.blobs):,}",
            f"{item.size:,}",
        )
        for item in analysis.documents
    ]
    return Data(("source", "kind", "records", "layers", "bytes"), rows, frozenset({2, 3, 4}))
