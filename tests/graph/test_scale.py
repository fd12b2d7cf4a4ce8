"""Large documents with simple shapes: without recursion, counts match their closed forms."""

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
    """What `COPY --from` makes: the stage before, and a stage that is made from it by definition or by content."""
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
    survey = of(chain(count))
    assert survey.loop_check.exact
    assert survey.loop_check.middle.calls == count
    assert (survey.merged.size, survey.merged.links, survey.max_depth) == (count, count - 1, count - 1)
    assert [(hotspot.item, hotspot.calls) for hotspot in survey.hotspots[:3]] == [
        (0, count),
        (1, count - 1),
        (2, count - 2),
    ]
    assert not survey.walk.exact
    assert survey.walk.steps == pytest.approx(count * (count - 1) / 2, rel=0.1)


@pytest.mark.slow
def test_a_chain_that_is_written_from_its_end_to_its_root() -> None:
    """Sources come after what is made from them. Importers accept that, although the exporter never writes it."""
    count = 100_000
    links: list[Document] = [{"digest": f"{at}", "inputs": [[{"link": at + 1}]]} for at in range(count - 1)]
    survey = of([*links, {"digest": "root"}])
    assert survey.order == list(range(count))[::-1]
    assert (survey.loop_check.middle.calls, survey.max_depth) == (count, count - 1)


@pytest.mark.slow
def test_three_thousand_diamonds() -> None:
    """The count has three thousand bits. Python does not print so many decimal digits by default."""
    count = 3_000
    survey = of(diamonds(count))
    # paths to the k-th copy: L(0) = 1, L(k) = 2 L(k - 1) + 1; each diamond adds L(k - 1) + 1 + L(k) paths
    assert survey.loop_check.exact
    assert survey.loop_check.middle.calls == 6 * 2**count - count - 5
    assert survey.merged.size == 3 * count + 1
    assert survey.max_depth == 2 * count
    last = [hotspot for hotspot in survey.hotspots if hotspot.item == 3 * count]
    assert [hotspot.paths for hotspot in last] in ([2 ** (count + 1) - 1], [])


@pytest.mark.slow
def test_fifty_thousand_records_that_are_in_two_documents() -> None:
    count = 50_000
    survey = of(chain(count), chain(count))
    assert survey.merged.records == list(range(count))
    assert survey.merge.representative == [*range(count), *range(count)]
    assert survey.loop_check.proved
    assert survey.loop_check.middle.calls == count


@pytest.mark.slow
def test_a_hundred_thousand_copies_of_one_record() -> None:
    count = 50_000
    same: list[Document] = [{"digest": "same", "inputs": [[{"link": 0}]]} for _ in range(count)]
    survey = of([{"digest": "root"}, *same], [{"digest": "root"}, *same])
    assert (survey.merged.size, survey.merged.links, survey.loop_check.middle.calls) == (2, 1, 2)
    assert survey.loop_check.proved


@pytest.mark.slow
@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_copies_that_merge_along_a_chain_of_shared_alternatives(count: int) -> None:
    """Each copy shares one alternative with the next, so that all of them merge step by step."""
    roots: list[Document] = [{"digest": f"{at}"} for at in range(count + 1)]
    linked: list[Document] = [{"digest": "same", "inputs": [[{"link": at}, {"link": at + 1}]]} for at in range(count)]
    survey = of([*roots, *linked])
    assert survey.merge.complete
    assert (survey.merged.size, survey.merged.links) == (count + 2, count + 1)
    assert not survey.loop_check.proved


@pytest.mark.parametrize("count", [2_000, pytest.param(30_000, marks=pytest.mark.slow)])
def test_records_that_share_an_alternative_at_their_first_input_only(count: int) -> None:
    """Each has the children of the first alternative as candidates, and none of them is left at the second input.

    Three records more, whose order makes a difference, take care that the exporter is replayed.
    """
    records: list[Document] = [{"digest": f"{at}"} for at in range(count + 3)]
    records += [{"digest": "x", "inputs": [[{"link": 0}], [{"link": at + 1}]]} for at in range(count)]
    first, second = {"link": count + 1}, {"link": count + 2}
    ys: list[Document] = [{"digest": "y", "inputs": [links]} for links in ([first], [second], [first, second])]
    records += [*ys, {"digest": "z", "inputs": [[{"link": 2 * count + 3 + at} for at in range(3)]]}]
    survey = of(records)
    assert survey.loop_check.merged.size == len(records) - 1
    assert survey.merged.size == len(records) - 2


@pytest.mark.slow
def test_a_record_with_a_hundred_thousand_alternatives() -> None:
    count = 100_000
    roots: list[Document] = [{"digest": f"{at}"} for at in range(count)]
    survey = of([*roots, {"digest": "all", "inputs": [[{"link": at} for at in range(count)]]}])
    assert survey.loop_check.middle.calls == 2 * count
    assert (survey.merged.links, survey.max_depth) == (count, 1)
    assert (survey.hotspots[0].item, survey.hotspots[0].calls) == (count, count)


@pytest.mark.slow
def test_a_record_with_a_hundred_thousand_inputs() -> None:
    count = 100_000
    survey = of([{"digest": "root"}, {"digest": "all", "inputs": [[{"link": 0}] for _ in range(count)]}])
    assert (survey.merged.size, survey.merged.links, survey.loop_check.middle.calls) == (2, count, count + 1)


@pytest.mark.slow
def test_a_loop_of_fifty_thousand_records_with_a_way_in() -> None:
    count = 50_000
    looped: list[Document] = [{"digest": "1", "inputs": [[{"link": 0}, {"link": count}]]}]
    looped += [{"digest": f"{at + 1}", "inputs": [[{"link": at}]]} for at in range(1, count)]
    survey = of([{"digest": "root"}, *looped])
    ring = list(range(1, count + 1))
    assert [(loop.items, loop.links, loop.example) for loop in survey.loops] == [(ring, count, ring)]
    assert [loop.items for loop in survey.record_cycles] == [ring]
    assert survey.dead_records == 0
    # the way in is the only one, so the link that closes the ring is the only one that can go
    assert {(order.calls, order.links_removed) for order in survey.loop_check.orders} == {(count + 1, 1)}


@pytest.mark.slow
def test_a_loop_of_fifty_thousand_records_without_a_way_in() -> None:
    count = 50_000
    ring: list[Document] = [{"digest": f"{at}", "inputs": [[{"link": at or count}]]} for at in range(count)]
    survey = of([{"digest": "root"}, *ring])
    assert survey.dead_records == count
    assert [len(loop.items) for loop in survey.record_cycles] == [count]
    assert (survey.loops, survey.loop_check.middle.calls) == ([], 1)


@pytest.mark.slow
def test_two_towers_that_form_a_loop_together() -> None:
    """One document builds each record on the one before, the other on the one after. Each alone is clean."""
    count = 20_000

    def tower(order: list[int]) -> list[Document]:
        records: list[Document] = [{"digest": "root"}]
        for at, number in enumerate(order):
            before = [{"link": at}] if at else []
            records.append({"digest": f"{number}", "inputs": [[{"link": 0}, *before]]})
        return records

    numbers = list(range(count))
    survey = of(tower(numbers), tower(numbers[::-1]))
    assert survey.record_cycles == []
    assert survey.merged.size == count + 1
    assert survey.merged.links == count + 2 * (count - 1)
    assert [(len(loop.items), loop.links) for loop in survey.loops] == [(count, 2 * (count - 1))]
    assert all(order.links_removed >= count - 1 for order in survey.loop_check.orders)


def test_the_survey_refuses_counts_that_take_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of all records that lead to the last diamonds must be kept until they are used."""
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
