"""The JSON document of `analyze` and `check` (`docs/json.md`)."""

from __future__ import annotations

from typing import Any

from cachedoctor.analysis.analyze import Analysis, Check, Input
from cachedoctor.buildkit import SECONDS_PER_CALL, SECONDS_PER_MARSHAL_STEP, SECONDS_PER_WALK_STEP
from cachedoctor.graph import cost
from cachedoctor.graph.imports import Spread
from cachedoctor.numbers import digits
from cachedoctor.report import builds_document
from cachedoctor.report.formats.json import clean, head, number
from cachedoctor.rules import verdict


def document(analysis: Analysis) -> dict[str, Any]:
    """The document as plain values, with keys in the order of the contract."""
    check = analysis.check
    known = analysis.known
    return {
        **head("check" if check else "analyze"),
        "inputs": [
            {
                "source": clean(document.source),
                "kind": document.kind,
                "digest": clean(document.digest),
                "bytes": document.size,
                "manifest_bytes": document.manifest_size,
                "platform": clean(document.platform),
                "records": document.records,
                "layers": document.layers,
                "reformatted": document.reformatted,
                "written_bytes": document.written_size,
                "blobs": _presence(document),
                "notes": [clean(note) for note in document.notes],
            }
            for document in analysis.inputs
        ],
        "graph": _graph(analysis),
        "loops": _loops(analysis),
        "hotspots": hotspots(analysis),
        "cost": {
            "le_0_24": _loop_check(analysis.survey.loop_check),
            "ge_0_25": _re_add(analysis),
            "marshal": _marshal(analysis),
        },
        "import": _import(analysis),
        "builds": builds_document.listed(known),
        "hits": builds_document.hits(known),
        "doublings": builds_document.doublings(known),
        "names": builds_document.names(analysis.survey, [document.source for document in analysis.documents], known),
        "findings": [
            {
                "rule": finding.rule,
                "name": finding.name,
                "severity": str(finding.severity),
                "message": clean(finding.message),
                "help": "\n".join(step.replace("\n", " ") for step in finding.help),
                "affects": finding.affects,
                "source": clean(finding.source),
                "records": [record if isinstance(record, int) else clean(record) for record in finding.records],
                "count": finding.count,
                "locations": builds_document.locations(finding.locations),
                **({"known": finding.known} if check else {}),
            }
            for finding in analysis.findings
        ],
        "verdict": analysis.verdict,
        **(_check(analysis, check) if check else {}),
    }


def _presence(document: Input) -> dict[str, Any] | None:
    presence = document.presence
    if presence is None:
        return None
    return {
        "place": presence.place,
        "listed": document.listed,
        "absent": sorted(presence.absent),
        "wrong_size": sorted(presence.resized),
        "unknown": len(presence.unknown),
    }


def _check(analysis: Analysis, check: Check) -> dict[str, Any]:
    """What `check` adds to the document."""
    limits = analysis.limits

    return {
        "limits": {
            "max_seconds": limits.max_seconds,
            "max_calls": None if limits.max_calls is None else digits(limits.max_calls),
            "max_bytes": limits.max_bytes,
            "min_hits": limits.min_hits,
            "buildkit": str(analysis.buildkit) if analysis.buildkit else None,
            "fail_on": str(check.fail_on),
            "rules": list(check.rules),
        },
        "failed": analysis.failed(),
        "judged": _judged(analysis, check),
        "together": analysis.scopes[-1:] == [""],
        "costliest": clean(check.costliest),
        "missing": [clean(source) for source in check.missing],
        "unread": [
            {"source": clean(unread.source), "problem": clean(unread.problem), "missing": unread.missing}
            for unread in check.unread
        ],
        "without_cache": check.without_cache,
        "baseline": {"file": clean(check.baseline), "known": sum(finding.known for finding in analysis.findings)}
        if check.baseline
        else None,
    }


def _judged(analysis: Analysis, check: Check) -> list[dict[str, Any]]:
    findings, failing = analysis.by_owner(analysis.findings), analysis.by_owner(analysis.failing)
    figures = {judged.source: (judged.calls, judged.size) for judged in check.judged}
    every = (analysis.survey.loop_check.middle.calls, sum(size for _, size in figures.values()))
    return [
        {
            "source": clean(source),
            "verdict": verdict(findings.get(source, ())),
            "failed": sorted({finding.rule for finding in failing.get(source, ())}),
            "calls": number(calls),
            "bytes": size,
        }
        for source in analysis.scopes
        for calls, size in [figures.get(source, every)]
    ]


def _graph(analysis: Analysis) -> dict[str, Any]:
    survey = analysis.survey
    return {
        "records": survey.merged.size + survey.dead_records,
        "links": survey.merged.links,
        "roots": len(survey.merged.roots()),
        "results": survey.results,
        "dead_records": survey.dead_records,
        "max_depth": survey.max_depth,
        "fixpoint": survey.merge.complete,
    }


def _loops(analysis: Analysis) -> list[dict[str, Any]]:
    survey = analysis.survey
    known = analysis.known
    records = survey.merged.records
    digests = [clean(survey.graph.digests[record]) for record in records]

    def member(item: int) -> dict[str, Any]:
        return {"digest": digests[item], **builds_document.labelled(known.name(*survey.place(records[item])))}

    return [
        {
            "records": [digests[item] for item in loop.items],
            "links": loop.links,
            "example": [digests[item] for item in loop.example],
            "members": [member(item) for item in loop.items],
        }
        for loop in survey.loops
    ]


def hotspots(analysis: Analysis) -> list[dict[str, Any]]:
    """The records that most calls go through, most calls first."""
    survey = analysis.survey
    total = survey.loop_check.middle.calls
    costliest = analysis.check.costliest if analysis.check else ""
    first = next((index for index, read in enumerate(analysis.inputs) if read.source == costliest), 0)
    rows = []
    for hotspot, inputs in zip(survey.hotspots, survey.hotspot_inputs, strict=True):
        document, record = survey.place(survey.loop_check.records[hotspot.item])
        digest = survey.configs[document].digests[record]
        rows.append(
            {
                "input": first + document,
                "record": record,
                "digest": clean(digest),
                **builds_document.labelled(analysis.known.name(document, record)),
                "fan_out": hotspot.fan_out,
                "calls": number(hotspot.calls),
                "share": hotspot.calls / total,
                "paths": number(hotspot.paths),
                "inputs": [{"alternatives": branch.alternatives, "share": branch.share} for branch in inputs],
            }
        )
    return rows


def _loop_check(loop_check: cost.LoopCheckCost) -> dict[str, Any]:
    orders = loop_check.orders
    ends = {"min": orders[0], "typical": loop_check.middle, "max": orders[-1]}

    def extent(values: list[int]) -> dict[str, int]:
        return {"min": min(values), "max": max(values)}

    return {
        "exact": loop_check.exact,
        "proved": loop_check.proved,
        "orders": len(orders),
        "items": extent([order.items for order in orders]),
        "links": extent([order.links for order in orders]),
        "links_removed": extent([order.links_removed for order in orders]),
        "calls": {name: number(order.calls) for name, order in ends.items()},
        "seconds": {
            name: cost.seconds(order.calls, each)
            for (name, order), each in zip(ends.items(), SECONDS_PER_CALL, strict=True)
        },
    }


def _re_add(analysis: Analysis) -> dict[str, Any]:
    walk = analysis.survey.walk
    return {
        "records": analysis.survey.merged.size,
        "walk_steps": number(walk.steps),
        "exact": walk.exact,
        "seconds": cost.seconds(walk.steps, SECONDS_PER_WALK_STEP),
    }


def _import(analysis: Analysis) -> dict[str, Any]:
    imported = analysis.survey.imported
    return {
        "leaves": imported.leaves,
        "links": imported.links,
        "links_lost": _extent(imported.links_lost),
        "records_found": _extent(imported.records_found),
        "orders": imported.orders,
        "joining_records": len(analysis.survey.joining),
    }


def _extent(spread: Spread) -> dict[str, int]:
    return {"min": spread.least, "typical": spread.typical, "max": spread.most}


def _marshal(analysis: Analysis) -> dict[str, Any]:
    steps = analysis.survey.marshal_steps
    return {
        "steps": number(steps),
        "longest_chain": analysis.survey.longest_chain,
        "seconds": cost.seconds(steps, SECONDS_PER_MARSHAL_STEP),
    }
