"""The sentences that all reports for people share."""

from __future__ import annotations

from cachedoctor.analysis.analyze import Analysis, Check
from cachedoctor.buildkit import EVERY, LOOP_CHECK, REWRITTEN
from cachedoctor.graph import cost
from cachedoctor.numbers import count, duration, plural
from cachedoctor.rules import RULES, Finding, Severity
from cachedoctor.text import printable

_NOTHING = "It has no record that a build could use."
TOGETHER = "all sources together"
KNOWN = "known: not worse than in the baseline"


def headline(analysis: Analysis) -> str:
    """The verdict in one sentence: whether the cache is used at all, and what the next export costs."""
    refused = [finding for finding in analysis.findings if finding.refused_by]
    if not analysis.documents:
        return "There is no cache yet."
    empty = not analysis.survey.order
    if refused:
        return f"{refusal(refused[0])} {_NOTHING if empty else next_export(analysis, 'An export of its records')}"
    if empty:
        return f"This cache is empty: {_NOTHING[0].lower()}{_NOTHING[1:]}"
    asked = analysis.check is None or len(analysis.check.rules) == len(RULES)
    fine = "This cache is fine. " if analysis.verdict == "ok" and asked else ""
    return fine + next_export(analysis)


def judgement(analysis: Analysis, check: Check) -> str:
    """Whether a check failed, and for what; where several sources were judged, in which."""
    failing = analysis.failing
    known = sum(finding.known for finding in analysis.findings)
    rest = f" ({plural(known, 'finding')} known from the baseline)" if known else ""
    if not failing:
        level = "no errors" if check.fail_on is Severity.ERROR else f"nothing of severity {check.fail_on} or worse"
        new = "new " if known and check.fail_on is Severity.ERROR else ""
        return f"Check passed: {level.replace('no ', f'no {new}')}{rest}."
    told = dict.fromkeys(f"{finding.rule} {finding.name}{_place(analysis, finding)}" for finding in failing)
    return f"Check failed: {', '.join(told)}{rest}."


def absent(analysis: Analysis) -> str:
    """Which sources are not there yet; empty where all are."""
    missing = analysis.check.missing if analysis.check else ()
    return f"Not there yet: {', '.join(map(printable, missing))}." if missing else ""


def _place(analysis: Analysis, finding: Finding) -> str:
    return f" in {printable(finding.source) or TOGETHER}" if len(analysis.sources) > 1 else ""


def refusal(finding: Finding) -> str:
    """Who refuses the cache, and why in two words."""
    who = "BuildKit refuses" if finding.refused_by == EVERY else f"BuildKit {finding.refused_by} refuse"
    return f"{who} to import this cache ({finding.name})."


def next_export(analysis: Analysis, subject: str = "The next export") -> str:
    """What the next export takes, in each regime that is judged."""
    survey = analysis.survey
    found = survey.loop_check
    marshal = cost.seconds(survey.marshal_steps, cost.SECONDS_PER_MARSHAL_STEP)
    parts = []
    if LOOP_CHECK.concerns(analysis.buildkit):
        version = str(analysis.buildkit) if analysis.buildkit else str(LOOP_CHECK)
        check = cost.seconds(found.middle.calls, cost.SECONDS_PER_CALL[1])
        time = duration(_sum(check, marshal))
        also = " and marshal its results" if marshal is None or (check is not None and marshal > check + 1) else ""
        parts.append(f"on BuildKit {version} would make {calls(found)}{also}: {time}")
    rewritten = REWRITTEN.concerns(analysis.buildkit)
    if rewritten or not parts:
        version = str(analysis.buildkit) if analysis.buildkit else str(REWRITTEN)
        walk = cost.seconds(survey.walk.steps, cost.SECONDS_PER_WALK_STEP) if rewritten else 0.0
        time = duration(_sum(walk, marshal))
        parts.append(f"{version}: {time}" if parts else f"on BuildKit {version}: {time}")
    return f"{subject} {'; '.join(parts)}."


def _sum(*seconds: float | None) -> float | None:
    return None if None in seconds else sum(second for second in seconds if second is not None)


def calls(found: cost.LoopCheckCost) -> str:
    """The loop-check calls, with the word that says how well they are known."""
    fewest, middle, most = found.orders[0].calls, found.middle.calls, found.orders[-1].calls
    if fewest == most:
        return plural(middle, "check") if found.exact else f"some {plural(middle, 'check')}"
    return f"{count(fewest)} to {count(most)} checks, mostly {count(middle)}"


def certainty(found: cost.LoopCheckCost) -> str:
    """How the number of calls is known."""
    if found.exact and found.proved:
        return "exact: no order of merging can change it"
    if found.exact:
        return f"the same in all {len(found.orders)} orders of merging that were replayed"
    cut = any(order.links_removed for order in found.orders)
    why = "; loops are cut by chance" if cut else ""
    return f"estimated from {plural(len(found.orders), 'order')} of merging that {_was(found)} replayed{why}"


def _was(found: cost.LoopCheckCost) -> str:
    return "was" if len(found.orders) == 1 else "were"
