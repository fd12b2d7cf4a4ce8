"""The sentences of the page of `analyze` and `check`."""

from __future__ import annotations

from cachedoctor.analysis.analyze import Analysis, Check
from cachedoctor.buildkit import EVERY, LOOP_CHECK, REWRITTEN, Span
from cachedoctor.graph import cost
from cachedoctor.numbers import count, duration, plural
from cachedoctor.rules import RULES, Finding, Severity

TOGETHER = "all sources together"
KNOWN = "known: no worse than in the baseline"


def headline(analysis: Analysis) -> str:
    """The verdict in one sentence or two: whether the cache is used at all, and what the next export costs."""
    refused = [(finding.refused_by, finding) for finding in analysis.findings if finding.refused_by]
    if not analysis.documents:
        return "There is no cache yet."
    empty = not analysis.survey.order
    if refused:
        rest = "It has no record that a build could use." if empty else next_export(analysis, "to export its records")
        return f"{_refusal(*refused[0])} {rest}"
    if empty:
        return "This cache is empty: it has no record that a build could use."
    complete = analysis.check is None or len(analysis.check.rules) == len(RULES)
    fine = "This cache is fine. " if analysis.verdict == "ok" and complete else ""
    return fine + next_export(analysis, "for the next export")


def _refusal(refused_by: Span, finding: Finding) -> str:
    """Who refuses the cache, and the reason in two words."""
    who = "BuildKit refuses" if refused_by == EVERY else f"BuildKit {refused_by} refuse"
    return f"{who} to import this cache ({finding.name})."


def next_export(analysis: Analysis, purpose: str) -> str:
    """What the next export costs, for each regime that is judged."""
    survey = analysis.survey
    loop_check = survey.loop_check
    marshal = cost.seconds(survey.marshal_steps, cost.SECONDS_PER_MARSHAL_STEP)
    parts = []
    if LOOP_CHECK.concerns(analysis.buildkit):
        releases = str(analysis.buildkit or LOOP_CHECK)
        check = cost.seconds(loop_check.middle.calls, cost.SECONDS_PER_CALL[1])
        also = " and marshaling its results" if marshal is None or (check is not None and marshal > check + 1) else ""
        time = duration(_sum(check, marshal))
        parts.append(f"BuildKit {releases} would need {calls(loop_check)}{also} ({time}) {purpose}")
    rewritten = REWRITTEN.concerns(analysis.buildkit)
    if rewritten or not parts:
        releases = str(analysis.buildkit or REWRITTEN)
        walk = cost.seconds(survey.walk.steps, cost.SECONDS_PER_WALK_STEP) if rewritten else 0.0
        time = duration(_sum(walk, marshal))
        parts.append(f"{releases}: {time}" if parts else f"BuildKit {releases} would need {time} {purpose}")
    return f"{'; '.join(parts)}."


def _sum(*seconds: float | None) -> float | None:
    return None if None in seconds else sum(second for second in seconds if second is not None)


def calls(loop_check: cost.LoopCheckCost) -> str:
    """The loop-check calls, with the word that says how well they are known."""
    fewest, middle, most = loop_check.orders[0].calls, loop_check.middle.calls, loop_check.orders[-1].calls
    if fewest == most:
        return plural(middle, "check") if loop_check.exact else f"about {plural(middle, 'check')}"
    return f"{count(fewest)} to {count(most)} checks, usually {count(middle)}"


def certainty(loop_check: cost.LoopCheckCost) -> str:
    """How the number of calls is known."""
    if loop_check.exact and loop_check.proved:
        return "exact: proved for every order of merging"
    orders = plural(len(loop_check.orders), "order")
    if loop_check.exact:
        return f"the same in all {orders} of merging that were replayed"
    cut = any(order.links_removed for order in loop_check.orders)
    why = "; which links of a loop are cut is random" if cut else ""
    return f"estimated from {orders} of merging{why}"


def judgement(analysis: Analysis, check: Check) -> str:
    """Whether a check failed and why; with several sources, also where."""
    failing = analysis.failing
    known = sum(finding.known for finding in analysis.findings)
    rest = f" ({plural(known, 'finding')} known from the baseline)" if known else ""
    if not failing:
        new = "new " if known else ""
        level = (
            f"no {new}errors" if check.fail_on is Severity.ERROR else f"nothing of severity {check.fail_on} or worse"
        )
        return f"Check passed: {level}{rest}."
    causes = dict.fromkeys(f"{finding.rule} {finding.name}{_where(analysis, finding)}" for finding in failing)
    return f"Check failed: {', '.join(causes)}{rest}."


def _where(analysis: Analysis, finding: Finding) -> str:
    return f" in {finding.source or TOGETHER}" if len(analysis.sources) > 1 else ""


def absent(analysis: Analysis) -> str:
    """The sources that do not exist yet; empty if all do."""
    missing = analysis.check.missing if analysis.check else ()
    return f"Not there yet: {', '.join(missing)}." if missing else ""
