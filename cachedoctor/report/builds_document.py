"""What the records of builds add to JSON documents (`docs/json.md`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cachedoctor.builds.build import Build, Location
from cachedoctor.builds.doubling import Instead
from cachedoctor.builds.hits import Hits, State
from cachedoctor.builds.known import Known, step_in_words
from cachedoctor.builds.names import Name
from cachedoctor.graph.survey import Survey
from cachedoctor.report.formats.json import clean, number


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


def doublings(known: Known) -> list[dict[str, Any]]:
    """The lines that double paths, in a JSON document."""
    return [
        {
            "label": clean(step_in_words(known.step(doubling.place))),
            "locations": locations(known.step(doubling.place).locations),
            "calls_without": number(doubling.calls),
            "instead": _instead(doubling.instead, known) if doubling.instead else None,
        }
        for doubling in known.doublings
    ]


def _instead(instead: Instead, known: Known) -> dict[str, Any]:
    step = known.step(instead.place)
    return {
        "path": clean(instead.path),
        "label": clean(step_in_words(step)),
        "locations": locations(step.locations),
        "calls": number(instead.calls),
        "steps_between": len(instead.runs),
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
