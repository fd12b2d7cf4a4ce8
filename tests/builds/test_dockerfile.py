"""Instructions in one line, without values."""

import pytest

from cachedoctor.builds.dockerfile import LONGEST_TEXT, Dockerfile, without_values


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        ("FROM a\nRUN b\n", (2, 2), "RUN b"),
        ("FROM a\r\nRUN b \\\r\n  && c\r\n", (2, 3), "RUN b && c"),
        ("RUN a \\\n# why\n\\\n  b\\\n", (1, 4), "RUN a b"),
        ("RUN <<EOF\nsecret\nEOF", (1, 3), "RUN <<EOF"),
        ("# escape=`\nRUN a\\ `\n b", (2, 3), "RUN a\\ b"),
        ("RUN a \\\nb\nRUN c", (1, 1), "RUN a"),
        ("RUN a", (2, 2), ""),
        ("  RUN\ta  b", (1, 1), "RUN a b"),
    ],
)
def test_an_instruction_is_joined(text: str, lines: tuple[int, int], expected: str) -> None:
    assert Dockerfile(text.encode()).instruction(*lines) == expected


def test_bytes_that_are_not_text_are_replaced() -> None:
    assert Dockerfile(b"RUN \xff").instruction(1, 1) == "RUN \ufffd"


def test_long_instructions_are_cut() -> None:
    text = Dockerfile(b"RUN " + b"x" * 10_000).instruction(1, 1)
    assert len(text) == LONGEST_TEXT
    assert text.endswith("...")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ENV A=secret", "ENV A"),
        ("env A secret and more", "env A"),
        ("ENV A=\"secret B=secret\" C='secret' D=sec\\ ret", "ENV A C D"),
        ('ENV A="secret', "ENV A"),
        ("ARG A=secret", "ARG A"),
        ('ARG A B="sec ret" C', "ARG A B C"),
        (
            "RUN docker build --build-arg A=secret --build-arg=B='sec ret' --build-arg C .",
            "RUN docker build --build-arg A --build-arg=B --build-arg C .",
        ),
        ("FROM a AS b", "FROM a AS b"),
    ],
)
def test_values_are_left_out(text: str, expected: str) -> None:
    assert without_values(text) == expected
    assert "secret" not in expected
