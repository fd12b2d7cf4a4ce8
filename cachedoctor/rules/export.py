"""Rules on what the next export costs (CD201 to CD204)."""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import merges_while_adding, walks_paths
from cachedoctor.graph import cost
from cachedoctor.numbers import count, duration, plural
from cachedoctor.rules.interface import Context, Found, Measure, Severity


def _severity(seconds: float | None, context: Context) -> Severity | None:
    """An error past the limit, a warning past what is noticed, nothing below; past any float is past the limit."""
    if seconds is None or seconds > context.limits.max_seconds:
        return Severity.ERROR
    return Severity.WARNING if seconds >= context.limits.warn_seconds else None


def path_explosion(context: Context) -> Iterator[Found]:
    """CD201: the loop check of BuildKit v0.9 to v0.24 walks every path."""
    found = context.survey.loop_check
    if not walks_paths(context.buildkit) or _severity_of_calls(found.orders[-1].calls, context) is None:
        return
    typical = found.middle.calls
    past = _severity_of_calls(typical, context) is Severity.ERROR
    most = context.limits.max_calls
    time = duration(cost.seconds(typical, cost.SECONDS_PER_CALL[1]))
    limit = f"The limit is {plural(most, 'call')}. " if most is not None and typical > most else ""
    yield Found(
        f"The loop check of the next export walks {_calls(found)}: {time}. {limit}{_where(context)}",
        [context.survey.graph.digests[found.records[spot.item]] for spot in context.survey.hotspots],
        severity=Severity.ERROR if past else Severity.WARNING,
        measure=Measure("calls", typical, found.exact),
    )


def _severity_of_calls(calls: int, context: Context) -> Severity | None:
    most = context.limits.max_calls
    if most is not None and calls > most:
        return Severity.ERROR
    return _severity(cost.seconds(calls, cost.SECONDS_PER_CALL[1]), context)


def _calls(found: cost.LoopCheckCost) -> str:
    fewest, middle, most = found.orders[0].calls, found.middle.calls, found.orders[-1].calls
    if found.exact:
        return f"{plural(middle, 'path')}, one call each"
    if fewest == most:
        return f"some {plural(middle, 'path')}, one call each"
    return f"{count(fewest)} to {count(most)} paths, one call each, by the order that the exporter happens to take"


def _where(context: Context) -> str:
    spots = context.survey.hotspots
    found = context.survey.loop_check
    narrow = [spot for spot in spots if spot.fan_out > 1] or spots
    if not narrow:
        return ""
    spot = narrow[0]
    share = 100 * spot.calls // max(1, found.middle.calls)
    name = context.survey.name(found.records[spot.item])
    return f"{share} % of them go through {name}, from which {plural(spot.fan_out, 'link')} lead on."


def deep_layer_chain(context: Context) -> Iterator[Found]:
    """CD202: marshalling results with many layers."""
    survey = context.survey
    seconds = cost.seconds(survey.marshal_steps, cost.SECONDS_PER_MARSHAL_STEP)
    severity = _severity(seconds, context)
    if severity is not None:
        yield Found(
            f"Marshalling takes {plural(survey.marshal_steps, 'step')}, {duration(seconds)}, where the layers came "
            f"from an imported cache: the longest chain has {plural(survey.longest_chain, 'layer')}, and the work "
            "grows with its fourth power.",
            severity=severity,
            measure=Measure("steps", survey.marshal_steps, exact=False),
        )


def slow_re_add(context: Context) -> Iterator[Found]:
    """CD203: re-adding known records walks all their descendants."""
    walk = context.survey.walk
    seconds = cost.seconds(walk.steps, cost.SECONDS_PER_WALK_STEP)
    severity = _severity(seconds, context)
    if severity is not None and merges_while_adding(context.buildkit):
        how = "" if walk.exact else "about "
        yield Found(
            f"Importing this cache again walks {how}{plural(walk.steps, 'descendant')} of its "
            f"{plural(context.survey.merged.size, 'record')}: {duration(seconds)} in v0.25 and later.",
            severity=severity,
            measure=Measure("steps", walk.steps, walk.exact),
        )


def merge_loop(context: Context) -> Iterator[Found]:
    """CD204: loops that only merging creates."""
    survey = context.survey
    if survey.record_cycles:
        return
    if survey.loops:
        digests = [survey.graph.digests[record] for record in survey.merged.records]
        members = [digests[item] for loop in survey.loops for item in loop.items]
        cycle = [survey.name(survey.merged.records[item]) for item in survey.loops[0].example]
        shown = " → ".join([*cycle[:4], "…" if len(cycle) > 4 else cycle[0]])
        yield Found(
            f"{plural(len(members), 'record')} lie in {plural(len(survey.loops), 'loop')} once equal records are "
            f"merged, for instance {shown}. Exporters remove links until no loop is left; which ones is chance in v0.9 "
            "to v0.24, and a step behind a removed link may miss its cache.",
            members,
        )
    elif any(order.links_removed for order in survey.loop_check.orders):
        yield Found("Some order of the exporter of v0.9 to v0.24 merges records into a loop and removes links from it.")
