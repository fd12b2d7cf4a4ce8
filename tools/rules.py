"""The generated part of `docs/rules.md`: what each rule says of itself."""

from __future__ import annotations

from cachedoctor.rules import RULES
from tools.markdown import table


def rules() -> str:
    """A table of all rules, then a section for each."""
    rows = [(f"[{rule.id} {rule.name}](#{rule.id.lower()}-{rule.name})", rule.summary, rule.affects) for rule in RULES]
    sections = [f"## {rule.id} {rule.name}\n\n{rule.about}\n\n" for rule in RULES]
    return table(("rule", "what is wrong", "BuildKit"), rows) + "".join(sections)
