"""The page of limits lists every limit, with the messages in the source."""

from __future__ import annotations

import re

import pytest

from tools import limits

SOURCE = re.sub(r'"\s*\n\s*f?"', "", " ".join(path.read_text() for path in limits.PACKAGE.rglob("*.py")))
"""All modules, with the parts of each long message joined."""
MESSAGES = [
    (name, message)
    for rows in limits.LIMITS.values()
    for name, (_, past_it, _) in rows.items()
    for message in re.findall("`([^`]*)`", past_it)
    if limits.CONSTANT.fullmatch(name) and not re.fullmatch(r"count|-v|--\w+", message)
]
"""Each limit of our own, with the message beyond it."""


@pytest.mark.slow
def test_a_limit_that_is_not_listed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dict(limits.LIMITS["caches"])
    del rows["sources.json.MOST_VALUES"]
    monkeypatch.setattr(limits, "LIMITS", {**limits.LIMITS, "caches": rows})
    with pytest.raises(ValueError, match=r"does not list sources\.json\.MOST_VALUES"):
        limits.limits("profiles")


def test_a_limit_that_does_not_exist_is_noticed() -> None:
    for name in ("sources.json.MOST_THINGS", "sources.things.MOST_VALUES"):
        with pytest.raises(ValueError, match="which does not exist"):
            limits.value(name)


def test_what_is_not_listed_exists() -> None:
    assert limits.constants() >= limits.NOT_LISTED
    assert len(MESSAGES) > 40


@pytest.mark.parametrize(("name", "message"), MESSAGES, ids=lambda value: value)
def test_messages_are_those_of_the_source(name: str, message: str) -> None:
    longest = max(re.split(r"…|\{limit\}|\d[\d,]*", message), key=len).strip()
    assert longest in SOURCE, name


def test_numbers_of_messages_come_from_the_source() -> None:
    numbers = {number for _, message in MESSAGES for number in re.findall(r"(?<![\w-])\d[\d,]*(?!\w)", message)}
    # A status code, and a limit that the message gives in MiB.
    assert numbers <= {"503", "256"}
