"""Small random cache configs that merge a lot: few digests, and later documents that resemble earlier ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph.merge import fixpoint
from cachedoctor.graph.quotient import MergedGraph, quotient
from cachedoctor.graph.records import Graph, build, reachable
from tests.graph.reference import Document
from tests.support import decoded

Ranked = tuple[str, list[list[tuple[int, str]]]]
"""A digest and inputs. Sources are ranks, in the order of dependence instead of that of the document."""

_BYTES = 400


class Shape:
    """Makes small choices from bytes, which shrink well, and from zeros after their end."""

    def __init__(self, data: bytes, *, cyclic: bool, empty: bool, most_orders: float) -> None:
        self._bytes = iter(data)
        self._cyclic = cyclic
        self._empty = empty
        self._orders = most_orders

    def below(self, count: int) -> int:
        """A number from 0 to `count` - 1."""
        return next(self._bytes, 0) % count

    def document(self, most_records: int, alike: Sequence[Ranked]) -> tuple[Document, list[Ranked]]:
        """A document, which may resemble another ranked_record, and its records by rank."""
        count = 1 + self.below((3, 6, most_records)[self.below(3)] if most_records > 6 else most_records)
        letters = "ABCDEFGHIJKLMNOP"[: (1, 2, 3, 4, 8, 16)[self.below(6)]]
        selectors = ("", "s", "t")[: 1 + self.below(3)]
        follow = alike[: count * self.below(2)]
        change = (2, 8, 1000)[self.below(3)]
        tidy = self.below(3)
        ranked: list[Ranked] = []
        for rank in range(count):
            if rank < len(follow) and self.below(4):
                ranked_record = copy.deepcopy(follow[rank])
                if ranked_record[1] and not self.below(change):
                    links = ranked_record[1][self.below(len(ranked_record[1]))]
                    if links:
                        links[self.below(len(links))] = self._link(rank, count, selectors)
            elif ranked and not self.below(4):
                ranked_record = copy.deepcopy(ranked[self.below(len(ranked))])
            else:
                inputs = self._inputs(rank, count, selectors)
                ranked_record = (letters[self.below(len(letters))] + (f"{len(inputs)}" if tidy else ""), inputs)
            ranked.append(self._within(ranked_record, rank, count))
        place = list(range(count))
        for rank in range(count - 1, 0, -1):
            other = self.below(rank + 1)
            place[rank], place[other] = place[other], place[rank]
        records: list[Document] = [{} for _ in ranked]
        for rank, (digest, inputs) in enumerate(ranked):
            shown = [[_shown(place[source], selector) for source, selector in links] for links in inputs]
            records[place[rank]] = {"digest": digest, "inputs": shown} if shown else {"digest": digest}
        return {"records": records}, ranked

    def _inputs(self, rank: int, count: int, selectors: Sequence[str]) -> list[list[tuple[int, str]]]:
        if not rank and not self._cyclic:
            return []
        return [
            [self._link(rank, count, selectors) for _ in range(1 + self.below(3))]
            for _ in range((1, 0, 1, 1, 2, 2, 3)[self.below(7)])
        ]

    def _link(self, rank: int, count: int, selectors: Sequence[str]) -> tuple[int, str]:
        back = self._cyclic and not self.below(4)
        source = self.below(count) if back or not rank else self.below(rank)
        return source, selectors[self.below(len(selectors))]

    def _within(self, ranked_record: Ranked, rank: int, count: int) -> Ranked:
        """The record with allowed links only, few enough orders, and empty inputs if they are wanted."""
        digest, inputs = ranked_record
        kept_inputs = []
        for links in inputs:
            kept = [link for link in dict.fromkeys(links) if link[0] < (count if self._cyclic else rank)]
            while math.factorial(len(kept)) > self._orders:
                kept.pop()
            self._orders /= math.factorial(len(kept))
            if self._empty and not self.below(10):
                kept = []
            if kept or self._empty:
                kept_inputs.append(kept)
        return digest, kept_inputs


def _shown(source: int, selector: str) -> dict[str, Any]:
    return {"selector": selector, "link": source} if selector else {"link": source}


def shaped(
    data: bytes,
    *,
    cyclic: bool = False,
    empty: bool = False,
    most_records: int = 12,
    most_documents: int = 3,
    most_orders: float = math.inf,
) -> list[Document]:
    """Cache configs made from bytes, without cycles and empty inputs unless they are wanted."""
    shape = Shape(data, cyclic=cyclic, empty=empty, most_orders=most_orders)
    documents = []
    ranked: list[Ranked] = []
    for _ in range(1 + shape.below(most_documents)):
        document, ranked = shape.document(most_records, ranked)
        documents.append(document)
    return documents


def documents(
    *,
    cyclic: bool = False,
    empty: bool = False,
    most_records: int = 12,
    most_documents: int = 3,
    most_orders: float = math.inf,
) -> st.SearchStrategy[list[Document]]:
    """One to three cache configs of ranked_record to twelve records."""
    return st.binary(min_size=_BYTES, max_size=_BYTES).map(
        lambda data: shaped(
            data,
            cyclic=cyclic,
            empty=empty,
            most_records=most_records,
            most_documents=most_documents,
            most_orders=most_orders,
        )
    )


def configs(docs: Sequence[Document]) -> list[CacheConfig]:
    """The documents decoded."""
    return [decoded(doc) for doc in docs]


def graph_of(docs: Sequence[Document]) -> Graph:
    """The graph of some documents."""
    return build(configs(docs))


def partition_of(merged: MergedGraph) -> list[int]:
    """The smallest record of each record's item. Dead records stay alone."""
    return [merged.records[item] if item >= 0 else record for record, item in enumerate(merged.item_of)]


def merged_of(docs: Sequence[Document]) -> MergedGraph:
    """The graph of some documents at its fixpoint."""
    graph = graph_of(docs)
    order = reachable(graph).order
    return quotient(graph, order, fixpoint(graph, order).representative)
