"""Foreign text, and what an unknown word was meant to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor import suggest, text


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ("a/b:c", "a/b:c"),
        ("two words", "'two words'"),
        ("it's", "'it'\"'\"'s'"),
        ("\x1b[2J", "'\\u{1b}[2J'"),
        ("", "''"),
        ("-x.json", "./-x.json"),
        ("-", "-"),
    ],
)
def test_an_argument_can_be_pasted(given: str, word: str) -> None:
    assert text.argument(given) == word


@given(st.text())
def test_printable_leaves_nothing_that_steers(foreign: str) -> None:
    shown = text.printable(foreign)
    assert shown.isprintable() or all(letter.isprintable() or letter.isspace() for letter in shown)
    assert not set(shown) & {"\x1b", "\n", "\r", "\x9b", "\u202e", "\u2028", "\u2066", "\u200b"}


def test_printable_keeps_letters() -> None:
    assert text.printable("RUN echo grüße 漢字 [bold]") == "RUN echo grüße 漢字 [bold]"


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("max_second", ["max-calls", "max-seconds"], "max-seconds"),
        ("CD205", ["CD105", "CD201"], "CD201"),
        ("", ["a", "b"], "a"),
    ],
)
def test_the_nearest_word(word: str, known: list[str], expected: str) -> None:
    assert suggest.nearest(word, known) == expected


def test_a_source_without_its_digest() -> None:
    assert text.unpinned(f"docker://h:5000/app:x@sha256:{'a' * 64}") == "docker://h:5000/app:x"
    for plain in ("docker://h/app:x", "user@host.json", "@sha256:abc", ""):
        assert text.unpinned(plain) == plain


def test_a_word_that_is_near_none_gets_all_of_them() -> None:
    assert suggest.meant("max_second", ["max-calls", "max-seconds"]) == "did you mean max-seconds?"
    assert suggest.meant("foo", ["format", "names"]) == "expected one of format, names"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("::error::x", ": :error::x"),
        ("a\n \t::error::x", "a\n \t: :error::x"),
        ("a ##[error]b", "a ## [error]b"),
        ("###[error]", "### [error]"),
        ("a::b #[c] ## d", "a::b #[c] ## d"),
    ],
)
def test_inert_text_has_no_commands(given: str, expected: str) -> None:
    assert text.inert(given) == expected


def test_a_long_word_is_compared_by_its_beginning() -> None:
    assert suggest.meant("max-second" + "s" * 1_000_000, ["max-calls", "max-seconds"]).startswith("expected one of")
    assert suggest.nearest("max-second" * 100_000, ["tag", "max-seconds"]) == "max-seconds"


@pytest.mark.parametrize(
    ("given", "most", "expected"),
    [("abcdefghi", 9, "abcdefghi"), ("abcdefghij", 9, "abc...hij"), ("", 9, ""), ("x" * 10**6, 7, "xx...xx")],
)
def test_cut(given: str, most: int, expected: str) -> None:
    assert text.cut(given, most) == expected
