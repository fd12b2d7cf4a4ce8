"""What `import cachedoctor` gives to scripts: what the commands do, without printing anything."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, get_args

from cachedoctor import sources
from cachedoctor.analysis import analyze as analysis
from cachedoctor.analysis.analyze import Analysis
from cachedoctor.buildkit import parse_release
from cachedoctor.builds.build import Build
from cachedoctor.errors import CachedoctorError, InputError, LimitError, ProofError
from cachedoctor.repairs.limits import HEADROOM, Limit
from cachedoctor.repairs.prune import Preference
from cachedoctor.repairs.repair import Options, Repaired
from cachedoctor.repairs.repair import repair as repair_documents
from cachedoctor.rules import Finding, Limits, Severity
from cachedoctor.sources import Access, CacheDocument

__all__ = [
    "Access",
    "Analysis",
    "Build",
    "CacheDocument",
    "CachedoctorError",
    "Finding",
    "InputError",
    "LimitError",
    "Limits",
    "ProofError",
    "Repaired",
    "Severity",
    "analyze",
    "load",
    "load_builds",
    "repair",
    "to_dict",
    "write",
]


def load(
    source: str | os.PathLike[str],
    *,
    tag: str | None = None,
    platform: str | None = None,
    access: Access | None = None,
) -> list[CacheDocument]:
    """Read the caches of a source: one, or one for each platform of an image with inline caches.

    `source` is what the commands take: a file, a folder with an OCI layout, `oci:DIR[:TAG]`,
    `docker://HOST[:PORT]/REPO[:TAG|@DIGEST]`, or `-` for standard input. `tag` and `platform` (`linux/arm64`) choose
    among several; `access` says how to reach a registry.

    Raises `InputError`, whose text is one line, if it cannot be read.
    """
    return sources.load(os.fspath(source), tag=tag, platform=platform, access=access)


def load_builds(source: str | os.PathLike[str], *, access: Access | None = None) -> list[Build]:
    """Read the builds that a record holds: one for each platform.

    `source` is what `--build` takes: a `.dockerbuild`, provenance in any of its forms, the output of
    `/debug/cache/all`, an image with an attestation (`docker://HOST[:PORT]/REPO[:TAG|@DIGEST]`), or `-`.

    Raises `InputError`, whose text is one line, if it cannot be read.
    """
    from cachedoctor.builds.containers import load as load_records

    return load_records(os.fspath(source), access=access)


def analyze(
    documents: Sequence[CacheDocument],
    *,
    buildkit: str | None = None,
    limits: Limits | None = None,
    builds: Sequence[Build] = (),
    before: Sequence[Build] = (),
) -> Analysis:
    """Judge the cache that the documents make together, in the order given, as several `--cache-from` would.

    `buildkit` judges for one release (`v0.21.1`, or `docker-28.2` for that of a Docker Engine) instead of all; `limits`
    say what is acceptable. `builds` say which steps the records are of, and whether they will hit; `before` are the
    builds that wrote the cache, which say what has changed since. The result has `verdict`, `findings`, `known` (names
    and hits) and `survey`, which holds the graph and all counts as exact integers.

    Raises `InputError` if there are too many paths to count in memory, and `ValueError` for an invalid release or an
    empty list of documents.
    """
    _check_not_empty(documents)
    release = None if buildkit is None else parse_release(buildkit)
    return analysis.analyze(documents, limits=limits, buildkit=release, builds=builds, before=before)


def repair(
    documents: Sequence[CacheDocument],
    *,
    minimal: bool = False,
    max_calls: Limit = None,
    max_bytes: Limit = None,
    prefer: Preference = "cheapest",
    drop_oldest: bool = False,
    headroom: float = HEADROOM,
    join: bool = True,
) -> Repaired:
    """Make one cache of the documents that imports, has no loops, and loses nothing, and prove it; write nothing.

    `minimal` keeps one alternative for each input; `max_calls` (of the loop check) and `max_bytes` (of the config)
    remove alternatives until the limit holds, where `"auto"` is the limit that the rules ask for; `headroom` is the
    percentage of `max_bytes` to leave if possible; `prefer` (`cheapest`, `definition` or `content`) decides between
    equal ones; `drop_oldest` lets `max_bytes` remove records as well. Without `join`, several leaves stay.

    Raises `LimitError` if a limit cannot be reached, `InputError` if there are too many paths to count, `ProofError`
    if the result is not what it should be, and `ValueError` for an invalid argument or an empty list of documents.
    """
    _check_not_empty(documents)
    for limit in (max_calls, max_bytes):
        if limit is not None and limit != "auto" and limit < 1:
            raise ValueError(f"{limit} is not a limit: expected 1 or more")
    if not 0 <= headroom <= 90:
        raise ValueError(f"{headroom} is not a headroom: expected a percentage from 0 to 90")
    if prefer not in get_args(Preference):
        raise ValueError(f"{prefer!r} is not a preference: expected one of {', '.join(get_args(Preference))}")
    return repair_documents(documents, Options(minimal, max_calls, max_bytes, prefer, drop_oldest, headroom, join))


def write(
    repaired: Repaired,
    target: str | os.PathLike[str],
    *,
    force: bool = False,
    allow_too_large: bool = False,
    tag: str | None = None,
    access: Access | None = None,
) -> str:
    """Write a repaired cache so that a reader finds either all of it or what was there before; return where it is.

    `target` is a file, a folder or `oci:DIR[:TAG]` for a layout with all layers, or `docker://HOST[:PORT]/REPO:TAG`.
    What was written is read back and compared with what was proved before it takes effect. `force` replaces an
    existing file or tag; `tag` names the one to set in a layout. A cache over 1 MiB, which BuildKit refuses to import,
    is only written with `allow_too_large`.

    Raises `InputError` if it cannot or must not be written, `LimitError` if it is too large, `ProofError` if what is
    read back differs, and `ValueError` for `-` and names with a NUL.
    """
    name = os.fspath(target)
    location = sources.parse(name, tag)
    if not location.writable or "\0" in name:
        raise ValueError(f"{name!r} is not a place that a cache can be written to")
    writer = location.writer(repaired.documents, force=force, access=access)
    too_large = None if allow_too_large else repaired.too_large(location)
    if too_large:
        raise LimitError(f"BuildKit will not import it: the {too_large[0]} has {too_large[1]:,} bytes, over 1 MiB")
    writer.write(repaired.config, repaired.data, repaired.check)
    return writer.path


def to_dict(result: Analysis | Repaired) -> dict[str, Any]:
    """The document that `--format json` writes, as plain values: its keys are those of `docs/json.md` and
    `docs/json-repair.md`, and stay. Foreign text in it is as it was read.
    """
    if isinstance(result, Analysis):
        from cachedoctor.report import analysis_document

        return analysis_document.document(result)
    from cachedoctor.report import repair as repair_report

    return repair_report.document(result)


def _check_not_empty(documents: Sequence[CacheDocument]) -> None:
    if not documents:
        raise ValueError("expected at least one document")
