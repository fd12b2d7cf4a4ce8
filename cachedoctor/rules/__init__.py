"""Findings: what is wrong with a cache, by the rules of `docs/rules.md`."""

from cachedoctor.rules.interface import Context, Finding, Limits, Severity, verdict
from cachedoctor.rules.registry import RULES, findings

__all__ = ["RULES", "Context", "Finding", "Limits", "Severity", "findings", "verdict"]
