"""Large documents of simple shapes: they end, without recursion, in their closed forms."""

from __future__ import annotations

import pytest

from cachedoctor import errors
from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph import paths
from cachedoctor.graph.survey import Survey, survey
from tests.graph.reference import Document
from tests.support import decoded


def of(*documents: list[Document]) -> Survey:
    return survey([config(records) for records in documents])


def config(records: list[Document]) -> CacheConfig:
    return decoded({"records": records})


def chain(count: int) -> list[Document]:
    """Each record made from the one before."""
    links: list[Document] = [{"digest": f"{at + 1}", "inputs": [[{"link": at}]]} for at in range(count - 1)]
    return [{"digest": "0"}, *links]


def diamonds(count: int) -> list[Document]:
    """As `COPY --from` makes them: the stage before, and a stage made from it by definition or by content."""
    records: list[Document] = [{"digest": "root"}]
    for at in range(count):
        last = len(records) - 1
        records.append({"digest": f"run {at}", "inputs": [[{"link": last}]]})
        records.append({"digest": f"content {at}"})
        copied = [{"link": last + 1, "selector": "path"}, {"link": last + 2}]
        records.append({"digest": f"copy {at}", "inputs": [[{"link": last}], copied]})
    return records


@pytest.mark.slow
def test_a_chain_of_a_hundred_thousand() -> None:
    count = 100_000
    found = of(chain(count))
    assert found.loop_check.exact
    assert found.loop_check.middle.calls == count
    assert (found.merged.size, found.merged.links, found.max_depth) == (count, count - 1, count - 1)
    assert [(spot.item, spot.calls) for spot in found.hotspots[:3]] == [(0, count), (1, count - 1), (2, count - 2)]
    assert not found.walk.exact
    assert found.walk.steps == pytest.approx(count * (count - 1) / 2, rel=0.1)


@pytest.mark.slow
def test_a_chain_that_is_written_from_its_end_to_its_root() -> None:
    """Sources after what is made from them, as the exporter never writes it, but an importer takes it."""
    count = 100_000
    links: list[Document] = [{"digest": f"{at}", "inputs": [[{"link": at + 1}]]} for at in range(count - 1)]
    found = of([*links, {"digest": "root"}])
    assert found.order == list(range(count))[::-1]
    assert (found.loop_check.middle.calls, found.max_depth) == (count, count - 1)


@pytest.mark.slow
def test_three_thousand_diamonds() -> None:
    """The count has three thousand bits, and its decimal digits are more than Python prints by itself."""
    count = 3_000
    found = of(diamonds(count))
    # paths to the k-th copy: L(0) = 1, L(k) = 2 L(k - 1) + 1; each diamond adds L(k - 1) + 1 + L(k) paths
    assert found.loop_check.exact
    assert found.loop_check.middle.calls == 6 * 2**count - count - 5
    assert found.merged.size == 3 * count + 1
    assert found.max_depth == 2 * count
    last = [spot for spot in found.hotspots if spot.item == 3 * count]
    assert [spot.paths for spot in last] in ([2 ** (count + 1) - 1], [])


@pytest.mark.slow
def test_fifty_thousand_records_that_are_in_two_documents() -> None:
    count = 50_000
    found = of(chain(count), chain(count))
    assert found.merged.records == list(range(count))
    assert found.merge.representative == [*range(count), *range(count)]
    assert found.loop_check.proved
    assert found.loop_check.middle.calls == count


@pytest.mark.slow
def test_a_hundred_thousand_copies_of_one_record() -> None:
    count = 50_000
    same: list[Document] = [{"digest": "same", "inputs": [[{"link": 0}]]} for _ in range(count)]
    found = of([{"digest": "root"}, *same], [{"digest": "root"}, *same])
    assert (found.merged.size, found.merged.links, found.loop_check.middle.calls) == (2, 1, 2)
    assert found.loop_check.proved


@pytest.mark.slow
@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_copies_that_merge_along_a_chain_of_shared_alternatives(count: int) -> None:
    """Each shares one alternative with the next, so no two at first and all in the end are the same."""
    roots: list[Document] = [{"digest": f"{at}"} for at in range(count + 1)]
    linked: list[Document] = [{"digest": "same", "inputs": [[{"link": at}, {"link": at + 1}]]} for at in range(count)]
    found = of([*roots, *linked])
    assert found.merge.complete
    assert (found.merged.size, found.merged.links) == (count + 2, count + 1)
    assert not found.loop_check.proved


@pytest.mark.slow
def test_a_record_with_a_hundred_thousand_alternatives() -> None:
    count = 100_000
    roots: list[Document] = [{"digest": f"{at}"} for at in range(count)]
    found = of([*roots, {"digest": "all", "inputs": [[{"link": at} for at in range(count)]]}])
    assert found.loop_check.middle.calls == 2 * count
    assert (found.merged.links, found.max_depth) == (count, 1)
    assert (found.hotspots[0].item, found.hotspots[0].calls) == (count, count)


@pytest.mark.slow
def test_a_record_with_a_hundred_thousand_inputs() -> None:
    count = 100_000
    found = of([{"digest": "root"}, {"digest": "all", "inputs": [[{"link": 0}] for _ in range(count)]}])
    assert (found.merged.size, found.merged.links, found.loop_check.middle.calls) == (2, count, count + 1)


@pytest.mark.slow
def test_a_loop_of_fifty_thousand_records_with_a_way_in() -> None:
    count = 50_000
    entered: list[Document] = [{"digest": "1", "inputs": [[{"link": 0}, {"link": count}]]}]
    entered += [{"digest": f"{at + 1}", "inputs": [[{"link": at}]]} for at in range(1, count)]
    found = of([{"digest": "root"}, *entered])
    ring = list(range(1, count + 1))
    assert [(loop.items, loop.links, loop.example) for loop in found.loops] == [(ring, count, ring)]
    assert [loop.items for loop in found.record_cycles] == [ring]
    assert found.dead_records == 0
    # the way in is the only one, so the link that closes the ring is the only one that can go
    assert {(order.calls, order.links_removed) for order in found.loop_check.orders} == {(count + 1, 1)}


@pytest.mark.slow
def test_a_loop_of_fifty_thousand_records_without_a_way_in() -> None:
    count = 50_000
    ring: list[Document] = [{"digest": f"{at}", "inputs": [[{"link": at or count}]]} for at in range(count)]
    found = of([{"digest": "root"}, *ring])
    assert found.dead_records == count
    assert [len(loop.items) for loop in found.record_cycles] == [count]
    assert (found.loops, found.loop_check.middle.calls) == ([], 1)


@pytest.mark.slow
def test_two_towers_that_form_a_loop_together() -> None:
    """One document builds each record on the one before, the other on the one after; each of them is clean."""
    count = 20_000

    def tower(order: list[int]) -> list[Document]:
        records: list[Document] = [{"digest": "root"}]
        for at, number in enumerate(order):
            before = [{"link": at}] if at else []
            records.append({"digest": f"{number}", "inputs": [[{"link": 0}, *before]]})
        return records

    numbers = list(range(count))
    found = of(tower(numbers), tower(numbers[::-1]))
    assert found.record_cycles == []
    assert found.merged.size == count + 1
    assert found.merged.links == count + 2 * (count - 1)
    assert [(len(loop.items), loop.links) for loop in found.loops] == [(count, 2 * (count - 1))]
    assert all(order.links_removed >= count - 1 for order in found.loop_check.orders)


def test_the_survey_refuses_counts_that_take_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk from each record that leads to the last diamonds is held until those are counted."""
    count = 1_100
    records: list[Document] = [{"digest": "0"}]
    records += [{"digest": f"{at + 1}", "inputs": [[{"link": at}]]} for at in range(count)]
    records.append({"digest": "end", "inputs": [[{"link": at} for at in range(count)]]})
    records += [
        {"digest": f"end {at}", "inputs": [[{"link": count + at}], [{"link": count + at}]]} for at in range(1, count)
    ]
    monkeypatch.setattr(paths, "MOST_BITS_HELD", count * count // 2)
    with pytest.raises(errors.CountTooLarge):
        of(records)
