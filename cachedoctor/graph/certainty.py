"""A proof that the exporter of BuildKit v0.9 to v0.24 merges the same records in every order of its maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from cachedoctor.graph.replay import Exporter, Run

MOST_BITS = 1 << 26
"""Questions, times records and links, that a proof may take: at most 25 MB, and a fraction of a second."""

_Question = tuple[Iterable[int], Iterable[int]]
"""Is a record of the first group settled before all of the second group, or the other way round?"""


def every_order_merges_alike(exporter: Exporter, fixpoint: Sequence[int], run: Run) -> bool:
    """Whether every run gives the same partition as this one. False if that is not known.

    `fixpoint` is the smallest record of each record's class at the fixpoint. No run merges more than it does, so a
    record can join only records of its own class. As long as another run merges like this one, a record matches no item
    there that it would not match at the end of this one. So if the records of these items are settled either before the
    visit of the record begins, or after it ends, and the same ones in all runs, then it does the same in all of them.

    Of several items that match, `v1.normalizeItem` takes the one with the smallest temporary id, so the ids of these
    items must be the same in all runs too: they count the items that were created before.
    """
    items = _items(run)
    links = sum(len(alternatives) for inputs in exporter.inputs for alternatives in inputs)
    most = MOST_BITS // (len(fixpoint) + links + 1)
    visits: list[_Question] = []
    for record in _contested(exporter, fixpoint):
        others = chain.from_iterable(map(items.__getitem__, exporter.matches(record, run)))
        visits += [((other,), (record,)) for other in others if other != record]
        if len(visits) > most:
            return False
    tied = frozenset().union(*run.ties)
    if len(tied) * len(items) > most:
        return False
    creations: list[_Question] = [(items[other], (item,)) for item in tied for other in items if other != item]
    return _one_answer(exporter, visits, before_visit=True) and _one_answer(exporter, creations)


def _items(run: Run) -> dict[int, list[int]]:
    """The records of each item that has a temporary id."""
    members = defaultdict(list)
    for record, item in enumerate(run.item):
        if item in run.created:
            members[item].append(record)
    return members


def _contested(exporter: Exporter, fixpoint: Sequence[int]) -> Iterator[int]:
    """The records of those classes of the fixpoint that may end up in several items.

    In all others, each record has the same sources and selectors as the first one, and these are not contested either.
    """
    classes = defaultdict(list)
    for record in exporter.listed:
        if exporter.inputs[record]:
            classes[fixpoint[record]].append(record)
    several = {name: records for name, records in classes.items() if len(records) > 1}

    def named(record: int) -> list[set[tuple[int, str]]]:
        return [{(fixpoint[source], selector) for source, selector in links} for links in exporter.inputs[record]]

    contested = []
    users = defaultdict(list)
    for name, records in several.items():
        inputs = named(records[0])
        if any(named(record) != inputs for record in records[1:]):
            contested.append(name)
        for record in records:
            for links in exporter.inputs[record]:
                for source, _ in links:
                    users[fixpoint[source]].append(name)
    seen = set(contested)
    for name in contested:
        more = set(users[name]) - seen
        seen |= more
        contested += more
    return chain.from_iterable(map(several.__getitem__, contested))


def _one_answer(exporter: Exporter, questions: Sequence[_Question], *, before_visit: bool = False) -> bool:
    """Whether all runs give the same answer to each question.

    With `before_visit`, there is no answer if the first group is settled during a visit of the second one. A visit
    settles the sources of each input, one input after the other, and then the record itself; the alternatives of an
    input may come in any order. Bits stand for questions. Whatever decides a question was not visited before, since it
    would have decided it then. So one pass, sources first, tells what a visit of each record decides.
    """
    firsts, seconds = _bits(questions)
    answers: dict[int, tuple[int, int, int]] = {}
    for record in exporter.order:
        first = second = both = 0
        for alternatives in exporter.inputs[record]:
            decided = first | second | both
            in_first = in_second = in_both = 0
            for source, _ in alternatives:
                of_first, of_second, of_both = answers[source]
                in_first |= of_first
                in_second |= of_second
                in_both |= of_both
            unsure = in_both | in_first & in_second
            both |= unsure & ~decided
            first |= in_first & ~unsure & ~decided
            second |= in_second & ~unsure & ~decided
        decided = first | second | both
        first |= firsts[record] & ~decided
        second |= seconds[record] & ~decided
        during = decided & seconds[record] if before_visit else 0
        answers[record] = first & ~during, second & ~during, both | during
    open_questions = (1 << len(questions)) - 1
    for record in exporter.listed:
        first, second, both = answers[record]
        if both & open_questions:
            return False
        open_questions &= ~(first | second)
    return True


def _bits(questions: Sequence[_Question]) -> tuple[defaultdict[int, int], defaultdict[int, int]]:
    """For each record, the questions that have it in their first group, and those that have it in their second."""
    firsts: defaultdict[int, int] = defaultdict(int)
    seconds: defaultdict[int, int] = defaultdict(int)
    for index, (first, second) in enumerate(questions):
        for record in first:
            firsts[record] |= 1 << index
        for record in second:
            seconds[record] |= 1 << index
    return firsts, seconds
