"""The sentences that all reports of a profile share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cachedoctor.diagnosis.causes import CAUSE_OF, KNOWLEDGE, Cause
from cachedoctor.diagnosis.diagnose import TIMED, Diagnosis, Remaining
from cachedoctor.diagnosis.exports import RUNNING, Export, Wait
from cachedoctor.diagnosis.phases import WORDS
from cachedoctor.numbers import count, duration, time_range
from cachedoctor.report.tables import Data, Foreign

MOST_WAITS = 8
_FOLDERS = re.compile(r"^[^\[(]*/")


def headline(diagnosis: Diagnosis) -> str:
    """The answer in a sentence or two."""
    title = KNOWLEDGE[diagnosis.main.cause].title
    number = sum(one.count for one in diagnosis.exports if CAUSE_OF.get(one.phase) is diagnosis.main.cause)
    if number > 1:
        title = f"{title} ({number} exports at once)"
    if diagnosis.remaining:
        return f"{title}. {remaining(diagnosis.remaining)}"
    if diagnosis.main.cause is Cause.OTHER:
        return diagnosis.main.explanation
    return f"{title}."


def remaining(left: Remaining) -> str:
    """How long it goes on."""
    work = count(left.fewest) if left.fewest == left.most else f"{count(left.fewest)} to {count(left.most)}"
    how = f"{work} {left.work}, at {count(int(left.rate[0]))} to {count(int(left.rate[1]))} a second (estimated)"
    whole = time_range(*left.total)
    if left.never:
        years = whole.removeprefix("practically never").strip(" ()")
        return f"It practically never ends{f' ({years})' if years else ''}: {how}."
    if whole == duration(0.0):
        return f"For these caches alone it would be done at once, with {how}: the export holds more than these."
    if left.elapsed is None:
        return (
            f"It takes {whole} in all: {how}. How long it has run is not in this profile; "
            "--running-for, such as 40m, tells what is left."
        )
    ran = duration(left.elapsed).removeprefix("about ")
    if left.overdue:
        return (
            f"It has run for {ran}, and should have ended: {how} take {whole}. The export holds more than these "
            "caches, such as the steps of the build itself."
        )
    return f"{_left(left)} left, of {whole} in all, after {ran}: {how}."


def _left(left: Remaining) -> str:
    low, high = left.left
    if not low:
        return f"Up to {duration(high).removeprefix('about ')}"
    text = time_range(low, high)
    return text[:1].upper() + text[1:]


def daemon(diagnosis: Diagnosis) -> str:
    """What the profile tells of the daemon, empty where that is nothing."""
    buildkit = f"BuildKit {diagnosis.buildkit}" if diagnosis.buildkit else ""
    go = f"built with {diagnosis.go_version}" if diagnosis.go_version else ""
    signs = ", ".join(sign for sign in (buildkit, go) if sign)
    return f"By its functions the daemon is {signs}." if signs else ""


def phases(diagnosis: Diagnosis) -> Data:
    """The share of each phase, where the profile tells of time."""
    timed = diagnosis.evidence[0].kind in TIMED
    rows = [(WORDS[phase], f"{share:.1%}") for phase, share in diagnosis.phases.items() if timed]
    return Data((), rows, frozenset({1}))


def exports(found: Sequence[Export]) -> Data:
    """The exports of a goroutine dump."""
    rows = [
        (
            f"{one.count:,}",
            WORDS[one.phase],
            _since(one.minutes, one.state),
            one.state or "not told",
            Foreign(shortened(one.function)),
        )
        for one in found
    ]
    return Data(("exports", "busy with", "at least", "state", "function"), rows, frozenset({0}))


def waits(found: Sequence[Wait]) -> Data:
    """What the other goroutines of builds wait for."""
    rows = [
        (f"{one.count:,}", WORDS[one.phase], _since(one.minutes, one.state), Foreign(shortened(one.function)))
        for one in found[:MOST_WAITS]
    ]
    return Data(("goroutines", "wait for", "up to", "function"), rows, frozenset({0}))


def shortened(function: str) -> str:
    """A function without the folders of its package."""
    return _FOLDERS.sub("", function)


def _since(minutes: int | None, state: str) -> str:
    if minutes is None:
        return "under a minute" if state and state not in RUNNING else "not told"
    return duration(minutes * 60).removeprefix("about ")
