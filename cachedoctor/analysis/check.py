"""A judgement that an exit code can tell: each source alone, then all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cachedoctor.analysis.analyze import Analysis, Check, analyze
from cachedoctor.analysis.baseline import Baseline
from cachedoctor.buildkit import Version
from cachedoctor.graph.survey import Progress
from cachedoctor.rules import OF_SOURCES, RULES, Finding, Limits, Measure, Severity
from cachedoctor.rules.selection import grown
from cachedoctor.sources import CacheDocument


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked, and what fails."""

    limits: Limits = field(default_factory=Limits)
    buildkit: Version | None = None
    rules: tuple[str, ...] = tuple(rule.id for rule in RULES)
    fail_on: Severity = Severity.ERROR
    baseline: Baseline | None = None


def check(
    documents: Sequence[CacheDocument],
    policy: Policy,
    *,
    labels: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
    progress: Progress = lambda step: None,
) -> Analysis:
    """Judge each source alone, and the cache that all of them make together, since clean ones can loop together.

    The result is the analysis of all together, but its findings are those of every source, and those that only all
    together have. `missing` names sources that are not there yet. Raises `InputError` where paths cannot be counted
    (`analyze`).
    """

    def judge(some: Sequence[CacheDocument]) -> Analysis:
        return analyze(some, limits=policy.limits, buildkit=policy.buildkit, labels=labels, progress=progress)

    union = judge(_once(documents))
    found = list(union.findings)
    if len(union.sources) > 1:
        alone: list[Finding] = []
        looped: set[str] = set()
        for source in union.sources:
            progress(f"judging {source}")
            single = judge([document for document in union.documents if document.source == source])
            alone += [replace(finding, source=source) for finding in single.findings]
            looped |= _looped(single)
        new = bool(_looped(union) - looped)
        found = alone + [finding for finding in found if _adds(finding, alone, new)]
    asked = [finding for finding in found if finding.rule in policy.rules]
    judged = sorted(asked, key=lambda finding: (-finding.severity.rank, finding.rule))
    baseline = policy.baseline
    result = replace(
        union,
        findings=judged,
        check=Check(policy.fail_on, policy.rules, baseline.path if baseline else "", tuple(dict.fromkeys(missing))),
    )
    return replace(result, findings=baseline.marked(result)) if baseline else result


def accepted(analysis: Analysis, path: str) -> Analysis:
    """The same, with everything that was found known from the baseline that is about to be written."""
    assert analysis.check
    check = replace(analysis.check, baseline=path)
    return replace(analysis, check=check, findings=[replace(finding, known=True) for finding in analysis.findings])


def _once(documents: Sequence[CacheDocument]) -> list[CacheDocument]:
    """The documents in their order, without those that are there because a source was given twice."""
    found: dict[tuple[str, ...], CacheDocument] = {}
    for document in documents:
        key = (document.source, document.platform, document.digest, document.manifest_digest)
        found.setdefault(key, document)
    return list(found.values())


def _looped(analysis: Analysis) -> set[str]:
    """The digests of all records that lie in loops; a finding names only the first of them."""
    survey = analysis.survey
    digests, records = survey.graph.digests, survey.merged.records
    return {digests[records[item]] for loop in survey.loops for item in loop.items}


def _adds(finding: Finding, alone: Sequence[Finding], new_in_loops: bool) -> bool:
    """Whether a finding of all together tells more than those of the single sources.

    Those in `OF_SOURCES` never do. The others do where no source has it as bad, where it counts clearly more than all
    sources have, or where records are in a loop that are in none of the loops of a source.
    """
    if finding.rule in OF_SOURCES:
        return False
    same = [one for one in alone if one.rule == finding.rule]
    if not same or finding.severity > max(one.severity for one in same):
        return True
    if finding.rule == "CD204":
        return new_in_loops
    total = sum(one.measure.value for one in same)
    return grown(finding.measure, Measure(finding.measure.unit, total, exact=False))
