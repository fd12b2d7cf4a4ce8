"""Screens show what a command prints, and mark what they leave out."""

from __future__ import annotations

import pytest

from tools.screens import screen

COMMAND = "analyze fixtures/manifests/chain-16.json"


def lines(text: str) -> list[str]:
    """The lines of a block, without the blank lines around it."""
    assert text.startswith("\n```console\n")
    assert text.endswith("```\n\n")
    return text.strip("\n").splitlines()[1:-1]


def test_without_parts_shows_everything() -> None:
    shown = lines(screen(COMMAND))
    assert shown[0] == f"$ cachedoctor {COMMAND}"
    assert "This cache is fine." in shown[1]
    assert "Graph" in shown
    assert "…" not in shown


def test_shows_paragraphs_and_marks_gaps() -> None:
    everything = lines(screen(COMMAND))
    shown = lines(screen(COMMAND, "", "Graph"))
    headline = everything[: everything.index("")]
    graph = everything[everything.index("Graph") :]
    assert shown == [*headline, "…", *graph[: graph.index("")], "…"]


def test_neighbors_have_no_mark_between_them() -> None:
    everything = lines(screen(COMMAND))
    shown = lines(screen(COMMAND, "Graph", "Read"))
    assert shown == [everything[0], "…", *everything[everything.index("Graph") :]]


def test_a_part_can_end_before_a_line() -> None:
    assert lines(screen(COMMAND, ("Graph", "links")))[2:5] == ["Graph", "  records        36", "…"]


def test_a_second_block_can_start_with_a_part() -> None:
    assert lines(screen(COMMAND, "Read", again=True))[0] == "Read"


def test_a_part_that_is_not_printed_is_an_error() -> None:
    with pytest.raises(ValueError, match="no line starts with 'Graphs'"):
        screen(COMMAND, "Graphs")
    with pytest.raises(ValueError, match="no line starts with 'Graph'"):
        screen(COMMAND, "Read", "Graph")
