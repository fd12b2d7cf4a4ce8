"""What the records of builds add to pages: lines of the Dockerfile, and which steps will hit."""

from __future__ import annotations

from cachedoctor.builds.build import Build
from cachedoctor.builds.hits import Hit, Hits, Reason, State
from cachedoctor.builds.known import Known, line
from cachedoctor.numbers import count, listing, plural
from cachedoctor.report.page import Foreign, Line, Listing, Table, Tone
from cachedoctor.text import cut, printable

HOW = (
    "To see the lines of the Dockerfile, add --build FILE with the record of the build: docker buildx history export "
    "-o build.dockerbuild, or on GitHub: gh run download RUN --pattern '*.dockerbuild'"
)
"""How to get names where there are none, in one line."""
_TEXT = 72
"""Letters of an instruction in a table."""
_STATES = {State.HIT: "hit", State.MISS: "miss", State.UNKNOWN: "unknown"}


def hint(known: Known) -> Listing:
    """How to get the names of steps, if no build was given."""
    return Listing("Which lines are these?", [] if known.builds else [HOW])


def headline(known: Known) -> list[Line]:
    """What will become of the steps of each build, and which builds name nothing."""
    return [*(Line(totals(hits, known), _tone(hits)) for hits in known.hits), *strangers(known)]


def totals(hits: Hits, known: Known) -> str:
    """How many steps are in each state: `Of 12 steps, 7 will hit, 3 miss, 2 depend on content.`"""
    parts = [
        f"{count(number)} {words}"
        for state, words in ((State.HIT, "will hit"), (State.MISS, "will miss"), (State.UNKNOWN, "depend on content"))
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
            f"{_name(build)} names none of the {plural(known.records, 'record')}: it records another build, or an "
            "older Dockerfile.",
            Tone.WARNING,
        )
        for number, build in enumerate(known.builds)
        if known.records and not known.named(number)
    ]


def steps(known: Known) -> list[Table | Listing]:
    """For each build, the first step that misses and why, then all its steps."""
    sections: list[Table | Listing] = []
    for hits in known.hits:
        build = known.builds[hits.build]
        rows = [(Foreign(_step(hit, build)), _STATES[hit.state], Foreign(hit.because)) for hit in hits.steps]
        which = _which(hits.build, known)
        sections += [_first_miss(hits, build, which), Table(f"Steps{which}", ("line", "state", "because"), rows)]
    return sections


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
