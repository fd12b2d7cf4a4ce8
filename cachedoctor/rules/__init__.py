"""Findings: what is wrong with a cache, by the rules of `docs/rules.md`."""

from cachedoctor.rules.interface import IMPORTED_BYTES, Context, Finding, Limits, Measure, Severity, verdict
from cachedoctor.rules.registry import OF_DOCUMENTS, RULES, findings

__all__ = [
    "IMPORTED_BYTES",
    "OF_DOCUMENTS",
    "RULES",
    "Context",
    "Finding",
    "Limits",
    "Measure",
    "Severity",
    "findings",
    "verdict",
]
