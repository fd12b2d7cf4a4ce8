"""What the records of builds add to pages and documents: lines of the Dockerfile, and which steps will hit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cachedoctor.builds.build import Build, Location
from cachedoctor.builds.hits import Hit, Hits, Reason, State
from cachedoctor.builds.known import Known, described, line
from cachedoctor.builds.names import Name
from cachedoctor.graph.survey import Survey
from cachedoctor.numbers import count, listing, plural
from cachedoctor.report.formats.json import clean
from cachedoctor.report.page import Foreign, Line, Listing, Table, Tone
from cachedoctor.text import cut, printable

HOW = (
    "To see the lines of the Dockerfile, add --build FILE with the record of the build: docker buildx history export "
    "-o build.dockerbuild, or on GitHub: gh run download RUN --pattern '*.dockerbuild'"
)
"""How to get names where there are none, in one line."""
_TEXT = 72
"""Letters of an instruction in a table."""
_STATES = {State.HIT: "hit", State.MISS: "miss", State.UNKNOWN: "unknown"}


def hint(known: Known) -> Listing:
    """How to get the names of steps, if no build was given."""
    return Listing("Which lines are these?", [] if known.builds else [HOW])


def headline(known: Known) -> list[Line]:
    """What will become of the steps of each build, and which builds name nothing."""
    return [*(Line(totals(hits, known), _tone(hits)) for hits in known.hits), *strangers(known)]


def totals(hits: Hits, known: Known) -> str:
    """How many steps are in each state: `Of 12 steps, 7 will hit, 3 miss, 2 depend on content.`"""
    parts = [
        f"{count(number)} {words}"
        for state, words in ((State.HIT, "will hit"), (State.MISS, "will miss"), (State.UNKNOWN, "depend on content"))
        if (number := hits.count(state))
    ]
    if not parts:
        return f"None of the steps{_which(hits.build, known)} can be looked up in this cache."
    return f"Of {plural(len(hits.steps), 'step')}{_which(hits.build, known)}, {listing(parts)}."


def _which(build: int, known: Known) -> str:
    """Which build is meant, if there are several."""
    if len(known.builds) < 2:
        return ""
    return f" of {_name(known.builds[build])}"


def _name(build: Build) -> str:
    parts = ", ".join(printable(part) for part in (build.target, build.platform) if part)
    return f"{printable(build.source)} ({parts})" if parts else printable(build.source)


def _tone(hits: Hits) -> Tone:
    return Tone.WARNING if hits.count(State.MISS) else Tone.PLAIN


def strangers(known: Known) -> list[Line]:
    """The builds that name nothing of the caches."""
    return [
        Line(
            f"{_name(build)} names none of the {plural(known.records, 'record')}: it records another build, or an "
            "older Dockerfile.",
            Tone.WARNING,
        )
        for number, build in enumerate(known.builds)
        if known.records and not known.named(number)
    ]


def steps(known: Known) -> list[Table | Listing]:
    """For each build, the first step that misses and why, then all its steps."""
    sections: list[Table | Listing] = []
    for hits in known.hits:
        build = known.builds[hits.build]
        rows = [(Foreign(_step(hit, build)), _STATES[hit.state], Foreign(hit.because)) for hit in hits.steps]
        which = _which(hits.build, known)
        sections += [_first_miss(hits, build, which), Table(f"Steps{which}", ("line", "state", "because"), rows)]
    return sections


def _step(hit: Hit, build: Build) -> str:
    step = build.steps[hit.step]
    return cut(line(step.locations[0]), _TEXT) if step.locations else step.label


def _first_miss(hits: Hits, build: Build, which: str) -> Listing:
    """The first step that misses by itself, and how many miss because of such steps."""
    causes = [hit for hit in hits.steps if hit.state is State.MISS and hit.reason is not Reason.INPUT_MISSED]
    followers = sum(hit.reason is Reason.INPUT_MISSED for hit in hits.steps)
    if not causes:
        return Listing("", [])
    first = causes[0]
    lines = [_step(first, build), first.because]
    if followers:
        verb = "misses" if followers == 1 else "miss"
        because = "this one does" if len(causes) == 1 else f"this one or {count(len(causes) - 1)} more like it do"
        lines.append(f"{plural(followers, 'step')} after it {verb} only because {because}.")
    return Listing(f"First miss{which}", lines)


def listed(known: Known) -> list[dict[str, Any]]:
    """The builds in a JSON document."""
    return [_build(number, build, known) for number, build in enumerate(known.builds)]


def hits(known: Known) -> list[dict[str, Any]]:
    """What will become of the steps of each build, in a JSON document."""
    return [_hits(hits, known.builds[hits.build]) for hits in known.hits]


def _build(number: int, build: Build, known: Known) -> dict[str, Any]:
    named = known.named(number)
    return {
        "source": clean(build.source),
        "kind": build.kind,
        "target": clean(build.target),
        "platform": clean(build.platform),
        "dockerfile": clean(build.dockerfile),
        "steps": len(build.steps),
        "records_named": named,
        "records_unnamed": known.records - named,
    }


def _hits(hits: Hits, build: Build) -> dict[str, Any]:
    return {
        "build": hits.build,
        **{str(state): hits.count(state) for state in State},
        "steps": [
            {
                "location": locations(build.steps[hit.step].locations)[0],
                "step": clean(build.steps[hit.step].id),
                "state": str(hit.state),
                "reason": str(hit.reason) if hit.reason else None,
                "because": clean(hit.because),
            }
            for hit in hits.steps
        ],
    }


def names(survey: Survey, sources: Sequence[str], known: Known) -> list[dict[str, Any]]:
    """The named records of all documents of a survey, which are from these sources, in a JSON document."""
    if not known.names:
        return []
    return [
        {
            "source": clean(source),
            "record": record,
            "digest": clean(digest),
            "label": clean(name.label),
            "locations": locations(name.locations),
            "sure": name.sure,
        }
        for source, config, of_document in zip(sources, survey.configs, known.names, strict=True)
        for record, (digest, name) in enumerate(zip(config.digests, of_document, strict=False))
        if name
    ]


def labelled(name: Name | None) -> dict[str, Any]:
    """The name of a record as it stands beside its digest."""
    return {
        "label": clean(name.label if name else ""),
        "locations": locations(name.locations if name else ()),
    }


def locations(lines: Iterable[Location]) -> list[dict[str, Any]]:
    """Lines of Dockerfiles as JSON."""
    return [
        {"file": clean(line.file), "line": line.line, "end_line": line.end_line, "text": clean(line.text)}
        for line in lines
    ]


def words(name: Name | None, otherwise: str) -> str:
    """A name in a table, or what else the record is called."""
    return described(name) if name else otherwise
