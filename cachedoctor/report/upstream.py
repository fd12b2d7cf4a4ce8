"""A folder with which others can reproduce an analysis, and that names nothing that was built (`analyze --report`)."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cachedoctor import __version__
from cachedoctor.analysis.analyze import Analysis, analyze
from cachedoctor.analysis.standins import Shareable, shareable
from cachedoctor.errors import InputError, reading, reason
from cachedoctor.graph.survey import Progress
from cachedoctor.io.files import folder_atomically, opened
from cachedoctor.numbers import plural
from cachedoctor.report import render
from cachedoctor.report.analysis import page
from cachedoctor.report.analysis_document import document
from cachedoctor.report.formats.json import dumps
from cachedoctor.report.formats.markdown import escape
from cachedoctor.report.page import Listing, Style
from cachedoctor.rules import Finding
from cachedoctor.sources import CacheDocument, load
from cachedoctor.sources.schemes.file import FileLocation

README = "README.md"
ANALYSIS = "analysis.json"
_TITLE = "# A BuildKit cache without names"
_FILES = re.compile(r"README\.md|analysis\.json|(config|manifest)-[0-9]+\.json|blobs(/sha256(/[0-9a-f]{64})?)?")
"""What a report consists of, by path below its folder."""

_ABOUT_FILES = """\
`config-N.json` is what BuildKit's importer reads, in the order in which the caches were imported: `v1.Parse` in
`cache/remotecache/v1` takes its bytes, and `v1.ParseConfig` takes them decoded. Give it descriptors for the blobs that
it names. For an inline cache, it is the config of the image, with the records in base64. `manifest-N.json` lists the
blobs of a cache that was read with its manifest, and names the config, which is under `blobs/` again."""
_REPLACED = """\
Every text from the cache is replaced. Equal texts have equal stand-ins, in all files of this report, and different
texts different ones.

- Digests and selectors are numbered in sorted order, since BuildKit sorts by them. Stand-ins have the form and the
  length of the originals: `sha256:`, `random:` or neither.
- Dates are replaced by dates from 2000-01-01 on, a second apart, in the same order.
- Left out: annotations and sizes of layers, fields that BuildKit does not have, and all names of files, hosts,
  repositories, tags and platforms.
- Kept: every record, link, input, result, layer and parent, right or wrong, in the same order; how layers are
  compressed; and the bytes of each config and manifest, by blanks at the end.

What remains is the shape of the build: how many steps it has, and how they depend on each other."""


class Written(NamedTuple):
    """A report that was written."""

    folder: str
    files: int
    size: int
    """Bytes of all files."""


def check_folder(folder: str) -> None:
    """Raise `InputError` if a report must not be written to a folder: only an older report may be replaced."""
    with reading(folder):
        try:
            if not folder or "\0" in folder:
                raise InputError("cannot be the name of a folder for --report")
            if not os.path.lexists(folder):
                return
            if not Path(folder).is_dir():
                raise InputError("already exists, and is not a folder; name a new one for --report")
            if not _is_ours(Path(folder)):
                raise InputError("already exists, and is not just an older report; name a new folder for --report")
        except OSError as error:
            raise InputError(f"cannot write it: {reason(error)}") from error


def write(folder: str, analysis: Analysis, progress: Progress = lambda step: None) -> Written:
    """Write the report of an analysis, which is complete or absent; an older report is replaced.

    What was written is read back and analyzed: the README shows what that finds, and how it differs from `analysis`.
    Raises `InputError` if it cannot or must not be written.
    """
    check_folder(folder)
    shared = shareable(analysis.documents)
    try:
        with folder_atomically(folder) as temporary:
            for cache in shared:
                for name, data in cache.files.items():
                    _put(temporary / name, data)
            documents = _read_back(temporary, shared)
            again = analyze(documents, limits=analysis.limits, buildkit=analysis.buildkit, progress=progress)
            _put(temporary / ANALYSIS, dumps(document(again)).encode())
            _put(temporary / README, _readme(again, _differences(analysis, again)).encode())
            sizes = [path.stat().st_size for path in temporary.rglob("*") if path.is_file()]
    except OSError as error:
        raise InputError(f"cannot write it: {reason(error)}", source=folder) from error
    return Written(folder, len(sizes), sum(sizes))


def summary(written: Written) -> Listing:
    """What was written, for the page of the analysis."""
    return Listing(
        "Report to share",
        [
            f"Wrote {written.folder}: {plural(written.files, 'file')}, {written.size:,} bytes.",
            "It holds no names: digests, selectors and dates are stand-ins, and there is no name of a file, host, "
            "repository or tag, and no annotation.",
            "It does hold the shape of the cache (records, links, results and layers), all counts, and all findings.",
            f"Its {README} says how to reproduce them. To attach it to an issue, make a zip file of the folder.",
        ],
    )


def _is_ours(folder: Path) -> bool:
    """Whether there is nothing in a folder but an older report."""
    if not all(_FILES.fullmatch(str(path.relative_to(folder))) for path in folder.rglob("*")):
        return False
    readme = folder / README
    if not readme.is_file():
        return not any(folder.iterdir())
    with opened(readme) as file:
        return file.read(len(_TITLE)) == _TITLE.encode()


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _read_back(folder: Path, shared: Sequence[Shareable]) -> list[CacheDocument]:
    """The documents in the files, as whoever gets the report reads them."""
    return [
        replace(read, source=cache.entry, location=FileLocation(cache.entry))
        for cache in shared
        for read in load(str(folder / cache.entry))
    ]


def _readme(again: Analysis, differences: Sequence[str]) -> str:
    judged = f"BuildKit {again.buildkit}" if again.buildkit else "every BuildKit"
    command = " ".join(["cachedoctor analyze", *again.sources])
    release = f" --buildkit {again.buildkit}" if again.buildkit else ""
    blocks = [
        _TITLE,
        f"Written by cachedoctor {__version__}, which judged for {judged}. Only the shape is that of a real cache.",
        "## Reproduce",
        f"```\n{command}{release}\n```",
        _ABOUT_FILES,
        "## What was replaced",
        _REPLACED,
        "## Differences from the original",
        "\n".join(f"- {escape(line)}" for line in differences)
        or "None: counts, costs, loops, bytes and findings are the same. Blobs are not part of the report: one that is "
        "missing from the original is missing from the manifest here.",
        "## Analysis",
        render(page(again), "markdown", Style(verbosity=1)).rstrip(),
    ]
    return "\n\n".join(blocks) + "\n"


def _differences(original: Analysis, again: Analysis) -> list[str]:
    """In what a report differs from the original, without any text from that; each a sentence."""
    sizes = [
        f"The {what} of {read.source} has {now:,} bytes, in the original {before:,}."
        for cache, read in zip(original.documents, again.documents, strict=True)
        for what, before, now in (
            ("cache config", cache.written_size, read.written_size),
            ("manifest", cache.manifest_size, read.manifest_size),
        )
        if before is not None and now is not None and before != now
    ]
    counts = document(original), document(again)
    parts = [
        f"The {key} of the original is different." for key in ("graph", "cost") if counts[0][key] != counts[1][key]
    ]
    before, now = Counter(map(_fact, original.findings)), Counter(map(_fact, again.findings))
    only_before = [f"Only the original has {fact}." for fact in (before - now).elements()]
    return [*sizes, *parts, *only_before, *(f"Only the report has {fact}." for fact in (now - before).elements())]


def _fact(finding: Finding) -> str:
    """What a finding says in numbers."""
    measure = f", {finding.measure.unit}: {finding.measure.value:,}" if finding.measure.value else ""
    return f"{finding.rule} {finding.name} ({finding.severity}{measure})"
