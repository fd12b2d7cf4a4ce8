"""The tables of the page of `analyze` and `check`. Cells from outside are `Foreign`."""

from __future__ import annotations

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.buildkit import (
    LOOP_CHECK,
    LOSES_LINKS,
    REWRITTEN,
    SECONDS_PER_CALL,
    SECONDS_PER_MARSHAL_STEP,
    SECONDS_PER_WALK_STEP,
)
from cachedoctor.graph import cost
from cachedoctor.graph.survey import Survey
from cachedoctor.numbers import count, count_range, duration, percent, plural, time_range
from cachedoctor.report.page import Foreign, Table
from cachedoctor.rules import RULES, Severity
from cachedoctor.text import short

KNOWN = "known: no worse than in the baseline"
TOGETHER = "all sources together"
"""What the sources of a check are called as one."""
_COST_NOTE = (
    "Times are estimates from measured builders. A single time can double on a slower machine or an older build; "
    "ranges include this. Only the work on cache keys is counted: compressing and pushing layers is extra."
)
_EMPTY = Table("", (), ())


def certainty(loop_check: cost.LoopCheckCost) -> str:
    """How the number of calls is known."""
    if loop_check.exact:
        return "exact: proved for every order of merging"
    if loop_check.refused:
        return "estimated without the links for which BuildKit refuses the cache"
    orders = plural(len(loop_check.orders), "order")
    if len(loop_check.orders) > 1 and len(set(loop_check.orders)) == 1:
        return f"the same in all {orders} of merging that were replayed"
    cut = any(order.links_removed for order in loop_check.orders)
    why = "; which links of a loop are cut is random" if cut else ""
    return f"estimated from {orders} of merging{why}"


def costs(analysis: Analysis) -> Table:
    """One row for each regime that is judged."""
    survey = analysis.survey
    loop_check = survey.loop_check
    rows = []
    if LOOP_CHECK.concerns(analysis.buildkit):
        fewest, most = loop_check.orders[0].calls, loop_check.orders[-1].calls
        least = cost.seconds(fewest, SECONDS_PER_CALL[0])
        longest = cost.seconds(most, SECONDS_PER_CALL[2])
        what = f"loop-check calls ({certainty(loop_check)})"
        rows.append((str(LOOP_CHECK), what, count_range(fewest, most), time_range(least, longest)))
    if REWRITTEN.concerns(analysis.buildkit):
        walk = survey.walk
        seconds = cost.seconds(walk.steps, SECONDS_PER_WALK_STEP)
        how = "exact" if walk.exact else "estimated from a sample"
        rows.append(
            (str(REWRITTEN), f"descendants walked on a re-import ({how})", count(walk.steps), duration(seconds))
        )
    seconds = cost.seconds(survey.marshal_steps, SECONDS_PER_MARSHAL_STEP)
    what = f"marshaling steps, longest chain {plural(survey.longest_chain, 'layer')} (estimated)"
    rows.append(("all", what, count(survey.marshal_steps), duration(seconds)))
    heads = ("BuildKit", "what is counted", "count", "time")
    return Table("Cost of the next export", heads, rows, frozenset({2}), note=_COST_NOTE)


def hotspots(analysis: Analysis, level: int) -> Table:
    """The records that most calls go through, for releases that make these calls."""
    survey = analysis.survey
    if not LOOP_CHECK.concerns(analysis.buildkit):
        return _EMPTY
    total = survey.loop_check.middle.calls
    if analysis.known.names:
        return _hotspot_lines(analysis)._replace(level=level)
    rows = []
    for hotspot, inputs in zip(survey.hotspots, survey.hotspot_inputs, strict=True):
        document, record = survey.place(survey.loop_check.records[hotspot.item])
        digest = survey.configs[document].digests[record]
        name = f"{document + 1}:{record}" if len(survey.configs) > 1 else str(record)
        shares = " + ".join(f"{branch.share:.0%} ({branch.alternatives})" for branch in inputs) or "root"
        share = percent(hotspot.calls / total)
        rows.append((name, Foreign(short(digest)), share, count(hotspot.calls), str(hotspot.fan_out), shares))
    heads = (
        "record",
        "digest",
        "share",
        "calls",
        "fan-out",
        "paths by input (alternatives)",
    )
    return Table("Hotspots of the loop check", heads, rows, frozenset({0, 2, 3, 4}), level=level)


def _hotspot_lines(analysis: Analysis) -> Table:
    """The same by lines of the Dockerfile, which need the room of the other columns."""
    survey = analysis.survey
    records = [survey.loop_check.records[hotspot.item] for hotspot in survey.hotspots]
    rows = [
        (
            percent(hotspot.calls / survey.loop_check.middle.calls),
            count(hotspot.calls),
            str(hotspot.fan_out),
            Foreign(analysis.known.call(survey, record)),
        )
        for hotspot, record in zip(survey.hotspots, records, strict=True)
    ]
    return Table("Hotspots of the loop check", ("share", "calls", "fan-out", "step"), rows, frozenset({0, 1, 2}))


def graph(analysis: Analysis) -> Table:
    """Facts of the merged graph."""
    survey = analysis.survey
    written = survey.graph.size
    merged = survey.merged.size + survey.dead_records
    sure = "" if survey.merge.complete else " at most (more of them could merge)"
    rows = [
        ("records", f"{merged:,} after merging{sure}, {written:,} as written" if merged != written else f"{merged:,}"),
        ("links", f"{survey.merged.links:,}"),
        ("roots", f"{len(survey.merged.roots()):,}"),
        ("results", f"{survey.results:,}"),
        ("dead records", f"{survey.dead_records:,}"),
        ("longest path", plural(survey.max_depth, "link")),
        ("loops", f"{len(survey.loops):,}"),
        ("leaves", _leaves(survey, LOSES_LINKS.concerns(analysis.buildkit))),
    ]
    if survey.joining:
        rows.append(
            ("joining records", f"{len(survey.joining):,}, written by cachedoctor repair and counted nowhere else")
        )
    return Table("Graph", (), rows)


def _leaves(survey: Survey, loses: bool) -> str:
    """The leaves, and what importers lose of a document if it has several, and they lose any."""
    imported = survey.imported
    if imported.leaves <= 1 or len(survey.configs) > 1 or not loses:
        return f"{imported.leaves:,}"
    lost = count_range(imported.links_lost.least, imported.links_lost.most)
    return f"{imported.leaves:,}; importers of BuildKit {LOSES_LINKS} lose {lost} of {imported.links:,} links"


def limits(analysis: Analysis) -> Table:
    """The limits of a check."""
    check, bounds = analysis.check, analysis.limits
    if check is None:
        return _EMPTY
    rows = [
        ("fails on", f"{check.fail_on} and worse" if check.fail_on < Severity.ERROR else "error"),
        ("seconds of an export step", f"{bounds.max_seconds:,.10g}"),
        ("loop-check calls", "only limited by time" if bounds.max_calls is None else count(bounds.max_calls)),
        ("bytes of config or manifest", f"{bounds.max_bytes:,}"),
        ("BuildKit", str(analysis.buildkit or "every release")),
    ]
    if len(check.rules) < len(RULES):
        rows.append(("rules", ", ".join(check.rules)))
    if bounds.min_hits is not None:
        rows.append(("steps that hit, of those that are known", f"{bounds.min_hits:g}% and more"))
    if check.baseline:
        rows.append(("baseline", Foreign(check.baseline)))
    return Table("Limits", (), rows)


def inputs(analysis: Analysis) -> Table:
    """What was read."""
    rows = [
        (
            Foreign(f"{document.source} ({document.platform})" if document.platform else document.source),
            document.kind,
            f"{document.records:,}",
            f"{document.layers:,}",
            f"{document.size:,}",
        )
        for document in analysis.inputs
    ]
    return Table("Read", ("source", "kind", "records", "layers", "bytes"), rows, frozenset({2, 3, 4}))
