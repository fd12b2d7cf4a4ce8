"""The JSON document of a profile (`docs/json-profile.md`)."""

from __future__ import annotations

from typing import Any

import orjson

from cachedoctor import __version__
from cachedoctor.diagnosis.diagnose import Diagnosis, Remaining
from cachedoctor.pprof.top import Row
from cachedoctor.report.formats.json import SCHEMA_VERSION, clean, escaped, number
from cachedoctor.report.interface import Style


class Report:
    """One document and a line break; values in the unit of the sample type."""

    def render(self, diagnosis: Diagnosis, style: Style) -> str:
        """The document, indented by two; the style makes no difference."""
        text = orjson.dumps(document(diagnosis), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
        return escaped(text)


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The document as plain values, with keys in the order of the contract."""
    table = diagnosis.top
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "profile",
        "tool": {"name": "cachedoctor", "version": __version__},
        "inputs": [{"source": clean(one.source), "kind": clean(one.kind)} for one in diagnosis.evidence],
        "profile": _profile(diagnosis),
        "top": [_row(row, table.total) for row in table.rows],
        "dropped": {"nodes": table.dropped_nodes, "cum": table.dropped_cum},
        "phases": [{"phase": str(phase), "share": share} for phase, share in diagnosis.phases.items()],
        "phases_estimated": diagnosis.estimated,
        "diagnosis": [
            {
                "cause": str(one.cause),
                "share": one.share,
                "affects": one.affects,
                "explanation": clean(one.explanation),
                "ends": one.ends,
                "help": "\n".join(one.help),
            }
            for one in diagnosis.findings
        ],
        "exports": [
            {
                "count": one.count,
                "phase": str(one.phase),
                "function": clean(one.function),
                "state": clean(one.state),
                "minutes": one.minutes,
            }
            for one in diagnosis.exports
        ],
        "waits": [
            {
                "count": one.count,
                "phase": str(one.phase),
                "function": clean(one.function),
                "state": clean(one.state),
                "minutes": one.minutes,
            }
            for one in diagnosis.waits
        ],
        "cores": diagnosis.cores,
        "go_version": diagnosis.go_version,
        "buildkit": diagnosis.buildkit,
        "remaining": _remaining(diagnosis.remaining) if diagnosis.remaining else None,
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
