"""The page of `repair`: before and after in one table, what was added and removed, and what the next export costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from cachedoctor.buildkit import LOOP_CHECK, LOSES_LINKS, SECONDS_PER_CALL
from cachedoctor.builds.known import NOTHING, Known
from cachedoctor.graph import cost
from cachedoctor.graph.imports import Spread
from cachedoctor.graph.joining import joining_records
from cachedoctor.numbers import count, count_range, digits, listing, plural, taking
from cachedoctor.repairs.repair import Repaired, Size
from cachedoctor.report import builds, builds_document
from cachedoctor.report.formats.json import clean, head, number
from cachedoctor.report.page import Foreign, Line, Listing, Page, Table, Tone, Verbatim
from cachedoctor.rules import Limits
from cachedoctor.sources import CacheDocument, Location
from cachedoctor.sources.document import digest_of
from cachedoctor.text import printable

_NEXT_EXPORT = (
    "Importing the repaired cache brings no loops, duplicates or dead records into the next export. Diamonds in the "
    "Dockerfile itself come back, though: BuildKit v0.24 and earlier recreate both alternatives of every step that "
    "they evaluate. See docs/repair.md."
)
_FULLY_MERGED = (
    "Calls are those of the loop check once everything is merged that can be. BuildKit may merge less of the sources: "
    "cachedoctor analyze shows that range."
)
_NOTHING_TO_FIX = (
    "Nothing to fix: BuildKit imports this cache, and it has one leaf and no loops, duplicates, dead records or unused "
    "layers."
)
_BY_DEFINITION = "by definition: a hit there means that BuildKit first pulls and checksums the parent"
_BY_CONTENT = "by content: a parent that is rebuilt to the same bytes misses there"
_SHOWN_DIGESTS = 12
_SHOWN_ALTERNATIVES = 10
MOST_ALTERNATIVES = 1_000
"""Removed alternatives that the document names."""


class Rerun(Protocol):
    """Gives the user's command with other options (`cli.rerun`)."""

    def __call__(self, *more: str, without: tuple[str, ...] = (), flags: tuple[str, ...] = ()) -> str:
        """The command with `more` at its end, without these options and flags."""


class Problem(NamedTuple):
    """What repair leaves wrong, and the options that change it."""

    text: str
    advice: str = ""
    more: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Options with a value that must not be given any more."""
    flags: tuple[str, ...] = ()
    """Options without a value that must not be given any more."""

    @property
    def has_remedy(self) -> bool:
        """Whether other options help."""
        return bool(self.more or self.flags)


def _options_only(*more: str, without: tuple[str, ...] = (), flags: tuple[str, ...] = ()) -> str:
    return " ".join(("cachedoctor repair SOURCE -o DEST", *more))


def page(
    repaired: Repaired,
    path: str | None = None,
    replaced: str | None = None,
    *,
    left: str | None = None,
    location: Location | None = None,
    rerun: Rerun = _options_only,
    known: Known = NOTHING,
) -> Page:
    """What a repair has to say.

    `path` is where the cache was written, `None` for a dry run; `replaced` is what a registry's tag held before. `left`
    is a place that was to be repaired and left as it was, since there was nothing to fix. `location` is where the cache
    is or would be written. `known` is what builds say of the records of the documents.
    """
    too_large = repaired.too_large(location)
    problems = list(_problems(repaired, too_large, dry=path is None))
    joining = _joining(repaired)
    return Page(
        command="repair",
        headline=[
            Line(_headline(repaired, path, replaced, left, too_large is None), _tone(repaired, too_large)),
            *([Line(joining)] if joining else []),
            *(Line(f"{problem.text} {problem.advice}".rstrip(), Tone.WARNING) for problem in problems),
            *(Line(text, Tone.WARNING) for text in _inline_lines(repaired, location)),
            *builds.strangers(known),
        ],
        entries=(),
        sections=[
            *_remedies(problems, rerun, written=path is not None),
            _sizes(repaired),
            Listing("Removed", _removed(repaired, known)),
            *_alternatives(repaired, known),
            Listing("Notes", [*_chosen(repaired), *([] if _is_fine(repaired) else [_NEXT_EXPORT])]),
        ],
        document=lambda: document(repaired, path, replaced, location, known),
    )


def document(
    repaired: Repaired,
    path: str | None = None,
    replaced: str | None = None,
    location: Location | None = None,
    known: Known = NOTHING,
) -> dict[str, Any]:
    """The JSON document; see `page`."""
    removed = repaired.removed
    return {
        **head("repair"),
        "before": _size(repaired.before),
        "after": _size(repaired.after),
        "added": {"joining_records": int(repaired.added_joining)},
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
                "joining": int(repaired.removed_joining),
            },
            "results": {
                "duplicate": removed.duplicate_results,
                "dangling": removed.dangling_results,
                "missing_blob": removed.missing_blob_results,
                "dead": removed.dead_results,
            },
            "layers": {"unused": removed.unused_layers},
            "alternatives": _listed(repaired, known),
        },
        "lost": {"records": repaired.lost.records, "results": repaired.lost.results},
        "limits": {
            "bytes": repaired.goal.max_bytes,
            "bytes_with_headroom": repaired.goal.target_bytes,
            "calls": None if repaired.goal.max_calls is None else digits(repaired.goal.max_calls),
        },
        "nothing_to_fix": _is_fine(repaired),
        "importable": repaired.too_large(location) is None,
        "output": {
            "path": clean(path) if path else None,
            "digest": digest_of(repaired.data),
            "bytes": len(repaired.data),
            "replaced": replaced,
        },
        "warnings": [clean(warning) for warning in repaired.warnings],
        "builds": builds_document.listed(known),
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
        "leaves": size.leaves,
        "links_lost": _spread(size.imported.links_lost),
        "records_found": _spread(size.imported.records_found),
    }


def _spread(spread: Spread) -> dict[str, int]:
    return {"min": spread.least, "typical": spread.typical, "max": spread.most}


def _is_fine(repaired: Repaired) -> bool:
    return repaired.unchanged and repaired.after.leaves == 1 and repaired.too_large() is None


def _headline(repaired: Repaired, path: str | None, replaced: str | None, left: str | None, imports: bool) -> str:
    before = f", which held {replaced} before" if replaced else ""
    if _is_fine(repaired) and imports:
        if left is not None:
            return f"{_NOTHING_TO_FIX} {printable(left)} is left as it was."
        if path is None:
            return f"{_NOTHING_TO_FIX} Dry run, nothing written."
        copy = "a copy, byte for byte" if repaired.is_copy else "the same, as BuildKit writes it"
        return f"{_NOTHING_TO_FIX} Wrote {printable(path)}{before}: {len(repaired.data):,} bytes, {copy}."
    if path is None:
        return f"Dry run, nothing written. The repaired cache has {len(repaired.data):,} bytes; {_kept(repaired)}"
    return f"Wrote {printable(path)}{before}: {len(repaired.data):,} bytes; {_kept(repaired)}"


def _gone(repaired: Repaired) -> list[tuple[int, str]]:
    """How many results are gone, for each reason."""
    removed = repaired.removed
    reasons = (
        (removed.dangling_results, "their layers are outside the document or in a cycle"),
        (removed.missing_blob_results, "their blobs are missing"),
        (removed.dead_results, "their records cannot be derived"),
        (repaired.lost.results, "--drop-oldest dropped their records"),
    )
    return [(number, reason) for number, reason in reasons if number]


def _tone(repaired: Repaired, too_large: tuple[str, int] | None) -> Tone:
    return Tone.WARNING if too_large or repaired.lost.records or _gone(repaired) else Tone.OK


def _kept(repaired: Repaired) -> str:
    """Which records and results are in it, and which are not."""
    lost, after = repaired.lost, repaired.after
    kept = "every record that can be derived"
    if lost.records:
        kept = f"{count(after.records)} of {plural(after.records + lost.records, 'record')} that can be derived"
    duplicates = repaired.removed.duplicate_results
    all_results = plural(repaired.before.results, "result")
    reasons = _gone(repaired)
    if not reasons:
        were = f"; {count(duplicates)} of {all_results} {_were_duplicates(duplicates)}" if duplicates else ""
        return f"{kept} and every result {'are' if lost.records else 'is'} in it{were}."
    gone = sum(number for number, _ in reasons)
    parts = [f"{count(number)} because {reason}" for number, reason in reasons]
    why = reasons[0][1] if len(reasons) == 1 else listing(parts)
    were = f" {count(duplicates)} more {_were_duplicates(duplicates)}." if duplicates else ""
    verb = "is" if gone == 1 else "are"
    went = f"{plural(gone, 'result')} {verb} gone"
    return f"{kept} and {count(after.results)} of {all_results} are in it. {went}: {why}.{were}"


def _were_duplicates(number: int) -> str:
    return "was a duplicate" if number == 1 else "were duplicates"


def _joining(repaired: Repaired) -> str:
    if not repaired.added_joining:
        return ""
    leaves = repaired.config.link_start[-1] - repaired.config.link_start[-2]
    had = any(joining_records(document.config) for document in repaired.documents)
    return (
        f"{'Renewed the' if had else 'Added a'} joining record, which links to the {count(leaves)} leaves, for "
        f"importers of BuildKit {LOSES_LINKS}, which otherwise lose links. No build looks it up, and no export writes "
        "it again."
    )


def _problems(repaired: Repaired, too_large: tuple[str, int] | None, *, dry: bool) -> Iterator[Problem]:
    if too_large:
        refused = too_large_problem(repaired, too_large)
        yield refused._replace(text=f"{refused.text} So it would not be written.") if dry else refused
    if repaired.after.imported.links_lost.most:
        leaves = count(repaired.after.leaves)
        problem = f"It has {leaves} leaves, so importers of BuildKit {LOSES_LINKS} lose links."
        yield Problem(problem, "Leave out --no-join.", flags=("--no-join",))
    limit, target, size = repaired.goal.max_bytes, repaired.goal.target_bytes, len(repaired.data)
    if limit is not None and target is not None and target < size <= limit:
        yield Problem(
            f"The limit of {limit:,} bytes is kept, but not the headroom: it has {size:,} bytes, more than {target:,}, "
            "and removing more alternatives would not make it smaller."
        )
    seconds = cost.seconds(repaired.after.calls, SECONDS_PER_CALL[1])
    if seconds is None or seconds >= Limits().max_seconds:
        checks = f"{plural(repaired.after.calls, 'check')}{taking(seconds)}"
        problem = f"Exporting these records on BuildKit {LOOP_CHECK} still needs {checks}."
        if repaired.goal.calls_chosen:
            yield Problem(problem)
        else:
            yield Problem(problem, "Add --max-calls auto.", ("--max-calls", "auto"), without=("--max-calls",))


def too_large_problem(repaired: Repaired, too_large: tuple[str, int]) -> Problem:
    """That BuildKit refuses a repaired cache for its size, and what to do."""
    what, size = too_large
    problem = f"BuildKit will not import it: the {what} has {size:,} bytes, over 1 MiB."
    if what == "manifest":
        layers = plural(len(set(repaired.config.blobs)), "layer")
        return Problem(f"{problem} It lists {layers}.", "Start over with a new cache tag and a new builder.")
    if repaired.goal.bytes_chosen:
        problem = f"{problem} Removing more alternatives would not make it smaller."
        return Problem(problem, "Add --drop-oldest to drop the records with the oldest results.", ("--drop-oldest",))
    return Problem(problem, "Add --max-bytes auto.", ("--max-bytes", "auto"), without=("--max-bytes",))


def _remedies(problems: Sequence[Problem], rerun: Rerun, *, written: bool) -> list[Verbatim]:
    """One command that changes all that can be changed, and replaces what was written, on a line of its own."""
    problems = [problem for problem in problems if problem.has_remedy]
    if not problems:
        return []
    replacing = ("--force",) if written else ()
    command = rerun(
        *(word for problem in problems for word in problem.more),
        *replacing,
        without=tuple(option for problem in problems for option in problem.without),
        flags=(*replacing, *(flag for problem in problems for flag in problem.flags)),
    )
    return [Verbatim("To change that, run", lambda width: [f"  {command}"])]


def _inline_lines(repaired: Repaired, location: Location | None) -> list[str]:
    """What to do about each source that is an inline cache, if there is anything to do."""
    inline = (document for document in repaired.documents if document.kind == "inline")
    first = {document.source: document for document in inline}.values()
    elsewhere = location is not None and location.local is None
    return [_inline(document, location) for document in first] if elsewhere or not _is_fine(repaired) else []


def _inline(document: CacheDocument, location: Location | None) -> str:
    """What to do with the repaired records of an image, which stays as it is."""
    source = printable(document.source)
    problem = f"BuildKit reads the inline cache of {source} from the image, which stays as it is. Build the image again"
    if location is not None and location.local is None:
        name = printable(location.name)
        return f"{problem}, or import the repaired cache with --cache-from type=registry,ref={name}."
    name = "HOST/REPO:TAG"
    if document.location is not None and document.location.prefix == "docker://":
        host, slash, path = document.location.name.partition("@")[0].rpartition("/")
        repository, _, tag = path.partition(":")
        name = printable(f"{host}{slash}{repository}:{tag or 'latest'}-cache")
    return (
        f"{problem}, or write the repaired cache to a tag of the same repository with -o docker://{name}, and import "
        f"it with --cache-from type=registry,ref={name}."
    )


def _sizes(repaired: Repaired) -> Table:
    columns: tuple[tuple[str, Callable[[Size], int]], ...] = (
        ("records", lambda size: size.records),
        ("links", lambda size: size.links),
        ("leaves", lambda size: size.leaves),
        ("layers", lambda size: size.layers),
        ("results", lambda size: size.results),
        ("bytes", lambda size: size.bytes),
        ("loops", lambda size: size.loops),
        ("calls, fully merged", lambda size: size.calls),
    )
    sizes = (repaired.before, repaired.after)
    rows = [
        (name, *(f"{value(size):,}" if name == "bytes" else count(value(size)) for size in sizes))
        for name, value in columns
    ]
    lost = [size.imported.links_lost for size in sizes]
    if any(spread.most for spread in lost):
        before, after = (count_range(spread.least, spread.most) for spread in lost)
        rows.append(("links lost on import", before, after))
    return Table("Size", ("", "before", "after"), rows, frozenset({1, 2}), note=_FULLY_MERGED)


def _removed(repaired: Repaired, known: Known) -> list[str]:
    removed = repaired.removed
    rows = (
        (removed.duplicate_records, "record", "that duplicated another; their links and results were merged"),
        (removed.dead_records, "record", "that no lookup could reach"),
        (removed.invalid_records, "record", "that had an input without any alternative"),
        (int(repaired.removed_joining), "joining record", "of an earlier repair"),
        (removed.looping_links, "link", "that closed loops; what they led to can be derived another way"),
        (removed.dangling_links, "link", "to records outside the document, or to dead ones"),
        (removed.pruned_definitions, "alternative", _BY_DEFINITION),
        (removed.pruned_links - removed.pruned_definitions, "alternative", _BY_CONTENT),
        (removed.duplicate_results, "result", "that another record also had; the newest date was kept"),
        (removed.dangling_results, "result", "whose layers are outside the document or in a cycle"),
        (
            removed.missing_blob_results,
            "result",
            "whose blobs are missing: cachedoctor analyze says which, and where",
        ),
        (removed.dead_results, "result", "of records that no lookup could reach"),
        (removed.unused_layers, "layer", "that no result needs"),
    )
    lines = [f"{plural(number, noun)} {why}" for number, noun, why in rows if number]
    if removed.dropped_records:
        dropped = list(dict.fromkeys(removed.dropped_records))
        names = ", ".join(known.called(digest) for digest in dropped[:_SHOWN_DIGESTS])
        rest = len(dropped) - _SHOWN_DIGESTS
        more = f" and {count(rest)} other digests" if rest > 0 else ""
        lines.append(f"{plural(len(removed.dropped_records), 'record')} dropped, oldest results first: {names}{more}")
    return lines


def _listed(repaired: Repaired, known: Known) -> list[dict[str, Any]]:
    """The removed alternatives, each with the step that had it."""
    survey = repaired.survey
    records = survey.merged.records

    def member(item: int) -> dict[str, Any]:
        document, record = survey.place(records[item])
        digest = clean(survey.graph.digests[records[item]])
        return {
            "input": document,
            "record": record,
            "digest": digest,
            **builds_document.labelled(known.name(document, record)),
        }

    return [
        {"step": member(alternative.item), "source": member(alternative.source), "closed_loop": alternative.closed_loop}
        for alternative in repaired.removed.alternatives[:MOST_ALTERNATIVES]
    ]


def _alternatives(repaired: Repaired, known: Known) -> list[Table | Listing]:
    """Which steps lost which alternatives, the steps that lost most first."""
    survey, removed = repaired.survey, repaired.removed.alternatives
    if not removed or not known.builds:
        return [builds.hint(known)] if removed else []
    records = survey.merged.records
    pairs = Counter((alternative.item, alternative.source) for alternative in removed)
    rows = [
        (Foreign(known.call(survey, records[item])), Foreign(known.call(survey, records[source])), count(number))
        for (item, source), number in pairs.most_common(_SHOWN_ALTERNATIVES)
    ]
    more = len(pairs) - len(rows)
    note = f"{count(more)} more in the JSON." if more > 0 else ""
    return [Table("Removed alternatives", ("step", "is not made from any more", "links"), rows, frozenset({2}), note)]


def _chosen(repaired: Repaired) -> list[str]:
    """What `auto` stood for."""
    goal = repaired.goal
    lines = []
    if goal.bytes_chosen:
        less = f", less the headroom: {goal.target_bytes:,}" if goal.target_bytes != goal.max_bytes else ""
        lines.append(f"--max-bytes auto chose {goal.bytes_chosen}{less}.")
    if goal.calls_chosen:
        lines.append(f"--max-calls auto chose {goal.calls_chosen}.")
    return lines
