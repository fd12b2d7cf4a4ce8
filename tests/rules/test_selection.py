"""Which rules run, and what counts as worse."""

from __future__ import annotations

import pytest

from cachedoctor.rules import RULES, Measure, Severity
from cachedoctor.rules.registry import chosen, grown

ALL = tuple(rule.id for rule in RULES)


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        ([], [], ALL),
        (["CD2"], [], ("CD201", "CD202", "CD203", "CD204")),
        (["cd201", "Path-Explosion", "CD30"], ["CD301", "missing-blob"], ("CD201", "CD302", "CD304")),
        ([], ["CD1", "CD2", "CD4"], ("CD301", "CD302", "CD303", "CD304")),
        (["CD"], [], ALL),
    ],
)
def test_rules_are_named_by_id_name_or_beginning(
    select: list[str], ignore: list[str], expected: tuple[str, ...]
) -> None:
    assert chosen(select, ignore) == expected


@pytest.mark.parametrize(
    ("word", "meant"),
    [("CD205", "CD20"), ("path-explosoin", "path-explosion"), ("merge_loop", "merge-loop")],
)
def test_an_unknown_word_gets_the_nearest_name(word: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"names no rule; did you mean {meant}"):
        chosen([word], [])
    with pytest.raises(ValueError, match="names no rule"):
        chosen([], [word])


def test_a_word_that_is_close_to_nothing_gets_the_list() -> None:
    for word in ("", "security"):
        with pytest.raises(ValueError, match="names no rule; expected one of CD101, config-too-large, CD102"):
            chosen([word], [])


def test_selecting_no_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="no rule is left"):
        chosen(["CD101"], ["CD1"])


@pytest.mark.parametrize(
    ("now", "before", "exact", "expected"),
    [
        (100, 100, True, False),
        (101, 100, True, True),
        (99, 100, True, False),
        (105, 100, False, False),
        (106, 100, False, True),
        (1, 0, False, True),
        (10**400 + 1, 10**400, True, True),
    ],
)
def test_numbers_grow(now: int, before: int, exact: bool, expected: bool) -> None:
    assert grown(Measure("calls", now, exact), Measure("calls", before)) is expected
    assert grown(Measure("calls", now), Measure("calls", before, exact)) is expected


def test_severities_are_words_with_an_order() -> None:
    words = ["note", "warning", "error"]
    assert [str(severity) for severity in Severity] == list(Severity) == words
    for first in Severity:
        for second in words:
            places = words.index(first), words.index(second)
            assert (first < second, first <= second) == (places[0] < places[1], places[0] <= places[1])
            assert (first > second, first >= second) == (places[0] > places[1], places[0] >= places[1])
            assert (first == second) == (places[0] == places[1])
