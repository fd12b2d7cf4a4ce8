"""What the records of builds add to pages: lines of the Dockerfile, and which steps will hit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.builds.hits import Hit, Hits, Reason, State
from cachedoctor.builds.known import Known, line, step_in_words
from cachedoctor.numbers import count, listing, plural
from cachedoctor.report.page import Foreign, Line, Listing, Table, Tone
from cachedoctor.text import cut, printable

if TYPE_CHECKING:
    from cachedoctor.builds.build import Build
    from cachedoctor.builds.doubling import Doubling

HOW = (
    "To see the lines of the Dockerfile, add --build FILE with the record of the build: docker buildx history export "
    "-o build.dockerbuild, or on GitHub: gh run download RUN --pattern '*.dockerbuild'"
)
"""How to get names where there are none, in one line."""
MOST_STEPS = 20
"""Steps that are shown unless every detail is asked for."""
_TEXT = 72
"""Letters of an instruction in a table."""
_OUTCOMES = (
    (State.HIT, "will hit", "will hit"),
    (State.MISS, "will miss", "will miss"),
    (State.UNKNOWN, "depends on content", "depend on content"),
)


def hint(known: Known) -> Listing:
    """How to get the names of steps, if no build was given."""
    return Listing("Which lines are these?", [] if known.builds else [HOW])


def headline(known: Known, *, refused: bool = False) -> list[Line]:
    """What will become of the steps of each build, and which builds name nothing.

    `refused` says that BuildKit does not import the cache, so no step finds it.
    """
    when = "Once it can be imported: " if refused else ""
    lines = [Line(f"{when}{totals(hits, known)}", _tone(hits)) for hits in known.hits]
    return [*lines, *strangers(known)]


def totals(hits: Hits, known: Known) -> str:
    """How many steps are in each state: `Of 12 steps, 7 will hit, 3 miss, 2 depend on content.`"""
    parts = [
        f"{count(number)} {words if number > 1 else word}"
        for state, word, words in _OUTCOMES
        if (number := hits.count(state))
    ]
    if not parts:
        return f"None of the steps{_which(hits.build, known)} can be looked up in this cache."
    return f"Of {plural(len(hits.steps), 'step')}{_which(hits.build, known)}, {listing(parts)}."


def _which(build: int, known: Known) -> str:
    """Which build is meant, if there are several."""
    if len(known.builds) < 2:
        return ""
    return f" of {_name(known.builds[build])}"


def _name(build: Build) -> str:
    parts = ", ".join(printable(part) for part in (build.target, build.platform) if part)
    return f"{printable(build.source)} ({parts})" if parts else printable(build.source)


def _tone(hits: Hits) -> Tone:
    return Tone.WARNING if hits.count(State.MISS) else Tone.PLAIN


def strangers(known: Known) -> list[Line]:
    """The builds that name nothing of the caches."""
    return [
        Line(
            f"{_name(build)} names none of the {plural(known.records, 'record')}"
            f"{' for sure' if known.named(number) else ''}: it records another build, or a different Dockerfile.",
            Tone.WARNING,
        )
        for number, build in enumerate(known.builds)
        if known.records and not known.named(number, sure=True)
    ]


def doublings(known: Known) -> Table:
    """The lines that double paths, and what would be left without each, or if it copied from elsewhere."""
    rows = [
        (
            Foreign(cut(step_in_words(known.step(doubling.place)), _TEXT)),
            count(doubling.calls),
            Foreign(_instead(doubling, known)),
        )
        for doubling in known.doublings
    ]
    heads = ("line", "checks without it", "copy instead")
    width = 3 if any(row[2] for row in rows) else 2
    return Table("Where paths double", heads[:width], [row[:width] for row in rows], frozenset({1}))


def _instead(doubling: Doubling, known: Known) -> str:
    """Where the same file could come from."""
    instead = doubling.instead
    if instead is None:
        return ""
    runs = f", unless {plural(len(instead.runs), 'step')} between change it" if instead.runs else ""
    source = step_in_words(known.step(instead.place))
    return cut(f"{instead.path} from {source}: {plural(instead.calls, 'check')}{runs}", 2 * _TEXT)


def misses(known: Known) -> list[Listing]:
    """For each build, the first step that misses and why."""
    return [_first_miss(hits, known.builds[hits.build], _which(hits.build, known)) for hits in known.hits]


def steps(known: Known) -> list[Table]:
    """For each build, its steps."""
    return [_table(hits, known.builds[hits.build], _which(hits.build, known)) for hits in known.hits]


def _table(hits: Hits, build: Build, which: str) -> Table:
    """All steps; of many, those that do not hit unless every detail is asked for."""
    rows = [
        (Foreign(_step(hit, build)), str(hit.state), Foreign("" if hit.state is State.HIT else hit.because))
        for hit in hits.steps
    ]
    table = Table(f"Steps{which}", ("line", "state", "because"), rows)
    if len(rows) <= MOST_STEPS:
        return table
    others = [row for row, hit in zip(rows, hits.steps, strict=True) if hit.state is not State.HIT][:MOST_STEPS]
    note = f"{plural(len(rows) - len(others), 'more step')}; -v shows all."
    return table._replace(brief=others, note=note, level=0 if others else 1)


def _step(hit: Hit, build: Build) -> str:
    step = build.steps[hit.step]
    return cut(line(step.locations[0]), _TEXT) if step.locations else step.label


def _first_miss(hits: Hits, build: Build, which: str) -> Listing:
    """The first step that misses by itself, and how many miss because of such steps."""
    causes = [hit for hit in hits.steps if hit.state is State.MISS and hit.reason is not Reason.INPUT_MISSED]
    followers = sum(hit.reason is Reason.INPUT_MISSED for hit in hits.steps)
    if not causes:
        return Listing("", [])
    first = causes[0]
    lines = [_step(first, build), first.because]
    if followers:
        verb = "misses" if followers == 1 else "miss"
        because = "this one does" if len(causes) == 1 else f"this one or {count(len(causes) - 1)} more like it do"
        lines.append(f"{plural(followers, 'step')} after it {verb} only because {because}.")
    return Listing(f"First miss{which}", lines)
