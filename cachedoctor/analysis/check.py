"""A judgement for an exit code: each source alone, then all of them together."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from cachedoctor.analysis.analyze import Analysis, Check, Input, Judged, Unread, analyze
from cachedoctor.analysis.baseline import Baseline
from cachedoctor.buildkit import Release
from cachedoctor.builds.build import Build
from cachedoctor.errors import InputError
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
    builds: Sequence[Build] = ()
    """What says which steps the records are of (see `analyze`)."""
    before: Sequence[Build] = ()


class Checker:
    """Judges sources one by one, as they come, and keeps no more of them than it needs.

    Each source is judged alone. With `together`, they are then judged as the one cache that a build with several
    `--cache-from` makes of them, since clean ones can loop together. Without it, each is forgotten once it has been
    judged, but for the costliest: only that and the next have to fit into memory together. How many are read at the
    same time depends on the memory that is left (`cli.inputs.read_each`).
    """

    def __init__(
        self,
        policy: Policy,
        *,
        together: bool = True,
        progress: Progress = lambda step: None,
    ) -> None:
        self._policy = policy
        self._together = together
        self._progress = progress
        self._documents: dict[int, Sequence[CacheDocument]] = {}
        self._judged: dict[int, Judged] = {}
        self._findings: dict[int, Sequence[Finding]] = {}
        self._costliest: tuple[int, Analysis] | None = None

    def add(self, position: int, documents: Sequence[CacheDocument], progress: Progress = lambda step: None) -> None:
        """Judge one source; `position` is its place among all. Raises `InputError` if its paths cannot be counted."""
        analysis = self._judge(documents, progress)
        calls = analysis.survey.loop_check.middle.calls
        self._judged[position] = Judged(documents[0].source, tuple(map(Input.of, documents)), calls)
        findings = analysis.findings
        if self._together:
            self._documents[position] = documents
        else:
            findings = [replace(finding, members=None) for finding in findings]
        self._findings[position] = findings
        if self._costliest is None or (calls, -position) > (self._calls, -self._costliest[0]):
            self._costliest = (position, analysis)

    @property
    def _calls(self) -> int:
        assert self._costliest
        return self._judged[self._costliest[0]].calls

    def _judge(
        self, documents: Sequence[CacheDocument], progress: Progress, only: Container[str] | None = None
    ) -> Analysis:
        policy = self._policy
        return analyze(
            documents,
            limits=policy.limits,
            buildkit=policy.buildkit,
            builds=policy.builds,
            before=policy.before,
            only=only,
            progress=progress,
        )

    def finish(self, *, missing: Sequence[str] = (), unread: Sequence[Unread] = (), without_cache: int = 0) -> Analysis:
        """The result for all sources that were added, with the findings of each and those that only all together have.

        `missing` names sources that do not exist yet; `unread` are others that are not among those added, to which all
        together are added if their paths cannot be counted.
        """
        order = sorted(self._judged)
        analysis = self._costliest[1] if self._costliest else self._judge((), self._progress)
        together = self._together and len(order) > 1
        if together:
            try:
                read = [document for index in order for document in self._documents[index]]
                joint = {rule.id for rule in RULES if rule.scope in (Scope.TOGETHER, Scope.BUILD)}
                analysis = self._judge(read, self._progress, joint)
            except InputError as error:
                together = False
                unread = (*unread, Unread(error.source, error.problem))
        findings: Sequence[Finding] = analysis.findings
        if len(order) > 1:
            alone = [
                replace(finding, source=self._judged[index].source)
                for index in order
                for finding in self._findings[index]
                if not (together and _scope(finding) is Scope.BUILD)
            ]
            joint_findings = findings if together else ()
            findings = [
                *alone,
                *(found for found in joint_findings if _scope(found) is Scope.BUILD or _adds(found, alone)),
            ]
        policy, baseline = self._policy, self._policy.baseline
        check = Check(
            policy.fail_on,
            policy.rules,
            baseline.path if baseline else "",
            tuple(dict.fromkeys(missing)),
            tuple(self._judged[index] for index in order),
            tuple(unread),
            without_cache,
            analysis.documents[0].source if len(order) > 1 and not together else "",
        )
        selected = [finding for finding in findings if finding.rule in policy.rules]
        selected.sort(key=lambda finding: (-finding.severity.rank, finding.rule))
        result = replace(analysis, findings=selected, check=check)
        return replace(result, findings=baseline.marked(result)) if baseline else result


def check(
    documents: Sequence[CacheDocument],
    policy: Policy,
    *,
    missing: Sequence[str] = (),
    unread: Sequence[Unread] = (),
    together: bool = True,
) -> Analysis:
    """What `Checker` finds in these documents.

    Raises `InputError` if the paths of a source cannot be counted.
    """
    checker = Checker(policy, together=together)
    sources: dict[str, list[CacheDocument]] = {}
    for document in _once(documents):
        sources.setdefault(document.source, []).append(document)
    for position, of_source in enumerate(sources.values()):
        checker.add(position, of_source)
    return checker.finish(missing=missing, unread=unread)


def _scope(finding: Finding) -> Scope:
    return next(rule.scope for rule in RULES if rule.id == finding.rule)


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
