"""What repair did: before and after in one table, what went and why, and what that does for the next export."""

from __future__ import annotations

from typing import Any

import orjson
from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cachedoctor import __version__
from cachedoctor.buildkit import IMPORT_LIMIT, LOOP_CHECK
from cachedoctor.graph import cost
from cachedoctor.numbers import count, digits, duration, log10, plural, power
from cachedoctor.repairs.repair import Repaired, Size
from cachedoctor.report.formats.json import SCHEMA_VERSION, clean, escaped
from cachedoctor.report.interface import Style
from cachedoctor.report.screen import drawn, screen
from cachedoctor.rules import Limits
from cachedoctor.sources import digests
from cachedoctor.sources.destination import Destination
from cachedoctor.text import printable, short

NEXT_EXPORT = (
    "What this does for the next export: an import of the repaired cache brings no loops, no duplicates and no dead "
    "records with it. It does not change the Dockerfile: BuildKit up to v0.24 makes both alternatives of every step "
    "that it evaluates anew, so diamonds of the Dockerfile itself come back. See docs/repair.md."
)


_BY_DEFINITION = "by definition: to hit there, BuildKit pulls the source and checksums it"
_BY_CONTENT = "by content: a source that is rebuilt to the same bytes misses there"


def render(made: Repaired, place: Destination | None, format: str, style: Style) -> str:
    """The report in a format, `text` or `json`. `place` is where it was written, `None` for a dry run."""
    return _json(made, place) if format == "json" else _text(made, place, style)


def _json(made: Repaired, place: Destination | None) -> str:
    values = document(made, place.path if place else None, place.replaced if place else None)
    return escaped(orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())


def document(made: Repaired, path: str | None = None, replaced: str | None = None) -> dict[str, Any]:
    """The document as plain values. `path` is where it was written, `replaced` what a registry's tag held before."""
    removed = made.removed
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "repair",
        "tool": {"name": "cachedoctor", "version": __version__},
        "before": _size(made.before),
        "after": _size(made.after),
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
        "lost": {"records": made.lost.records, "results": made.lost.results},
        "output": {
            "path": clean(path) if path else None,
            "digest": digests.of(made.data),
            "bytes": len(made.data),
            "replaced": replaced,
        },
        "warnings": [clean(warning) for warning in made.warnings],
    }


def _size(size: Size) -> dict[str, Any]:
    return {
        "records": size.records,
        "links": size.links,
        "layers": size.layers,
        "results": size.results,
        "bytes": size.bytes,
        "calls": {"value": digits(size.calls), "log10": log10(size.calls)},
        "loops": size.loops,
    }


def _text(made: Repaired, place: Destination | None, style: Style) -> str:
    console = screen(style)
    safe = not (made.lost.records or made.lost.results)
    console.print(Text(_headline(made, place), style="bold green" if safe else "bold yellow"))
    if style.verbosity >= 0:
        console.print()
        console.print(Padding(_table(made), (0, 0, 0, 2)))
        for title, lines in (("What went", _gone(made)), ("What to know", _notes(made))):
            if lines:
                console.print()
                console.print(Text(title, style="bold"))
                for line in lines:
                    console.print(Padding(Text(line), (0, 0, 0, 2)))
    return drawn(console)


def _headline(made: Repaired, place: Destination | None) -> str:
    if made.lost.records or made.lost.results:
        kept = f"{plural(made.lost.records, 'record')} and {plural(made.lost.results, 'result')} were given up"
    else:
        kept = "every record that can be derived and every result is in it"
    where = f"Written to {printable(place.path)}" if place else "Nothing written (dry run)"
    if place and place.replaced:
        where += f", which held {place.replaced} before"
    return f"{where}: {len(made.data):,} bytes; {kept}."


def _table(made: Repaired) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in ("", "before", "after"):
        table.add_column(head, justify="left" if not head else "right", no_wrap=True)
    for name in ("records", "links", "layers", "results", "bytes", "loops", "calls"):
        label = "loop-check calls" if name == "calls" else name
        show = power if name == "calls" else "{:,}".format
        table.add_row(label, show(getattr(made.before, name)), show(getattr(made.after, name)))
    return table


def _gone(made: Repaired) -> list[str]:
    removed = made.removed
    contents = removed.pruned_links - removed.pruned_definitions
    rows = (
        (removed.duplicate_records, "record", "one with another; their links and results are joined"),
        (removed.dead_records, "record", "that no lookup could reach"),
        (removed.invalid_records, "record", "with an input without any alternative"),
        (removed.looping_links, "link", "that closed loops; what they led to is derived in another way"),
        (removed.dangling_links, "link", "to records outside the document, or dead ones"),
        (
            removed.pruned_definitions,
            "alternative",
            _BY_DEFINITION,
        ),
        (contents, "alternative", _BY_CONTENT),
        (removed.duplicate_results, "result", "that another record had too; the newest date stays"),
        (removed.dangling_results, "result", "whose layers are outside the document or in a cycle"),
        (removed.missing_blob_results, "result", "whose blobs the manifest does not list"),
        (removed.unused_layers, "layer", "that no result needs"),
    )
    lines = [f"{plural(number, noun)} {why}" for number, noun, why in rows if number]
    if removed.dropped_records:
        steps = list(dict.fromkeys(removed.dropped_records))
        named = ", ".join(map(short, steps[:12]))
        more = f" and {count(len(steps) - 12)} other digests" if len(steps) > 12 else ""
        lines.append(f"{plural(len(removed.dropped_records), 'record')} given up, oldest results first: {named}{more}")
    return lines


def _notes(made: Repaired) -> list[str]:
    notes = [NEXT_EXPORT]
    took = cost.seconds(made.after.calls, cost.SECONDS_PER_CALL[1])
    if took is None or took >= Limits().max_seconds:
        notes.insert(
            0,
            f"An export of these records on BuildKit {LOOP_CHECK} makes {count(made.after.calls)} checks: "
            f"{duration(took)}. Add --max-calls 100000000 for less.",
        )
    if len(made.data) > IMPORT_LIMIT:
        notes.insert(0, f"BuildKit will not import it: {len(made.data):,} bytes are over 1 MiB. Add --max-bytes 1MiB.")
    return notes
