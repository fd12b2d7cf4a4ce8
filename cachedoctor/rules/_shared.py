"""Advice that several rules give, and how they judge seconds and name records."""

from __future__ import annotations

from collections.abc import Sequence

from cachedoctor.rules.rule import Context, Limits, Severity

REPAIR = "Repair it. This loses no usable records or results.\ncachedoctor repair SOURCE -o DEST"
DELETE = "Or delete the cache, or export to a new tag. Importing it does not fix it."
START_OVER = (
    "Start over: use a new builder and a new cache tag, and leave out --cache-from for one build. A new tag alone is "
    "not enough: the builder's own store fills it with the old records."
)
REFUSED = "BuildKit refuses the whole cache."
UNNOTICED = "No result leads BuildKit to them, so it does not notice."


def severity_of(seconds: float | None, limits: Limits) -> Severity | None:
    """The severity of an export step that takes so long, `None` if it is fast; `seconds` is `None` past any float."""
    if seconds is None or seconds > limits.max_seconds:
        return Severity.ERROR
    return Severity.WARNING if seconds >= limits.warn_seconds else None


def named(records: Sequence[int], context: Context) -> Sequence[int | str]:
    """Records of the graph by their index if there is one document, by their digest if several were merged."""
    if len(context.documents) == 1:
        return records
    return [context.survey.graph.digests[record] for record in records]


def agree(count: int, singular: str, plural: str) -> str:
    """The form of a verb that goes with a count."""
    return singular if count == 1 else plural
