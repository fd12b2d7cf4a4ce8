"""A record has an input without alternatives.

**What it means.** A record is made from inputs, and each input lists alternatives: the records that can serve as this
input. If an input lists none, the record can never be reached.

**How it is found.** In each document, every element of `inputs` that is `[]` or `null`. A record counts once, however
many of its inputs are empty. Links to a record whose digest begins with `random:` have the same effect, and have a
finding of their own: BuildKit leaves such a record out, since no build ever asks for its digest again.

**Severity.** Error. With `--buildkit` before v0.25: warning.

**Versions.** v0.25 and later refuse the whole cache. Older releases import it, but see the inputs of a record only as
far as links reach. They do not see an empty input at the end: `[[a],[]]` is a record with one input, and `[[]]` has
none. If an empty input comes before a filled one, their next export leaves out the record and everything that can only
be made from it.

**What you see.** `invalid empty input for record N`, where N is the index of the record. For a link to a record that
is left out: `invalid looping record` or `invalid dependency type`. Before v0.25: nothing.

**What to do.** [Repair it, or delete it](#repair-it-or-delete-it).

**What does not help.** Importing it together with a good cache: this one is refused all the same. Downgrading below
v0.25: the rest of the cache is used again, but every export has the loop check of [CD201](#cd201-path-explosion).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import eq

from cachedoctor.buildkit import REFUSES_EMPTY_INPUT
from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph.records import left_out
from cachedoctor.numbers import plural
from cachedoctor.rules._shared import DELETE, REPAIR, agree
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule


@rule(
    "CD102",
    "empty-input",
    Severity.ERROR,
    affects=f"{REFUSES_EMPTY_INPUT} refuse the whole cache; older releases drop the record or the input",
    help=(REPAIR, DELETE),
    scope=Scope.DOCUMENT,
    refused_by=REFUSES_EMPTY_INPUT,
)
def empty_input(context: Context) -> Iterator[Found]:
    """List the records of each document that have an empty input, and those with a link to one that is left out."""
    refused = REFUSES_EMPTY_INPUT.concerns(context.buildkit)
    severity = None if refused else Severity.WARNING
    for document in context.documents:
        config = document.config
        records = _with_empty_input(config)
        if records:
            consequence = _consequence(_without_end(config, records), len(records), refused)
            yield Found(f"{_described(records)}. {consequence}", records, document.source, severity)
        records = _with_link_to(left_out(config.digests), config)
        if records:
            consequence = f"{_REFUSE}; older releases ignore the link." if refused else "This release ignores the link."
            link = agree(len(records), "links", "link")
            yield Found(
                f"{plural(len(records), 'record')} {link} to a record that BuildKit leaves out, because its digest "
                f"begins with random:; the first is record {records[0]}. {consequence}",
                records,
                document.source,
                severity,
            )


_REFUSE = f"{REFUSES_EMPTY_INPUT} refuse the whole cache"


def _consequence(dropped: int, count: int, refused: bool) -> str:
    """What importers do, if older ones drop so many of these records."""
    drop, ignore = ("drop", "ignore") if refused else ("drops", "ignores")
    dropping = f"{drop} the record and what is made only from it"
    ignoring = f"{ignore} an empty input at the end of a record"
    older = dropping if dropped == count else f"{ignoring}, and otherwise {dropping}" if dropped else ignoring
    return f"{_REFUSE}; older releases {older}." if refused else f"This release {older}."


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


def _without_end(config: CacheConfig, records: Sequence[int]) -> int:
    """How many of these records have an empty input before a filled one."""
    start = config.link_start
    number = 0
    for record in records:
        filled = [start[slot] < start[slot + 1] for slot in range(*config.input_start[record : record + 2])]
        number += filled != sorted(filled, reverse=True)
    return number


def _with_link_to(sources: frozenset[int], config: CacheConfig) -> list[int]:
    """The records that have a link to any of these."""
    if not sources:
        return []
    starts = [config.link_start[start] for start in config.input_start]
    return [
        record for record, (low, high) in enumerate(pairwise(starts)) if not sources.isdisjoint(config.links[low:high])
    ]
