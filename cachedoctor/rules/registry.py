"""All rules, found by listing this folder: which to run, what they find in a cache, and whether that got worse."""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Container, Iterable, Iterator, Sequence
from importlib import import_module

from cachedoctor import rules as package
from cachedoctor.builds.build import Location
from cachedoctor.rules._advice import adapted, with_names
from cachedoctor.rules.rule import Context, Finding, Found, Measure, Rule
from cachedoctor.suggest import meant

TOLERANCE = 5
"""An estimated number may grow by this percentage before that counts."""
MOST_RECORDS = 1_000
"""Records that a finding names; `Finding.count` says how many there are."""
MOST_LINES = 100
"""Lines of the Dockerfile that a finding names."""


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
    results = [finding for rule in selected for finding in _of_rule(rule, context)]
    return sorted(results, key=lambda finding: (-finding.severity.rank, finding.rule))


def _of_rule(rule: Rule, context: Context) -> Iterator[Finding]:
    refused_by = rule.refused_by if rule.refused_by and rule.refused_by.concerns(context.buildkit) else None
    for match in rule.check(context):
        concerned = [document for document in context.documents if match.source in ("", document.source)]
        general = adapted(match.help or rule.help, concerned)
        yield Finding(
            rule=rule.id,
            name=rule.name,
            severity=match.severity or rule.severity,
            message=match.message,
            affects=rule.affects,
            help=tuple(with_names(step, concerned) for step in general),
            general_help=general,
            records=tuple(match.records[:MOST_RECORDS]),
            count=len(match.records),
            source=match.source,
            measure=match.measure or Measure("records", len(match.records)),
            refused_by=refused_by if match.refuses else None,
            noun=rule.noun,
            table=rule.table,
            members=match.members,
            headline=match.headline,
            locations=tuple(match.lines or _lines(match, rule, context))[:MOST_LINES],
        )


def _lines(match: Found, rule: Rule, context: Context) -> Sequence[Location]:
    """The lines of the records that a finding names."""
    if rule.noun != "record":
        return ()
    concerned = [number for number, document in enumerate(context.documents) if match.source in ("", document.source)]
    document = concerned[0] if len(concerned) == 1 else None
    return context.known.lines_of(match.records[:MOST_RECORDS], document)


def chosen(select: Sequence[str], ignore: Sequence[str]) -> tuple[str, ...]:
    """The ids of the rules that `select` names (all if it is empty) and `ignore` does not, in order.

    Rules are named by their id, their name, or the beginning of their ids, such as `CD2`. Raises `ValueError` for a
    word that names no rule, and if no rule is left.
    """
    selected = _named(select) if select else {rule.id for rule in all_rules()}
    left = selected - _named(ignore)
    if not left:
        raise ValueError("no rule is left to run")
    return tuple(sorted(left))


def _named(words: Iterable[str]) -> set[str]:
    rules = all_rules()
    named: set[str] = set()
    for word in words:
        ids = {rule.id for rule in rules if word and (rule.id.startswith(word.upper()) or rule.name == word.lower())}
        if not ids:
            known = [text for rule in rules for text in (rule.id, rule.name)]
            raise ValueError(f"{word!r} names no rule; {meant(word, known)}")
        named |= ids
    return named


def grown(now: Measure, before: Measure) -> bool:
    """Whether a number grew: at all if both are exact, otherwise by more than `TOLERANCE` percent."""
    if now.exact and before.exact:
        return now.value > before.value
    return now.value * 100 > before.value * (100 + TOLERANCE)
