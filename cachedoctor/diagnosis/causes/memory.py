"""The daemon holds, or has allocated, a lot of memory.

**How it is found.** A heap or allocs profile, or its table. Which structure of BuildKit holds the most goes by the
function that allocated it. Heaps below 256 MB are not a cause. Many thousand goroutines in one function are a leak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import NEWER, NO_EXPORT, UPSTREAM
from cachedoctor.diagnosis.causes.cause import Cause, Match, Question, matches
from cachedoctor.diagnosis.evidence import Evidence
from cachedoctor.diagnosis.seen import Seen, row_line
from cachedoctor.diagnosis.stacks import function_of, is_buildkit, lines
from cachedoctor.numbers import percent
from cachedoctor.pprof import units
from cachedoctor.pprof.names import without_folders
from cachedoctor.pprof.profile import Profile
from cachedoctor.pprof.top import Row, Top, top
from cachedoctor.text import printable

LARGE_BYTES = 256 << 20
"""Bytes in use from which memory is a cause."""
LARGE_OBJECTS = 10_000_000
"""Objects in use from which they are a cause."""
LEAKED = 10_000
"""Goroutines in one function from which they are a leak."""
NAMED_SHARE = 0.05
"""The share of the memory from which a structure is named."""


class _Structure(NamedTuple):
    """Something that holds memory."""

    function: str
    """A regular expression for the functions that allocate it."""
    words: str
    grows: str
    """Whether it grows with builds."""
    now: tuple[str, ...]


_STRUCTURES = (
    _Structure(
        r"buildkit/cache\.(getAvailableBlobs|appendRemote)",
        "combinations of compressed layers (getAvailableBlobs)",
        "It grows with each layer that exists in two compressions, within one export.",
        ("Use one compression for all layers, or a new builder.", NO_EXPORT),
    ),
    _Structure(
        r"remotecache/v1\.|remotecache\.\(|solver\.\(\*(merged)?[eE]xporter\)",
        "cache chains, the records of an export or import",
        "They are freed when the export or import ends; they grow with the caches that a build imports.",
        (NO_EXPORT, "Import fewer caches, and repair those that grew: cachedoctor analyze CACHE."),
    ),
    _Structure(
        r"buildkit/solver\.(newKey|\(\*(cacheManager|CacheKey|inMemory\w*|edge|state|index\w*)\)|NewInMemory)",
        "cache keys of the solver",
        "They are kept for as long as the builds that use them, and grow with the steps of all builds that run at "
        "once, and with the alternatives that their caches offer.",
        ("Run fewer builds at a time on one builder, and import fewer caches.",),
    ),
    _Structure(
        r"llbsolver\.\(\*[hH]istory\w*\)|history[qQ]ueue",
        "the history of builds",
        "It grows with each build up to the limits of [history] in buildkitd.toml (maxAge, maxEntries).",
        ("Lower maxEntries and maxAge of [history] in buildkitd.toml, and run docker buildx history rm --all.",),
    ),
    _Structure(
        r"util/progress|buildkit/client\.\(\*?SolveStatus|solver\.\(\*vertexStream|control\.\(\*Controller\)\.Status",
        "progress messages and logs of steps",
        "They are kept until the build ends, and grow with what its steps print.",
        ("Print less in steps, and look for builds that never ended: they keep their messages.",),
    ),
    _Structure(
        r"^compress/|klauspost/(compress|pgzip)|/estargz|util/compression|archive/compression",
        "layers being compressed",
        "It is freed when they are done, and grows with the number of layers that are compressed at once.",
        ("Run fewer exports at a time.", "Use gzip, or a lower compression-level, in --cache-to and --output."),
    ),
    _Structure(
        r"cache/contenthash\.",
        "checksums of files",
        "They grow with the number of files that builds copy.",
        ("Send less: use a .dockerignore for the context.",),
    ),
    _Structure(
        r"llbsolver\.(recomputeDigests|loadLLB|Load\b)|solver/pb\.|client/llb\.",
        "definitions of builds",
        "They are kept for as long as the builds run.",
        ("Run fewer builds at a time on one builder.",),
    ),
    _Structure(
        r"fsutil|session/|google\.golang\.org/grpc|golang\.org/x/net/http2",
        "data on its way to or from clients",
        "It grows with the number of transfers, and with clients that do not read.",
        ("Look for clients that hang: each keeps what was not sent yet.",),
    ),
)


def _find(seen: Seen) -> Iterator[Match]:
    yield from _of_heap(seen)
    yield from _of_goroutines(seen)


def is_memory(seen: Seen) -> bool:
    """Whether the first profile counts bytes or objects of a heap."""
    return seen.first.unit == "bytes" or seen.first.sample_type in ("inuse_objects", "alloc_objects")


def _of_heap(seen: Seen) -> Iterator[Match]:
    first = seen.first
    if not is_memory(seen) or not first.total:
        return
    allocated = first.sample_type.startswith("alloc")
    if first.total < (LARGE_BYTES if first.unit == "bytes" else LARGE_OBJECTS):
        return
    held = structures(first)
    verb = "has allocated since it started" if allocated else "holds"
    amount = units.label(first.total, "bytes") if first.unit == "bytes" else f"{first.total:,} objects"
    text = f"The daemon {verb} {amount}."
    if not held:
        yield Match(question=Question.MEMORY, observation=f"{text} No structure of BuildKit stands out.")
        return
    parts = [f"{percent(share)} {structure.words}" for structure, share, _ in held]
    structure, share, row = held[0]
    yield Match(
        question=Question.MEMORY,
        observation=f"{text} Of this: {', '.join(parts)}. The function with the most is "
        f"{printable(without_folders(row.function))}.",
        share=share,
        evidence=tuple(row_line(top_of(first), row) for _, _, row in held[:3]),
        title=f"The daemon needs a lot of memory, most of it for {structure.words}",
        what=structure.grows,
        now=structure.now,
    )


def top_of(evidence: Evidence) -> Top:
    """The table of a profile, or the one that was read."""
    if evidence.profile:
        return top(evidence.profile)
    assert evidence.table
    return evidence.table.top


def structures(evidence: Evidence) -> list[tuple[_Structure, float, Row]]:
    """The structures with the most memory: their shares, and the function of each that has the most.

    A sample belongs to the structure nearest to its leaf. In a table, a structure has what its functions allocate
    themselves.
    """
    table = top_of(evidence)
    total = evidence.total or 1
    found = []
    for number, structure in enumerate(_STRUCTURES):
        rows = [row for row in table.rows if matches(structure.function, row.function)]
        share = _shares(evidence.profile).get(number, 0) / total if evidence.profile else _of_rows(rows) / total
        if rows and share >= NAMED_SHARE:
            found.append((structure, min(1.0, share), max(rows, key=lambda row: (abs(row.flat), abs(row.cum)))))
    return sorted(found, key=lambda item: -item[1])


def _shares(profile: Profile) -> dict[int, int]:
    labels = [
        next((number for number, each in enumerate(_STRUCTURES) if matches(each.function, name)), -1)
        for name in profile.names
    ]
    return profile.samples.by_label(labels)


def _of_rows(rows: Sequence[Row]) -> int:
    return sum(abs(row.flat) for row in rows) or max((abs(row.cum) for row in rows), default=0)


def _of_goroutines(seen: Seen) -> Iterator[Match]:
    counts: Counter[str] = Counter()
    for goroutine in seen.goroutines:
        if any(map(is_buildkit, goroutine.stack)):
            counts[function_of(goroutine)] += goroutine.count
    for function, number in counts.most_common(1):
        if number >= LEAKED:
            group = [item for item in seen.goroutines if function_of(item) == function]
            yield Match(
                question=Question.MEMORY,
                observation=f"{number:,} goroutines are in {printable(function)}: more than any build needs.",
                evidence=lines(group),
                what="Goroutines that are started and never end keep their memory: a leak, if their number grows with "
                "builds.",
            )


CAUSE = Cause(
    name="memory",
    title="The daemon needs a lot of memory",
    question=Question.MEMORY,
    affects=str(EVERY),
    what="",
    ends="What a build holds is freed when it ends; what grows with builds stays until the daemon is restarted.",
    outcome="unknown",
    now=(
        "Take a second profile after some builds and compare: what grew by itself is a leak.",
        "Restart buildkitd before its memory runs out, when no build runs.",
    ),
    for_good=(NEWER, UPSTREAM),
    find=_find,
)
