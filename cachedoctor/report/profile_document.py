"""The JSON document of `profile` (`docs/json-profile.md`)."""

from __future__ import annotations

from typing import Any

from cachedoctor.diagnosis.diagnose import Diagnosis, Remaining
from cachedoctor.diagnosis.exports import Export, Wait
from cachedoctor.pprof.top import Row
from cachedoctor.report.formats.json import clean, head, number


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The document as plain values, with keys in the order of the contract."""
    table = diagnosis.top
    return {
        **head("profile"),
        "inputs": [{"source": clean(evidence.source), "kind": clean(evidence.kind)} for evidence in diagnosis.evidence],
        "profile": _profile(diagnosis),
        "top": [_row(row, table.total) for row in table.rows],
        "dropped": {"nodes": table.dropped_nodes, "cum": table.dropped_cum},
        "phases": [{"phase": str(phase), "share": share} for phase, share in diagnosis.phases.items()],
        "phases_estimated": diagnosis.estimated,
        "diagnosis": [
            {
                "cause": str(finding.cause),
                "share": finding.share,
                "affects": finding.affects,
                "explanation": clean(finding.explanation),
                "ends": finding.ends,
                "help": "\n".join(finding.help),
            }
            for finding in diagnosis.findings
        ],
        "exports": [_goroutines(export) for export in diagnosis.exports],
        "waits": [_goroutines(wait) for wait in diagnosis.waits],
        "cores": diagnosis.cores,
        "go_version": diagnosis.go_version,
        "buildkit": diagnosis.buildkit,
        "remaining": _remaining(diagnosis.remaining) if diagnosis.remaining else None,
    }


def _goroutines(group: Export | Wait) -> dict[str, Any]:
    return {
        "count": group.count,
        "phase": str(group.phase),
        "function": clean(group.function),
        "state": clean(group.state),
        "minutes": group.minutes,
    }


def _profile(diagnosis: Diagnosis) -> dict[str, Any]:
    first = diagnosis.evidence[0]
    return {
        "kind": clean(first.kind),
        "sample_type": clean(first.sample_type),
        "unit": clean(diagnosis.top.unit),
        "total": diagnosis.top.total,
        "duration_seconds": first.duration_seconds,
    }


def _row(row: Row, total: int) -> dict[str, Any]:
    return {
        "function": clean(row.function),
        "flat": row.flat,
        "cum": row.cum,
        "flat_percent": abs(row.flat) * 100 / total if total else 0.0,
        "cum_percent": abs(row.cum) * 100 / total if total else 0.0,
        "inline": row.inline == "inline",
        "partial_inline": row.inline == "partial-inline",
    }


def _remaining(left: Remaining) -> dict[str, Any]:
    def span(pair: tuple[float | None, float | None]) -> dict[str, float | None]:
        return {"min": pair[0], "max": pair[1]}

    return {
        "work": left.work,
        "count": {"min": number(left.fewest), "max": number(left.most)},
        "per_second": span(left.rate),
        "total_seconds": span(left.total),
        "elapsed_seconds": left.elapsed,
        "left_seconds": span(left.left),
        "never": left.never,
        "overdue": left.overdue,
    }
