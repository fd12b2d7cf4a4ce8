"""The page of `repair`: before and after in one table, what was removed and why, and what the next export costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cachedoctor.buildkit import IMPORT_LIMIT, LOOP_CHECK, SECONDS_PER_CALL
from cachedoctor.graph import cost
from cachedoctor.numbers import count, plural, taking
from cachedoctor.repairs.repair import Repaired, Size
from cachedoctor.report.formats.json import clean, head, number
from cachedoctor.report.page import Line, Listing, Page, Table, Tone
from cachedoctor.rules import Limits
from cachedoctor.sources.document import digest_of
from cachedoctor.text import printable, short

_NEXT_EXPORT = (
    "Importing the repaired cache brings no loops, duplicates or dead records into the next export. Diamonds in the "
    "Dockerfile itself come back, though: BuildKit v0.24 and earlier recreate both alternatives of every step that "
    "they evaluate. See docs/repair.md."
)
_BY_DEFINITION = "by definition: a hit there means that BuildKit first pulls and checksums the parent"
_BY_CONTENT = "by content: a parent that is rebuilt to the same bytes misses there"
_SHOWN_DIGESTS = 12


def page(repaired: Repaired, path: str | None = None, replaced: str | None = None) -> Page:
    """What a repair has to say.

    `path` is where the cache was written, `None` for a dry run; `replaced` is what a registry's tag held before.
    """
    lossless = not (repaired.lost.records or repaired.lost.results)
    return Page(
        command="repair",
        headline=[
            Line(_headline(repaired, path, replaced), Tone.OK if lossless else Tone.WARNING),
            *(Line(problem, Tone.WARNING) for problem in _still_wrong(repaired)),
        ],
        entries=(),
        sections=[
            _sizes(repaired),
            Listing("Removed", _removed(repaired)),
            Listing("Notes", [_NEXT_EXPORT]),
        ],
        document=lambda: document(repaired, path, replaced),
    )


def document(repaired: Repaired, path: str | None = None, replaced: str | None = None) -> dict[str, Any]:
    """The JSON document. `path` is where it was written, `replaced` what a registry's tag held before."""
    removed = repaired.removed
    return {
        **head("repair"),
        "before": _size(repaired.before),
        "after": _size(repaired.after),
        "removed": {
            "links": {
                "loop": removed.looping_links,
                "pruned": removed.pruned_links,
                "dangling": removed.dangling_links,
                "pruned_by_definition": removed.pruned_definitions,
                "pruned_by_content": removed.pruned_links - removed.pruned_definitions,
            },
            "records": {
                "duplicate": removed.duplicate_records,
                "dead": removed.dead_records,
                "invalid": removed.invalid_records,
                "dropped": [clean(digest) for digest in removed.dropped_records],
            },
            "results": {
                "duplicate": removed.duplicate_results,
                "dangling": removed.dangling_results,
                "missing_blob": removed.missing_blob_results,
            },
            "layers": {"unused": removed.unused_layers},
        },
        "lost": {"records": repaired.lost.records, "results": repaired.lost.results},
        "output": {
            "path": clean(path) if path else None,
            "digest": digest_of(repaired.data),
            "bytes": len(repaired.data),
            "replaced": replaced,
        },
        "warnings": [clean(warning) for warning in repaired.warnings],
    }


def _size(size: Size) -> dict[str, Any]:
    return {
        "records": size.records,
        "links": size.links,
        "layers": size.layers,
        "results": size.results,
        "bytes": size.bytes,
        "calls": number(size.calls),
        "loops": size.loops,
    }


def _headline(repaired: Repaired, path: str | None, replaced: str | None) -> str:
    lost = repaired.lost
    if lost.records or lost.results:
        kept = f"{plural(lost.records, 'record')} and {plural(lost.results, 'result')} were dropped"
    else:
        kept = "every record that can be derived and every result is in it"
    if path is None:
        return f"Dry run, nothing written. The repaired cache has {len(repaired.data):,} bytes; {kept}."
    before = f", which held {replaced} before" if replaced else ""
    return f"Wrote {printable(path)}{before}: {len(repaired.data):,} bytes; {kept}."


def _sizes(repaired: Repaired) -> Table:
    columns: tuple[tuple[str, Callable[[Size], int]], ...] = (
        ("records", lambda size: size.records),
        ("links", lambda size: size.links),
        ("layers", lambda size: size.layers),
        ("results", lambda size: size.results),
        ("bytes", lambda size: size.bytes),
        ("loops", lambda size: size.loops),
        ("calls when merged", lambda size: size.calls),
    )
    rows = [(name, count(value(repaired.before)), count(value(repaired.after))) for name, value in columns]
    return Table("Size", ("", "before", "after"), rows, frozenset({1, 2}))


def _removed(repaired: Repaired) -> list[str]:
    removed = repaired.removed
    rows = (
        (removed.duplicate_records, "record", "that duplicated another; their links and results were merged"),
        (removed.dead_records, "record", "that no lookup could reach"),
        (removed.invalid_records, "record", "that had an input without any alternative"),
        (removed.looping_links, "link", "that closed loops; what they led to can be derived another way"),
        (removed.dangling_links, "link", "to records outside the document, or to dead ones"),
        (removed.pruned_definitions, "alternative", _BY_DEFINITION),
        (removed.pruned_links - removed.pruned_definitions, "alternative", _BY_CONTENT),
        (removed.duplicate_results, "result", "that another record also had; the newest date was kept"),
        (removed.dangling_results, "result", "whose layers are outside the document or in a cycle"),
        (
            removed.missing_blob_results,
            "result",
            "whose blobs are not in the manifest, or not where it was read, or not whole",
        ),
        (removed.unused_layers, "layer", "that no result needs"),
    )
    lines = [f"{plural(number, noun)} {why}" for number, noun, why in rows if number]
    if removed.dropped_records:
        dropped = list(dict.fromkeys(removed.dropped_records))
        names = ", ".join(map(short, dropped[:_SHOWN_DIGESTS]))
        rest = len(dropped) - _SHOWN_DIGESTS
        more = f" and {count(rest)} other digests" if rest > 0 else ""
        lines.append(f"{plural(len(removed.dropped_records), 'record')} dropped, oldest results first: {names}{more}")
    return lines


def _still_wrong(repaired: Repaired) -> list[str]:
    """What this repair leaves, with the option that cures it."""
    problems = []
    limits = Limits()
    size = len(repaired.data)
    if size > IMPORT_LIMIT:
        problems.append(f"BuildKit will not import it: {size:,} bytes are over 1 MiB. Add --max-bytes 1MiB.")
    seconds = cost.seconds(repaired.after.calls, SECONDS_PER_CALL[1])
    if seconds is None or seconds >= limits.max_seconds:
        calls = plural(repaired.after.calls, "check")
        problems.append(
            f"Exporting these records on BuildKit {LOOP_CHECK} still needs {calls}{taking(seconds)}. Add --max-calls "
            "100000000 to get below that."
        )
    return problems
