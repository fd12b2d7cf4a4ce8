"""A judgement for an exit code: each source alone, then all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cachedoctor.analysis.analyze import Analysis, Check, analyze
from cachedoctor.analysis.baseline import Baseline
from cachedoctor.buildkit import Release
from cachedoctor.graph.survey import Progress
from cachedoctor.rules import RULES, Finding, Limits, Measure, Scope, Severity
from cachedoctor.rules.registry import grown
from cachedoctor.sources import CacheDocument


@dataclass(frozen=True, slots=True)
class Policy:
    """What to check, and what fails."""

    limits: Limits = field(default_factory=Limits)
    buildkit: Release | None = None
    rules: tuple[str, ...] = tuple(rule.id for rule in RULES)
    """The ids of the rules to run."""
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
    """Judge each source alone, then the cache that all of them make together, since clean ones can loop together.

    Returns the analysis of all together, with the findings of every source and those that only all together have.
    `missing` names sources that do not exist yet. Raises `InputError` if paths cannot be counted (`analyze`).
    """

    def judge(some: Sequence[CacheDocument]) -> Analysis:
        return analyze(some, limits=policy.limits, buildkit=policy.buildkit, labels=labels, progress=progress)

    together = judge(_once(documents))
    findings = list(together.findings)
    if len(together.sources) > 1:
        alone: list[Finding] = []
        for source in together.sources:
            progress(f"judging {source}")
            single = judge([document for document in together.documents if document.source == source])
            alone += [replace(finding, source=source) for finding in single.findings]
        scopes = {rule.id: rule.scope for rule in RULES}
        joint = [finding for finding in together.findings if scopes[finding.rule] is Scope.TOGETHER]
        findings = alone + [finding for finding in joint if _adds(finding, alone)]
    selected = [finding for finding in findings if finding.rule in policy.rules]
    baseline = policy.baseline
    result = replace(
        together,
        findings=sorted(selected, key=lambda finding: (-finding.severity.rank, finding.rule)),
        check=Check(policy.fail_on, policy.rules, baseline.path if baseline else "", tuple(dict.fromkeys(missing))),
    )
    return replace(result, findings=baseline.marked(result)) if baseline else result


def accepted(analysis: Analysis, path: str) -> Analysis:
    """The same, with every finding known from the baseline that is about to be written to `path`."""
    assert analysis.check
    check = analysis.check._replace(baseline=path)
    return replace(analysis, check=check, findings=[replace(finding, known=True) for finding in analysis.findings])


def _once(documents: Sequence[CacheDocument]) -> list[CacheDocument]:
    """The documents in their order, each once even if its source is given twice."""
    unique: dict[tuple[str, ...], CacheDocument] = {}
    for document in documents:
        key = (document.source, document.platform, document.digest, document.manifest_digest)
        unique.setdefault(key, document)
    return list(unique.values())


def _adds(finding: Finding, alone: Sequence[Finding]) -> bool:
    """Whether a finding of all together says more than those of the sources alone.

    It does if no source has one as severe. Otherwise it does if it has a member that no source has or, for rules that
    name no members, if it counts clearly more than all sources do.
    """
    same = [other for other in alone if other.rule == finding.rule]
    if not same or finding.severity > max(other.severity for other in same):
        return True
    if finding.members is not None:
        return not finding.members <= frozenset().union(*(other.members or () for other in same))
    total = sum(other.measure.value for other in same)
    return grown(finding.measure, Measure(finding.measure.unit, total, exact=False))
