"""All rules, found by listing this folder, and what they find in a cache."""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Container, Iterator
from importlib import import_module

from cachedoctor import rules as package
from cachedoctor.rules.rule import Context, Finding, Measure, Rule

MOST_RECORDS = 1_000
"""Records that a finding names; `Finding.count` says how many there are."""


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule that a module of this folder declares, in the order of their ids."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
    modules = [import_module(f"{package.__name__}.{name}") for name in names]
    rules = [value for module in modules for value in vars(module).values() if isinstance(value, Rule)]
    assert len({rule.id for rule in rules}) == len(rules), "two rules have the same id"
    return tuple(sorted(rules, key=lambda rule: rule.id))


def findings(context: Context, only: Container[str] | None = None) -> list[Finding]:
    """What all rules find, or `only` those with these ids: worst first, then by id."""
    selected = [rule for rule in all_rules() if only is None or rule.id in only]
    found = [finding for rule in selected for finding in _of_rule(rule, context)]
    return sorted(found, key=lambda finding: (-finding.severity.rank, finding.rule))


def _of_rule(rule: Rule, context: Context) -> Iterator[Finding]:
    refused_by = rule.refused_by if rule.refused_by and rule.refused_by.concerns(context.buildkit) else None
    for found in rule.check(context):
        yield Finding(
            rule=rule.id,
            name=rule.name,
            severity=found.severity or rule.severity,
            message=found.message,
            affects=rule.affects,
            help=rule.help,
            records=tuple(found.records[:MOST_RECORDS]),
            count=len(found.records),
            source=found.source,
            measure=found.measure or Measure("records", len(found.records)),
            refused_by=refused_by if found.refuses else None,
            noun=rule.noun,
            table=rule.table,
            members=found.members,
        )
