"""What can be wrong with a cache: one file a rule, which holds its check, its facts and its documentation.

A new rule is a new file in this folder: `registry` finds it there. What does not belong to one rule alone is in `rule`
(what a rule is), `registry` (which rules there are and which to run), and modules that begin with an underscore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cachedoctor.rules.rule import Context, Finding, Limits, Measure, Rule, Scope, Severity, verdict

if TYPE_CHECKING:
    from cachedoctor.rules.registry import findings

    RULES: tuple[Rule, ...]

__all__ = [
    "RULES",
    "Context",
    "Finding",
    "Limits",
    "Measure",
    "Rule",
    "Scope",
    "Severity",
    "findings",
    "verdict",
]


def __getattr__(name: str) -> Any:
    """Import the rules when somebody first asks for them (PEP 562); the types alone are much cheaper."""
    if name not in ("RULES", "findings"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cachedoctor.rules import registry

    return registry.all_rules() if name == "RULES" else registry.findings
