"""What importers of v0.25 to v0.32 lose, compared with captures of BuildKit and with a plain restatement."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.cacheconfig import decode
from cachedoctor.graph import leaves
from cachedoctor.graph.imports import Imported, Spread, _Importer, imported, losable
from cachedoctor.graph.records import Adjacency, Graph
from cachedoctor.graph.survey import Survey
from tests.graph.strategies import configs, documents
from tests.support import FIXTURES, decoded, record

EXPECTED: dict[str, Any] = json.loads((FIXTURES / "import.json").read_text())

Link = tuple[int, int, int, str]
"""Item, input, source, selector."""


def survey_of(*names: str) -> Survey:
    return Survey([decode((FIXTURES / name).read_bytes()) for name in names])


@pytest.mark.parametrize("case", EXPECTED)
def test_ranges_cover_what_buildkit_lost(case: str) -> None:
    """Within a factor of two at the fewest lost and a quarter elsewhere, and less than twice as wide."""
    want = EXPECTED[case]
    result = survey_of(*want["inputs"]).imported
    assert [result.leaves] * 2 == want["leaves"]
    assert [result.links] * 2 == want["links"]
    assert [result.records] * 2 == want["records"]
    for got, seen in ((result.links_lost, want["links_lost"]), (result.records_found, want["records_found"])):
        assert got.least <= got.typical <= got.most
        assert got.least <= seen[0] * (2 if got is result.links_lost else 1.25)
        assert got.most >= seen[1] * 0.75
        assert got.most - got.least <= 2 * (seen[1] - seen[0])


class Plain:
    """The walk of the importer, told plainly: which links it makes, and which it loses."""

    def __init__(self, graph: Graph, choose: random.Random) -> None:
        self.graph, self.choose = graph, choose
        self.stored: set[int] = set()
        self.kept: list[Link] = []
        self.lost: list[Link] = []

    def walk(self, order: Sequence[int]) -> None:
        for leaf in order:
            self.met: set[int] = set()
            self.before = set(self.stored)
            self.store(leaf)

    def store(self, item: int) -> None:
        self.stored.add(item)
        for number, alternatives in enumerate(self.graph.inputs(item)):
            self.choose.shuffle(alternatives)
            for source, selector in alternatives:
                link = (item, number, source, selector)
                if source in self.before and source in self.met:
                    self.lost.append(link)
                    continue
                self.met.add(source)
                self.kept.append(link)
                if source not in self.stored:
                    self.store(source)

    def found(self) -> int:
        """How many items can be derived from the links that were made."""
        derived: set[int] = set()
        while True:
            more = {item for item in range(self.graph.size) if item not in derived and self._derives(item, derived)}
            if not more:
                return len(derived)
            derived |= more

    def _derives(self, item: int, derived: set[int]) -> bool:
        inputs = range(self.graph.arity(item))
        made = {number for owner, number, source, _ in self.kept if owner == item and source in derived}
        return made == set(inputs)


def leaves_of(graph: Graph) -> list[int]:
    return [item for item in range(graph.size) if item not in graph.links]


def graph_of_import(docs: list[dict[str, Any]]) -> Graph:
    return Survey(configs(docs)).importable


@given(documents(most_records=12), st.integers(0, 1000))
def test_the_links_that_an_order_loses_do_not_depend_on_alternatives(docs: list[dict[str, Any]], seed: int) -> None:
    graph = graph_of_import(docs)
    orders, lost = leaves.by_loss(graph.adjacency, leaves_of(graph))
    assert lost == sorted(lost)
    for order, number in zip(orders[:: max(1, len(orders) // 5)], lost[:: max(1, len(lost) // 5)], strict=True):
        plain = Plain(graph, random.Random(seed))
        plain.walk(order)
        assert len(plain.lost) == number


@given(documents(most_records=12))
def test_few_leaves_give_the_ends_of_all_orders(docs: list[dict[str, Any]]) -> None:
    graph = graph_of_import(docs)
    ends = leaves_of(graph)
    result = imported(graph)
    if not 2 <= len(ends) <= 4:
        assert result.leaves == len(ends)
        return
    lost, found = set(), set()
    for order in itertools.permutations(ends):
        for seed in range(20):
            plain = Plain(graph, random.Random(seed))
            plain.walk(order)
            lost.add(len(plain.lost))
            found.add(plain.found())
    assert (result.links_lost.least, result.links_lost.most) == (min(lost), max(lost))
    assert min(found) <= result.records_found.least <= result.records_found.most <= max(found)
    assert result.links_lost.most > 0 or result.records_found.least == graph.size


@given(documents(most_records=12), st.integers(0, 1000))
def test_a_rough_replay_loses_as_many_links(docs: list[dict[str, Any]], seed: int) -> None:
    graph = graph_of_import(docs)
    order = leaves_of(graph)
    random.Random(seed).shuffle(order)
    plain = Plain(graph, random.Random(seed))
    plain.walk(order)
    lost = _Importer(graph, ()).roughly(order)
    assert len(lost) == len(set(lost)) == len(plain.lost)
    owners = list(graph.owners())
    by_source = Counter((graph.links[link], owners[link]) for link in lost)
    assert Counter(source for source, _ in by_source.elements()) == Counter(link[2] for link in plain.lost)


def two_walks() -> Graph:
    """A root with two steps below it that only one of two leaves needs: the importer loses one of the two links."""
    records = [record("root"), record("a", [0]), record("b", [0]), record("one", [1], [2]), record("two", [0])]
    return Survey([decoded({"layers": [], "records": records})]).merged.graph


def test_records_whose_last_link_is_lost_are_not_found() -> None:
    """If the walk from `two` comes first, it stores the root, and then `a` or `b` is not found, nor is `one`."""
    result = imported(two_walks())
    assert result == Imported(5, [3, 4], 5, Spread(0, 0, 1), Spread(3, 3, 5), 200)


def test_a_joining_record_saves_all_links() -> None:
    assert imported(two_walks(), [[3, 4]]) == Imported(5, [5], 5, Spread(0, 0, 0), Spread(5, 5, 5), 1)


def test_a_leaf_that_is_not_joined_loses_links_again() -> None:
    """The joining record is walked like any other leaf, but its own links do not count."""
    result = imported(two_walks(), [[4]])
    assert (result.ends, result.links, result.links_lost) == ([3, 5], 5, Spread(0, 0, 1))


@given(documents(cyclic=True, most_records=10))
def test_links_that_would_close_a_loop_are_left_out(docs: list[dict[str, Any]]) -> None:
    survey = Survey(configs(docs))
    graph = survey.importable
    _, cyclic = graph.adjacency.topological
    assert not cyclic
    derived: set[int] = set()
    for item in graph.adjacency.topological[0]:
        if all(any(source in derived for source, _ in links) for links in graph.inputs(item)):
            derived.add(item)
    assert len(derived) == graph.size or survey.record_cycles
    assert survey.loops or graph is survey.merged.graph


class AsWritten(random.Random):
    """Leaves the order of alternatives as it is."""

    def random(self) -> float:
        return 0.0

    def shuffle(self, x: Any) -> None:
        pass


@given(documents(most_records=12), st.data())
def test_a_replay_loses_the_links_that_the_plain_walk_loses(docs: list[dict[str, Any]], data: st.DataObject) -> None:
    """Also if a joining record links to only some of the leaves, or to other items."""
    graph = graph_of_import(docs)
    some = data.draw(st.lists(st.integers(0, graph.size - 1), max_size=4, unique=True))
    whole = Graph(
        [*graph.digests, "joining"],
        [*graph.input_start, len(graph.link_start)],
        [*graph.link_start, len(graph.links) + len(some)],
        [*graph.links, *some],
        [*graph.selectors, *[""] * len(some)],
    )
    order = data.draw(st.permutations(leaves_of(whole)))
    plain = Plain(whole, AsWritten())
    plain.walk(order)
    lost = _Importer(graph, [some]).replay(order, AsWritten())
    owners = list(whole.owners())
    got = Counter((owners[link], graph.links[link], graph.selectors[link]) for link in lost)
    assert got == Counter((link[0], link[2], link[3]) for link in plain.lost if link[0] < graph.size)


def test_two_tags_that_loop_together_are_imported_without_the_loop() -> None:
    result = survey_of("manifests/tag-a.json", "manifests/tag-b.json")
    assert result.loops
    assert result.imported.links < result.merged.links
    assert result.imported.leaves == 2


@given(documents(most_records=10), st.integers(0, 1 << 16))
def test_what_is_lost_can_be_lost(docs: list[dict[str, Any]], seed: int) -> None:
    graph = Survey(configs(docs)).importable
    order = leaves_of(graph)
    can_be_lost = losable(graph)
    for first in order:
        others = [leaf for leaf in order if leaf != first]
        random.Random(seed).shuffle(others)
        assert can_be_lost.issuperset(_Importer(graph, ()).replay([first, *others], random.Random(seed)))


def test_only_links_that_a_walk_can_meet_again_can_be_lost() -> None:
    """Of the links from the root of `two_walks`, those to `a` and `b`: the walk from `two` never goes there."""
    graph = two_walks()
    lost = {(graph.links[link], list(graph.owners())[link]) for link in losable(graph)}
    assert lost == {(0, 1), (0, 2)}
    assert not losable(graph, [[3, 4]])


def test_long_chains_and_many_leaves_are_replayed_once() -> None:
    depth = 50_000
    chain = [record("root"), *(record(f"step {index}", [index]) for index in range(depth))]
    ends = [record(f"leaf {index}", [depth - index], [index]) for index in range(100)]
    result = Survey([decoded({"layers": [], "records": [*chain, *ends]})]).imported
    assert (result.leaves, result.orders) == (100, 1)
    assert result.links_lost.least == result.links_lost.most


def test_orders_begin_with_each_leaf() -> None:
    orders = leaves.seeded([3, 5, 8], 6)
    assert [order[0] for order in orders] == [3, 5, 8, 3, 5, 8]
    assert all(sorted(order) == [3, 5, 8] for order in orders)


def test_more_leaves_cost_fewer_orders() -> None:
    """Every leaf has a step of its own and shares steps with all others, so that almost all sets of leaves differ."""
    count = 60
    sources: list[list[int]] = [[] for _ in range(count)]
    sources += [[index, (index * 7 + 1) % count] for index in range(count)]
    sources += [[count + index, count + (index * 11 + 3) % count] for index in range(count)]
    orders, lost = leaves.by_loss(Adjacency(sources), range(2 * count, 3 * count))
    assert 1 <= len(orders) == len(lost) <= leaves.MOST_ORDERS
