"""A record has an input without alternatives.

**What it means.** A record is made from inputs, and each input lists alternatives: the records that can serve as this
input. If an input lists none, the record can never be reached.

**How it is found.** In each document, every element of `inputs` that is `[]` or `null`. A record counts once, however
many of its inputs are empty.

**Severity.** Error. With `--buildkit` before v0.25: warning.

**Versions.** v0.25 and later refuse the whole cache. Older releases import it, and their next export leaves out the
record and everything that can only be made from it.

**What you see.** `invalid empty input for record N`, where N is the index of the record. Before v0.25: nothing.

**What to do.** [Repair it, or delete it](#repair-it-or-delete-it).

**What does not help.** Importing it together with a good cache: this one is refused all the same. Downgrading below
v0.25: the rest of the cache is used again, but every export has the loop check of [CD201](#cd201-path-explosion).
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import eq

from cachedoctor.buildkit import REFUSES_EMPTY_INPUT
from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.numbers import plural
from cachedoctor.rules._shared import DELETE, REPAIR
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule


@rule(
    "CD102",
    "empty-input",
    Severity.ERROR,
    affects=f"{REFUSES_EMPTY_INPUT} refuse the whole cache; older releases drop the record",
    help=(REPAIR, DELETE),
    scope=Scope.DOCUMENT,
    refused_by=REFUSES_EMPTY_INPUT,
)
def empty_input(context: Context) -> Iterator[Found]:
    """List the records of each document that have an empty input."""
    refused = REFUSES_EMPTY_INPUT.concerns(context.buildkit)
    consequence = (
        f"{REFUSES_EMPTY_INPUT} refuse the whole cache; older releases drop the record and what is made only from it."
        if refused
        else "This release drops the record and what is made only from it."
    )
    for document in context.documents:
        records = _with_empty_input(document.config)
        if records:
            yield Found(
                f"{_described(records)}. {consequence}",
                records,
                document.source,
                None if refused else Severity.WARNING,
            )


def _described(records: list[int]) -> str:
    if len(records) == 1:
        return f"Record {records[0]} has an input without alternatives"
    return f"{plural(len(records), 'record')} have an input without alternatives; the first is record {records[0]}"


def _with_empty_input(config: CacheConfig) -> list[int]:
    start = config.link_start
    if not any(map(eq, start, start[1:])):
        return []
    empty = [slot for slot, is_empty in enumerate(map(eq, start, start[1:])) if is_empty]
    records: list[int] = []
    record = 0
    for slot in empty:
        while config.input_start[record + 1] <= slot:
            record += 1
        if not records or records[-1] != record:
            records.append(record)
    return records
