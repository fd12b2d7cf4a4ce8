"""Fewer alternatives: the cheapest equal cache, or only as few less as a limit asks for."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cachedoctor.graph import paths
from cachedoctor.graph.layers import instant
from cachedoctor.repairs.draft import Draft
from cachedoctor.repairs.loops import Inputs

Preference = Literal["cheapest", "definition", "content"]
"""What may decide between alternatives that cost the same: nothing, those with a selector, or those without one."""


def minimal(draft: Draft, prefer: Preference) -> None:
    """Keep for each input only the alternative that fewest paths lead to, loops in the draft or not.

    This is Knuth's generalization of Dijkstra's algorithm (1977): with B(v) the sum over inputs of the least B of
    their alternatives, a superior function, items are settled in the order of B, and a choice among settled items
    cannot contain a loop. It minimizes every B at once, and so the calls of the loop check, and keeps every item
    derivable. O(links · log items).
    """
    settled, paths_to = _settle(draft.inputs)
    kept = []
    for item, inputs in enumerate(draft.inputs):
        chosen = []
        for one in inputs:
            before = [link for link in one if settled[link[0]] < settled[item]]
            least = min(paths_to[source] for source, _ in before)
            cheapest = [link for link in before if paths_to[link[0]] == least]
            chosen.append([min(cheapest, key=lambda link: _dislike(link[1], prefer))])
        kept.append(chosen)
    _replace(draft, kept)


def _settle(inputs: Sequence[Inputs]) -> tuple[list[int], list[int]]:
    """For each item when it was settled, and the least number of paths to it."""
    waiting = list(map(len, inputs))
    total = [0] * len(inputs)
    dependents: list[list[tuple[int, int]]] = [[] for _ in inputs]
    for item, own in enumerate(inputs):
        for number, one in enumerate(own):
            for source, _ in one:
                dependents[source].append((item, number))
    filled: set[tuple[int, int]] = set()
    settled = [-1] * len(inputs)
    heap = [(1, item) for item, count in enumerate(waiting) if not count]
    heapq.heapify(heap)
    paths_to = [0] * len(inputs)
    for moment in range(len(inputs)):
        least, item = heapq.heappop(heap)
        settled[item], paths_to[item] = moment, least
        for slot in dependents[item]:
            if slot not in filled:
                filled.add(slot)
                child = slot[0]
                total[child] += least
                waiting[child] -= 1
                if not waiting[child]:
                    heapq.heappush(heap, (total[child], child))
    return settled, paths_to


def _dislike(selector: str, prefer: Preference) -> bool:
    return {"definition": not selector, "content": bool(selector)}.get(prefer, False)


def _replace(draft: Draft, kept: list[Inputs]) -> None:
    """Take over inputs that are a part of those before, and count what went."""
    for before, after in zip(draft.inputs, kept, strict=True):
        for one, rest in zip(before, after, strict=True):
            stays = set(rest)
            gone = [link for link in one if link not in stays]
            draft.removed.pruned_links += len(gone)
            draft.removed.pruned_definitions += sum(bool(selector) for _, selector in gone)
    draft.inputs = kept


@dataclass(frozen=True, slots=True)
class _Alternative:
    """One link that may go."""

    item: int
    number: int
    link: tuple[int, str]
    cost: float
    """Logarithm of the calls that go through it."""
    bytes: int
    """What it takes in the document."""


def _removable(draft: Draft, keep: Callable[[tuple[int, str], float], tuple[object, ...]]) -> list[_Alternative]:
    """All links but for one of each input, that for which `keep` is least."""
    log_paths, log_calls = paths.logarithms(draft.acyclic())
    found = []
    for item, inputs in enumerate(draft.inputs):
        for number, one in enumerate(inputs):
            kept = min(one, key=lambda link: keep(link, log_paths[link[0]]))
            found += [
                _Alternative(item, number, link, log_paths[link[0]] + log_calls[item], _bytes(link))
                for link in one
                if link != kept
            ]
    return found


def _bytes(link: tuple[int, str]) -> int:
    """Bytes of a link in the document, with the comma that goes with it."""
    source, selector = link
    return len(f'{{"link":{source}}},') + (len(f'"selector":"{selector}",'.encode()) if selector else 0)


def _without(inputs: Sequence[Inputs], gone: Sequence[_Alternative]) -> list[Inputs]:
    out = {(one.item, one.number, one.link) for one in gone}
    return [
        [[link for link in one if (item, number, link) not in out] for number, one in enumerate(own)]
        for item, own in enumerate(inputs)
    ]


def to_calls(draft: Draft, limit: int, prefer: Preference) -> bool:
    """Remove alternatives that cost most, only until the loop check makes at most `limit` calls; whether it does.

    Links are ranked once by the calls through them; how many of them have to go is found by bisection, and those that
    turn out to be affordable after all are put back, cheapest first, in halving groups. Where no part of them is
    enough, the cheapest equal cache of `minimal` is taken, which may be enough or not.
    """

    def calls(gone: Sequence[_Alternative]) -> int:
        draft.inputs = _without(whole, gone)
        return paths.calls(draft.acyclic())

    whole = draft.inputs
    if calls([]) <= limit:
        return True
    ranked = _removable(draft, lambda link, cost: (round(cost, 6), _dislike(link[1], prefer)))
    ranked.sort(key=lambda one: (-round(one.cost, 6), not _dislike(one.link[1], prefer)))
    if calls(ranked) > limit:
        draft.inputs = whole
        minimal(draft, prefer)
        return paths.calls(draft.acyclic()) <= limit
    fewest, enough = 0, len(ranked)
    while fewest + 1 < enough:
        middle = (fewest + enough) // 2
        fewest, enough = (fewest, middle) if calls(ranked[:middle]) <= limit else (middle, enough)
    gone = _put_back(ranked[:enough], lambda rest: calls(rest) <= limit)
    draft.inputs = whole
    _replace(draft, _without(whole, gone))
    return True


MOST_TRIES = 64
"""How often a group of links is put back on trial."""


def _put_back(gone: list[_Alternative], fits: Callable[[list[_Alternative]], bool]) -> list[_Alternative]:
    pending = [gone[::-1]]
    out = set(range(len(gone)))
    place = {id(one): number for number, one in enumerate(gone)}
    for _ in range(MOST_TRIES):
        if not pending:
            break
        group = pending.pop()
        trial = out - {place[id(one)] for one in group}
        if fits([gone[number] for number in sorted(trial)]):
            out = trial
        elif len(group) > 1:
            half = len(group) // 2
            pending += [group[half:], group[:half]]
    return [gone[number] for number in sorted(out)]


def to_bytes(draft: Draft, excess: int, prefer: Preference) -> bool:
    """Remove as few alternatives as make the document `excess` bytes smaller; whether there were enough.

    The largest go first, since fewest are wanted; among those of nearly one size, the ones that cost most calls.
    """
    if excess <= 0:
        return True
    found = _removable(draft, lambda link, cost: (_bytes(link), _dislike(link[1], prefer), round(cost, 6)))
    by_size = _until(sorted(found, key=lambda one: (-one.bytes, -round(one.cost, 6))), excess)
    by_cost = _until(sorted(found, key=lambda one: (-((one.bytes + 8) // 16), -round(one.cost, 6))), excess)
    gone = by_cost if len(by_cost) * 100 <= len(by_size) * 102 else by_size
    _replace(draft, _without(draft.inputs, gone))
    return sum(one.bytes for one in gone) >= excess


def _until(ranked: Sequence[_Alternative], excess: int) -> list[_Alternative]:
    gone = []
    for one in ranked:
        if excess <= 0:
            break
        gone.append(one)
        excess -= one.bytes
    return gone


def drop_oldest(draft: Draft, fits: Callable[[], bool]) -> bool:
    """Give up leaf records, those with the oldest results first, until the draft fits; whether it does.

    A record becomes a leaf once all that is made from it went. How many have to go is found by bisection.
    """
    whole = (draft.digests, draft.inputs, draft.results, draft.chains, draft.rank)
    order = _leaves_first(draft)
    few, enough = 0, len(order)
    while few < enough:
        middle = (few + enough) // 2
        _keep(draft, whole, set(order[:middle]))
        few, enough = (few, middle) if fits() else (middle + 1, enough)
    _keep(draft, whole, set(order[:enough]))
    draft.removed.dropped_records = [whole[0][item] for item in order[:enough]]
    return fits() and enough < len(order)


def _leaves_first(draft: Draft) -> list[int]:
    """All items, each after its children, of those that can go the one with the oldest results first."""
    graph = draft.acyclic()
    waiting = list(map(len, graph.children))
    heap = [(_age(draft, item), item) for item, count in enumerate(waiting) if not count]
    heapq.heapify(heap)
    order = []
    while heap:
        _, item = heapq.heappop(heap)
        order.append(item)
        for source in graph.sources[item]:
            waiting[source] -= 1
            if not waiting[source]:
                heapq.heappush(heap, (_age(draft, source), source))
    return order


def _age(draft: Draft, item: int) -> tuple[str, str]:
    """The newest date of an item's results; an item without any is as old as can be."""
    dates = [created for created, _ in (*draft.results[item], *draft.chains[item])]
    return max(map(instant, dates), default=("", ""))


def _keep(draft: Draft, whole: tuple[Any, ...], gone: set[int]) -> None:
    digests, inputs, results, chains, rank = whole
    kept = [item for item in range(len(digests)) if item not in gone]
    number = {item: index for index, item in enumerate(kept)}
    draft.digests = [digests[item] for item in kept]
    draft.inputs = [[[(number[source], selector) for source, selector in one] for one in inputs[item]] for item in kept]
    draft.results = [results[item] for item in kept]
    draft.chains = [chains[item] for item in kept]
    draft.rank = [rank[item] for item in kept]
