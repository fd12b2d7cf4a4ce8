"""What a cause is: its facts, the functions that show it, and what it says of the evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from cachedoctor.diagnosis.phases import Phase

if TYPE_CHECKING:
    from cachedoctor.diagnosis.seen import Seen
    from cachedoctor.pprof.goroutines import Goroutine

Outcome = Literal["ends", "never", "dead", "unknown"]
"""How it goes on if nobody does anything."""


class Question(IntEnum):
    """What is asked of the evidence, in this order: the first question with an answer gives the main cause."""

    DEAD = 0
    """Is the daemon dead?"""
    CLIENT = 1
    """Is this the client, not the daemon?"""
    GRAPH = 2
    """Does something walk the graph of cache keys, or make too much of a build?"""
    DEADLOCK = 3
    """Do goroutines wait for each other?"""
    EXPORT = 4
    """What else keeps a cache export busy?"""
    TIME = 5
    """Where else does the time go?"""
    LIMIT = 6
    """Is a limit of the daemon used up?"""
    STEP = 7
    """Does a step of a build run?"""
    WAIT = 8
    """What do builds wait for?"""
    RUNNING = 9
    """What is running?"""
    MEMORY = 10
    """What holds the memory?"""


class Signature(NamedTuple):
    """A function that shows a cause, whatever its leaf is busy with."""

    function: str
    """A regular expression for the function's name."""
    doing: str
    """What it does, such as `recomputing digests`."""
    leaf: str = ""
    """A function nearer to the leaf that must match, if any."""
    root: str = ""
    """A function nearer to the root that must match, if any."""
    unless: str = ""
    """No function nearer to the root may match this."""
    running: bool = False
    """Whether it counts only in goroutines that are not waiting."""
    fixed_in: str = ""
    """The releases that fixed it, empty if unknown."""
    affects: str = ""
    """The releases it occurs in, if not those of its cause."""
    what: str = ""
    """What it means, if not what its cause says."""
    ends: str = ""
    outcome: Outcome | None = None
    now: tuple[str, ...] = ()
    for_good: tuple[str, ...] = ()
    title: str = ""

    def shows(self, stack: Sequence[str], at: int) -> bool:
        """Whether the function at this place of a stack, which begins with the leaf, shows it."""
        return (
            matches(self.function, stack[at])
            and (not self.leaf or any(matches(self.leaf, name) for name in stack[:at]))
            and (not self.root or any(matches(self.root, name) for name in stack[at + 1 :]))
            and not (self.unless and any(matches(self.unless, name) for name in stack[at + 1 :]))
        )


@cache
def matches(pattern: str, function: str) -> bool:
    """Whether a function's name matches; each name is searched once, however many stacks it is in."""
    return re.search(pattern, function) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What the evidence says for a cause. What is `None` or empty is as the cause has it."""

    question: Question
    observation: str
    """What was seen, in a sentence or two."""
    share: float | None = None
    """The share of the CPU time, or of the exports in a dump."""
    evidence: tuple[str, ...] = ()
    """Lines of the input that show it."""
    title: str = ""
    what: str | None = None
    affects: str = ""
    ends: str = ""
    outcome: Outcome | None = None
    fixed_in: str = ""
    now: tuple[str, ...] = ()
    for_good: tuple[str, ...] = ()

    def by(self, signature: Signature) -> Match:
        """The same with the facts of the signature that was seen."""
        return replace(
            self,
            title=signature.title or self.title,
            what=signature.what or self.what,
            affects=signature.affects or self.affects,
            ends=signature.ends or self.ends,
            outcome=signature.outcome or self.outcome,
            fixed_in=signature.fixed_in or self.fixed_in,
            now=signature.now or self.now,
            for_good=signature.for_good or self.for_good,
        )


Refine = Callable[["Seen", Signature, Sequence["Goroutine"], Match], Match | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One cause, as its file declares it."""

    name: str
    """The word of the contract, such as `loop-check`."""
    title: str
    """The cause in a line."""
    affects: str
    """The releases it occurs in."""
    what: str
    ends: str
    """Whether it ends by itself."""
    outcome: Outcome
    now: tuple[str, ...]
    """What to do right away."""
    for_good: tuple[str, ...]
    """What to do so that it does not come back."""
    fixed_in: str = ""
    """The releases that fixed it; empty if none did, or not all of it."""
    phase: Phase | None = None
    """The phase that takes most of the time."""
    signatures: tuple[Signature, ...] = ()
    """Functions that show it; the one nearest to the leaf decides between causes, and comes before a phase."""
    question: Question = Question.WAIT
    """The question that a goroutine with such a function answers."""
    graph_work: bool = False
    """Whether it is work on the graph of cache keys: an export uses one core for it, however many there are."""
    holds_others: bool = False
    """Whether one export does it while others wait for it."""
    leaf: bool = False
    """Whether its phase is that of leaves, so that a cause above them comes before it."""
    refine: Refine | None = None
    """What it adds to a match of one of its signatures; it returns `None` if that is not a match after all."""
    find: Callable[[Seen], Iterable[Match]] | None = None
    """What else shows it."""


class Answer(NamedTuple):
    """A cause and what the evidence says for it."""

    cause: Cause
    match: Match
