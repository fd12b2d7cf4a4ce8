"""Joining records: what is one, what only looks like one, and that nothing counts them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from cachedoctor.cacheconfig import decode
from cachedoctor.graph.joining import digest_of_joining, joining_records, with_joining, without_joining
from cachedoctor.graph.survey import Survey

_A, _B, _C = (f"sha256:{letter * 64}" for letter in "abc")


def _joined(**changes: Any) -> dict[str, Any]:
    """Two leaves of one root, and a record that joins them."""
    join = {"digest": digest_of_joining([_B, _C]), "inputs": [[{"link": 1}, {"link": 2}]]} | changes
    leaves = [{"digest": digest, "inputs": [[{"link": 0}]]} for digest in (_B, _C)]
    return {"layers": [{"blob": _A, "parent": -1}], "records": [{"digest": _A}, *leaves, join]}


def _survey(document: dict[str, Any]) -> Survey:
    return Survey([decode(orjson.dumps(document))])


def test_nothing_counts_a_joining_record() -> None:
    joined = _joined()
    plain = {**joined, "records": joined["records"][:-1]}
    with_it, without = _survey(joined), _survey(plain)
    assert with_it.joining == [[1, 2]]
    assert with_it.dead_records == 0
    assert with_it.merged.graph == without.merged.graph
    assert with_it.loop_check.orders == without.loop_check.orders
    assert (with_it.max_depth, with_it.walk, with_it.results) == (without.max_depth, without.walk, without.results)


def test_the_records_of_several_documents_are_told_apart() -> None:
    config = decode(orjson.dumps(_joined()))
    assert Survey([config, config]).joining == [[1, 2], [4, 5]]


def test_a_joining_record_is_added_and_removed() -> None:
    joined = decode(orjson.dumps(_joined()))
    plain = decode(orjson.dumps({**_joined(), "records": _joined()["records"][:-1]}))
    assert with_joining(plain, [1, 2]) == joined
    assert without_joining(joined) == plain == without_joining(plain)


def test_leaves_are_those_that_no_other_links_to() -> None:
    joined = _survey(_joined())
    assert joined.imported.leaves == 1
    assert _survey({**_joined(), "records": _joined()["records"][:-1]}).imported.leaves == 2
    more = _joined()["records"]
    assert _survey({"records": [*more[:-1], {"digest": _A.replace("a", "d")}, more[-1]]}).imported.leaves == 2


def test_the_digest_does_not_depend_on_the_order_of_leaves() -> None:
    assert digest_of_joining([_B, _C]) == digest_of_joining([_C, _B]) != digest_of_joining([_A, _C])


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": _A},
        {"inputs": [[{"link": 1}]]},
        {"inputs": [[{"link": 1}, {"link": 0}]]},
        {"inputs": [[{"link": 1, "selector": "x"}, {"link": 2}]]},
        {"inputs": [[{"link": 1}, {"link": 2}], [{"link": 1}]]},
        {"inputs": [[{"link": 1}, {"link": 9}]]},
        {"layers": [{"layer": 0, "createdAt": "2026-01-01T00:00:00Z"}]},
        {"chains": [{"layers": [0], "createdAt": "2026-01-01T00:00:00Z"}]},
        {"inputs": None},
    ],
)
def test_what_only_resembles_one_is_a_record_like_any_other(changes: dict[str, Any]) -> None:
    assert not joining_records(decode(orjson.dumps(_joined(**changes))))


def test_a_record_that_others_are_made_from_joins_nothing() -> None:
    document = _joined()
    document["records"][1]["inputs"] = [[{"link": 0}, {"link": 3}]]
    assert not joining_records(decode(orjson.dumps(document)))


def test_a_survey_can_be_used_again_for_other_joining_records() -> None:
    joined = decode(orjson.dumps(_joined()))
    plain = Survey([without_joining(joined)])
    assert plain.imported.leaves == 2
    again = plain.rejoined([joined])
    assert again is not None
    assert again.merged is plain.merged
    assert (again.joining, again.imported) == (Survey([joined]).joining, Survey([joined]).imported)
    assert plain.imported.leaves == 2
    records = [*_joined()["records"][:-1], {"digest": _A, "inputs": [[{"link": 1}]]}]
    assert plain.rejoined([decode(orjson.dumps({"layers": [], "records": records}))]) is None


def test_imitations_at_the_end_are_joining_records_too() -> None:
    """Nothing can tell which of them `repair` wrote. One that an earlier record links to is a record like any other."""
    *records, join = _joined()["records"]
    outer = {"digest": digest_of_joining([join["digest"], _A]), "inputs": [[{"link": 3}, {"link": 0}]]}
    plain = decode(orjson.dumps({**_joined(), "records": records}))
    for imitations in ([join], [join, join], [join, outer], [join, outer, join]):
        config = decode(orjson.dumps({**_joined(), "records": [*records, *imitations]}))
        assert joining_records(config) == range(3, 3 + len(imitations))
        assert without_joining(config) == plain
    nested = _survey({**_joined(), "records": [*records, join, outer]})
    assert nested.joining == [[1, 2], [0]]
    records[1]["inputs"] = [[{"link": 0}, {"link": 4}]]
    config = decode(orjson.dumps({**_joined(), "records": [*records, join, join, join]}))
    assert joining_records(config) == range(5, 6)
