"""Prefixes, values, escapes: what is around the lines of a text."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.io import wrappings
from cachedoctor.io.wrappings import unwrapped

MARKS = re.compile(r"MARK \w+|(?P<weak>WEAK)")
TEXT = ["MARK one", "  weaker", "", "MARK two", "no mark"]


def of(lines: list[str]) -> list[str]:
    return unwrapped("\n".join(lines), MARKS)


def test_plain_text_stays_as_it_is() -> None:
    assert of(TEXT) == TEXT


def test_prefix_is_learned_from_marks_and_taken_off_all_lines() -> None:
    assert of([f"12:0{at} host[7]: {line}" for at, line in enumerate(TEXT)]) == TEXT


def test_line_that_has_nothing_but_its_prefix() -> None:
    assert of([f"12:0{at} host: {line}".rstrip() for at, line in enumerate(TEXT)]) == TEXT


def test_line_with_another_beginning_stays_as_it_is() -> None:
    lines = [f"12:0{at} host: {line}" for at, line in enumerate(TEXT)]
    assert of(["see below", *lines]) == ["see below", *TEXT]


def test_words_that_never_differ_belong_to_the_prefix() -> None:
    lines = [f"web {line}" for line in TEXT]
    assert of([*lines, "two words"]) == [*TEXT, "two words"]


def test_weak_marks_teach_nothing() -> None:
    lines = ["MARK a", "MARK b", "x1 WEAK", "x2 WEAK", "x3 WEAK"]
    assert of(lines) == lines


def test_border_of_a_table_is_taken_off_both_ends() -> None:
    assert of([f"| {at} | {line} |" for at, line in enumerate(TEXT)]) == TEXT


@pytest.mark.parametrize("key", ["log", "msg"])
def test_json_in_json(key: str) -> None:
    inner = [json.dumps({"a": at, key: line}) for at, line in enumerate(TEXT)]
    assert of([json.dumps({"message": line, "time": "1"}) for line in inner]) == TEXT


def test_line_without_the_value_stays_as_it_is() -> None:
    lines = [json.dumps({"log": line}) for line in TEXT]
    assert of([*lines, '{"other": "x"}', "{broken"]) == [*TEXT, '{"other": "x"}', "{broken"]


def test_escapes_stay_where_they_show_no_more() -> None:
    lines = ["MARK C:\\new", "MARK a#011b", "MARK a &amp b", "x", "y", "z"]
    assert of(lines) == lines


def test_containers_that_take_turns_follow_each_other() -> None:
    lines = [f"pod-{name} | {line}" for line in TEXT for name in ("abc", "xyz")]
    assert of(lines) == [*TEXT, "", *TEXT, ""]


def test_a_time_is_no_container() -> None:
    lines = [f"Jun {day:2} 2{at % 2}:00:00 host: {line}" for day in (9, 10) for at, line in enumerate(TEXT)]
    assert of(lines) == [*TEXT, *TEXT]


def test_number_of_streams_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrappings, "MOST_STREAMS", 2)
    lines = [f"pod-{name} | {line}" for line in TEXT for name in ("abc", "mno", "xyz")]
    assert len(of(lines)) == 3 * len(TEXT)


def test_large_document_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps([["1", line] for line in TEXT], indent=1)
    assert unwrapped(text, MARKS) == TEXT
    monkeypatch.setattr(wrappings, "LARGEST_JSON", 10)
    assert unwrapped(text, MARKS) != TEXT


@given(st.text(alphabet='MARK a1[]:{}"\\n\t#0&;<>|. \n', max_size=300))
def test_any_text_can_be_unwrapped(text: str) -> None:
    for marks in (MARKS, re.compile("(?!)"), re.compile("")):
        assert len(unwrapped(text, marks)) <= 2 * len(text) + 1
