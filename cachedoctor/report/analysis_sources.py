"""The parts of the page of `check` that are about several sources: totals, a line for each, and advice once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from cachedoctor.analysis.analyze import Analysis, Check
from cachedoctor.buildkit import EVERY, LOOP_CHECK
from cachedoctor.numbers import count, listing, plural
from cachedoctor.report import builds
from cachedoctor.report.analysis_tables import KNOWN, TOGETHER
from cachedoctor.report.page import Entry, Foreign, Line, Listing, Section, Steps, Table, Tone
from cachedoctor.rules import Finding, Severity
from cachedoctor.text import printable

_NAMED = 6
"""Sources that are named where the table of all of them has them, too."""
_SHORTEST_PREFIX = 10
"""Characters that all sources have to begin with before they are left out of each line."""

_FAILED, _UNREAD, _WARNED, _ABSENT, _FINE = range(5)
"""The order of the lines; those of the same kind are in the order of the command line."""


def causes(analysis: Analysis) -> list[str]:
    """Each rule that fails a check, and where: by name if it fails for one or two sources, otherwise how many."""
    places: dict[str, dict[str, None]] = {}
    for finding in analysis.failing:
        places.setdefault(f"{finding.rule} {finding.name}", {})[analysis.owner(finding)] = None
    if not analysis.of_many:
        return list(places)
    return [f"{rule} in {_places(list(sources))}" for rule, sources in places.items()]


def _places(sources: Sequence[str]) -> str:
    named = [source for source in sources if source]
    parts = named if len(named) <= 2 else [plural(len(named), "source")]
    return listing([*parts, *([TOGETHER] if "" in sources else [])])


def incomplete(analysis: Analysis) -> str:
    """How many sources could not be read: `2 of 100 sources could not be read`; empty if all could."""
    check = analysis.check
    if check is None or not check.unread:
        return ""
    return f"{count(len(check.unread))} of {plural(_total(check), 'source')} could not be read"


def _total(check: Check) -> int:
    return len(check.judged) + len(check.unread) + len(check.missing)


def headline(analysis: Analysis, next_export: Callable[[str], str]) -> list[Line]:
    """The totals, and what BuildKit makes of the sources; `next_export` is `analysis.next_export` without a purpose."""
    check = analysis.check
    assert check
    lines = [Line(totals(analysis))]
    if not check.judged:
        return [Line("There is no cache yet."), *lines] if not check.unread else lines
    if refused := _refused(analysis):
        lines.append(Line(refused, Tone.ERROR))
    if said := _said(analysis):
        lines.append(Line(said, Tone.WARNING))
    if check.costliest:
        lines.append(Line("Each was judged alone; --together also judges the cache that all of them make."))
    elif len(check.judged) > 1 and analysis.survey.order:
        lines.append(Line(next_export("for the next export of all together"), Tone(analysis.verdict)))
    return [*lines, *builds.headline(analysis.known)]


def _refused(analysis: Analysis) -> str:
    """How many of the caches some BuildKit refuses, and because of which rules; empty if none."""
    refused = [finding for finding in analysis.findings if finding.refused_by]
    if not refused:
        return ""
    owners = {analysis.owner(finding) for finding in refused}
    rules = ", ".join(dict.fromkeys(finding.name for finding in refused))
    every = all(finding.refused_by == EVERY for finding in refused)
    who = "BuildKit refuses" if every else "Some releases of BuildKit refuse"
    return f"{who} to import {count(len(owners))} of these caches ({rules})."


def _said(analysis: Analysis) -> str:
    """What the worst finding has to say that makes the headline, about a cache that is not refused; empty if none."""
    refused = {analysis.owner(finding) for finding in analysis.findings if finding.refused_by}
    found = [finding for finding in analysis.findings if finding.headline and not finding.known]
    said = [finding for finding in found if analysis.owner(finding) not in refused]
    if not said:
        return ""
    others = len({analysis.owner(finding) for finding in said}) - 1
    more = f" The same is true of {plural(others, 'more source')}." if others else ""
    return f"{printable(analysis.owner(said[0]))}: {said[0].headline}{more}"


def totals(analysis: Analysis) -> str:
    """How many sources fail, pass, are not there yet, and could not be read."""
    check = analysis.check
    assert check
    failing = {analysis.owner(finding) for finding in analysis.failing}
    others = failing | {""}
    found = [finding for finding in _worth_a_word(analysis.findings) if analysis.owner(finding) not in others]
    warned = {analysis.owner(finding) for finding in found if not finding.known}
    known = {analysis.owner(finding) for finding in found} - warned
    with_findings = _counted((len(warned), "with warnings"), (len(known), "with known findings"))
    failed = sum(judged.source in failing for judged in check.judged)
    counts = _counted(
        (failed, "failed"),
        (len(check.judged) - failed, f"passed ({with_findings})" if with_findings else "passed"),
        (len(check.missing), "not there yet"),
        (len(check.unread), "could not be read"),
    )
    left_out = f" {plural(check.without_cache, 'other tag')} without a cache." if check.without_cache else ""
    together = f", {'and' if failed else 'but'} all of them together fail" if "" in failing else ""
    return f"{plural(_total(check), 'source')}: {counts}{together}.{left_out}"


def _counted(*parts: tuple[int, str]) -> str:
    return ", ".join(f"{count(number)} {what}" for number, what in parts if number)


def overview(analysis: Analysis) -> list[Section]:
    """A line for each source, failing ones first, and why some could not be read."""
    check = analysis.check
    assert check
    findings, failing = analysis.by_owner(analysis.findings), analysis.by_owner(analysis.failing)
    prefix = _prefix(check)
    calls = LOOP_CHECK.concerns(analysis.buildkit)
    figures = {
        judged.source: (*([count(judged.calls)] if calls else []), f"{judged.size:,}") for judged in check.judged
    }
    every = (*([count(analysis.survey.loop_check.middle.calls)] if calls else []), "")
    none = [""] * (1 + len(every))
    rows: list[tuple[int, tuple[str, ...]]] = []
    for source in analysis.scopes:
        name = Foreign(source.removeprefix(prefix)) if source else TOGETHER
        found = failing.get(source) or _worth_a_word(findings.get(source, ()))
        rank = _FAILED if source in failing else _WARNED if found else _FINE
        result = "nothing new" if not source and rank == _FINE and failing else _result(rank, found)
        row = (name, result, _summary(found), *figures.get(source, every))
        rows.append((rank, row))
    rows += [(_UNREAD, (Foreign(unread.source.removeprefix(prefix)), "unread", *none)) for unread in check.unread]
    rows += [(_ABSENT, (Foreign(source.removeprefix(prefix)), "none yet", *none)) for source in check.missing]
    rows.sort(key=lambda row: row[0])
    title = f"Sources, all of which begin with {printable(prefix)}" if prefix else "Sources"
    heads = ("source", "result", "because of", *(["calls"] if calls else []), "bytes")
    table = Table(title, heads, [row for _, row in rows], frozenset(range(3, len(heads))))
    return [table, _unread(check, prefix)]


def _worth_a_word(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity > Severity.NOTE]


def _result(rank: int, findings: Sequence[Finding]) -> str:
    if rank == _WARNED:
        return "known" if all(finding.known for finding in findings) else str(findings[0].severity)
    return "failed" if rank == _FAILED else "passed"


def _summary(findings: Sequence[Finding]) -> str:
    """The first rule in words, and how many more there are: its id, its name, ` +2`."""
    rules = list(dict.fromkeys(f"{finding.rule} {finding.name}" for finding in findings))
    more = f" +{len(rules) - 1}" if len(rules) > 1 else ""
    return f"{rules[0]}{more}" if rules else ""


def _prefix(check: Check) -> str:
    """What all sources begin with, up to a `/` or `:`; empty if that is short, or all that one of them has."""
    sources = [judged.source for judged in check.judged]
    sources += [*(unread.source for unread in check.unread), *check.missing]
    first, last = min(sources), max(sources)
    length = next(
        (index for index, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first)
    )
    prefix = first[: max(first.rfind("/", 0, length), first.rfind(":", 0, length)) + 1]
    return prefix if len(prefix) >= _SHORTEST_PREFIX and prefix not in sources else ""


def _unread(check: Check, prefix: str) -> Listing:
    """One line for each reason."""
    reasons: dict[str, list[str]] = {}
    for unread in check.unread:
        reasons.setdefault(unread.problem, []).append(unread.source.removeprefix(prefix))
    return Listing("Could not be read", [f"{_named(sources)}: {problem}" for problem, sources in reasons.items()])


def _named(sources: Sequence[str]) -> str:
    """Some of the sources, and how many more there are."""
    more = len(sources) - _NAMED
    if more <= 1:
        return ", ".join(sources)
    return f"{', '.join(sources[:_NAMED])} and {count(more)} more"


def unread_entries(check: Check) -> list[Entry]:
    """An entry for each source that could not be read."""
    return [
        Entry(Tone.ERROR, "could not be read", "error", source=Foreign(unread.source), body=(unread.problem,))
        for unread in check.unread
    ]


def brief(analysis: Analysis, entry: Callable[[Finding], Entry]) -> list[Entry]:
    """An entry for each rule, with its advice once; `entry` makes the one of a finding that is alone with its rule."""
    assert analysis.check
    groups: dict[tuple[str, tuple[str, ...]], list[Finding]] = {}
    for finding in analysis.findings:
        groups.setdefault((finding.rule, finding.general_help or finding.help), []).append(finding)
    prefix = _prefix(analysis.check)
    return [
        entry(findings[0]) if len(findings) == 1 else _of_rule(analysis, findings, prefix)
        for findings in groups.values()
    ]


def _of_rule(analysis: Analysis, findings: Sequence[Finding], prefix: str) -> Entry:
    """What several sources have in common: the worst of them in words, the others by name."""
    worst = max(findings, key=lambda finding: (not finding.known, finding.severity, finding.measure.value))
    owners = list(dict.fromkeys(analysis.owner(finding).removeprefix(prefix) or TOGETHER for finding in findings))
    where = analysis.owner(worst).removeprefix(prefix) or TOGETHER
    others = [owner for owner in owners if owner != where]
    known = all(finding.known for finding in findings)
    return Entry(
        tone=Tone(worst.severity),
        label=str(worst.severity),
        title=f"{worst.rule} {worst.name}",
        affects=worst.affects,
        source=f"{plural(len(owners), 'source')}{_severities(findings)}" if others else Foreign(analysis.owner(worst)),
        remark=KNOWN if known else "",
        known=known,
        body=(f"{where}: {worst.message}", f"Also in {_named(others)}.") if others else (worst.message,),
        help=() if known else (Steps(worst.general_help or worst.help),),
    )


def _severities(findings: Sequence[Finding]) -> str:
    """How many findings there are of each severity, if they differ: ` (2 errors, 9 warnings)`."""
    counts: Mapping[Severity, int] = Counter(finding.severity for finding in findings)
    parts = [plural(counts[severity], str(severity)) for severity in sorted(counts, reverse=True)]
    return f" ({', '.join(parts)})" if len(parts) > 1 else ""


def details(analysis: Analysis, sections: Sequence[Table | Listing]) -> list[Section]:
    """The sections about the graph; if they are of the costliest source alone, with its name, for every detail."""
    check = analysis.check
    if check is None or not check.costliest:
        return list(sections)
    name = printable(check.costliest)
    return [section._replace(title=f"{section.title}, of {name}", level=1) for section in sections]


def closing(analysis: Analysis) -> list[Section]:
    """The totals once more, where a long report ends on a terminal."""
    return [Listing("Total", [totals(analysis)])] if analysis.of_many else []
