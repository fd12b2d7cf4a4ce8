"""From cache documents to findings: this is where sources, the graph and the rules meet."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cachedoctor.buildkit import Release
from cachedoctor.builds.build import Build
from cachedoctor.builds.known import NOTHING, Known
from cachedoctor.builds.recognize import recognize
from cachedoctor.errors import CountTooLarge, InputError
from cachedoctor.graph.survey import Progress, Survey, survey
from cachedoctor.rules import RULES, Context, Finding, Limits, Severity, findings, verdict
from cachedoctor.sources import CacheDocument, Presence


class Input(NamedTuple):
    """What reports say about a document, without the document."""

    source: str
    kind: str
    digest: str
    size: int
    manifest_size: int | None
    platform: str
    records: int
    layers: int
    written_size: int
    reformatted: bool
    listed: int
    """Blobs that its manifest lists."""
    presence: Presence | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, document: CacheDocument) -> Input:
        """Those of a document: see `CacheDocument`."""
        return cls(
            document.source,
            document.kind,
            document.digest,
            document.size,
            document.manifest_size,
            document.platform,
            len(document.config.digests),
            len(document.config.blobs),
            document.written_size,
            document.reformatted_from is not None,
            len(document.blobs or ()),
            document.presence,
            document.notes,
        )


class Judged(NamedTuple):
    """One source of a check."""

    source: str
    inputs: tuple[Input, ...]
    """What was read: one for each platform of an image."""
    calls: int
    """Loop-check calls of its next export, in the median order (`cost.LoopCheckCost`)."""

    @property
    def size(self) -> int:
        """Bytes of its cache configs."""
        return sum(read.size for read in self.inputs)


class Unread(NamedTuple):
    """A source that could not be read or judged."""

    source: str
    problem: str
    missing: bool = False
    """Whether there is nothing of that name."""


class Check(NamedTuple):
    """How `check` judged."""

    fail_on: Severity
    """Findings of this severity or worse fail the check."""
    rules: tuple[str, ...]
    """The ids of the rules that were run, in order."""
    baseline: str = ""
    """The file that findings were compared with, empty if there was none."""
    missing: tuple[str, ...] = ()
    """Sources that do not exist yet, and are allowed to be missing."""
    judged: tuple[Judged, ...] = ()
    """Each source that was judged, in the order given."""
    unread: tuple[Unread, ...] = ()
    without_cache: int = 0
    """Tags that hold no cache, and that nobody asked for by name."""
    costliest: str = ""
    """If the sources were not judged together: the one with most calls, which `Analysis.survey` is of."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that a report shows."""

    documents: Sequence[CacheDocument]
    """What `survey` is of: all documents, or those of `Check.costliest`."""
    survey: Survey
    findings: Sequence[Finding]
    limits: Limits
    buildkit: Release | None
    """The release that was judged for, `None` for all."""
    known: Known = NOTHING
    """What builds say of the records of `documents`."""
    check: Check | None = None
    """`None` if this is not a check."""

    @property
    def verdict(self) -> str:
        """`ok`, `warning` or `error`."""
        return verdict(self.findings)

    @property
    def sources(self) -> list[str]:
        """Each source once, in the order given."""
        if self.check:
            return [judged.source for judged in self.check.judged]
        return list(dict.fromkeys(document.source for document in self.documents))

    @property
    def inputs(self) -> list[Input]:
        """What was read, in the order given."""
        if self.check:
            return [read for judged in self.check.judged for read in judged.inputs]
        return list(map(Input.of, self.documents))

    @property
    def scopes(self) -> list[str]:
        """What was judged: each source, and an empty name for all of them together."""
        sources = self.sources
        together = len(sources) > 1 and not (self.check and self.check.costliest)
        return [*sources, ""] if together else sources

    @property
    def of_many(self) -> bool:
        """Whether this is a check of several sources, whatever came of them."""
        check = self.check
        return check is not None and len(check.judged) + len(check.unread) + len(check.missing) > 1

    def owner(self, finding: Finding) -> str:
        """The source that a finding is about, empty if it is about several of them together."""
        if finding.source:
            return finding.source
        sources = self.sources
        return sources[0] if len(sources) == 1 else ""

    def by_owner(self, findings: Iterable[Finding]) -> dict[str, list[Finding]]:
        """These findings by the source that they are about, in their order."""
        grouped: dict[str, list[Finding]] = {}
        for finding in findings:
            grouped.setdefault(self.owner(finding), []).append(finding)
        return grouped

    @property
    def failing(self) -> list[Finding]:
        """The findings that fail a check; without a check, the errors."""
        level = self.check.fail_on if self.check else Severity.ERROR
        return [finding for finding in self.findings if finding.severity >= level and not finding.known]

    def failed(self) -> list[str]:
        """The ids of the rules that fail a check."""
        return sorted({finding.rule for finding in self.failing})

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of the rules that were run."""
        return self.check.rules if self.check else tuple(rule.id for rule in RULES)


def analyze(
    documents: Sequence[CacheDocument],
    *,
    limits: Limits | None = None,
    buildkit: Release | None = None,
    builds: Sequence[Build] = (),
    before: Sequence[Build] = (),
    only: Container[str] | None = None,
    progress: Progress = lambda step: None,
) -> Analysis:
    """Judge the cache that these documents make together, in the order given, as several `--cache-from` do.

    `builds` say what its records are, and whether their steps will hit; `before` are the builds that wrote it, if
    others did, which say why a step will not. `only` are the ids of the rules to run, by default all.

    Raises `InputError` if there are so many paths that their exact number would not fit into memory.
    """
    limits = limits or Limits()
    try:
        surveyed = survey([document.config for document in documents], progress)
    except CountTooLarge as error:
        sources = ", ".join(document.source for document in documents)
        raise InputError(f"cannot count its paths: {error}", source=sources) from error
    if builds:
        progress("matching steps")
    known = recognize(builds, documents, surveyed, before, buildkit)
    progress("judging")
    context = Context(documents, surveyed, limits, buildkit, known)
    return Analysis(documents, surveyed, findings(context, only), limits, buildkit, known)
