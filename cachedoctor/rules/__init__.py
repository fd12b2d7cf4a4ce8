"""Findings: what is wrong with a cache, by the rules of `docs/rules.md`."""

from cachedoctor.rules.interface import IMPORTED_BYTES, Context, Finding, Limits, Measure, Severity, verdict
from cachedoctor.rules.registry import OF_DOCUMENTS, OF_SOURCES, RULES, findings

__all__ = [
    "IMPORTED_BYTES",
    "OF_DOCUMENTS",
    "OF_SOURCES",
    "RULES",
    "Context",
    "Finding",
    "Limits",
    "Measure",
    "Severity",
    "findings",
    "verdict",
]
