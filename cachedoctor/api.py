"""What `import cachedoctor` gives to scripts: the same as the commands do, with nothing printed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from cachedoctor import sources
from cachedoctor.analysis import analyze as analysis
from cachedoctor.analysis.analyze import Analysis
from cachedoctor.buildkit import parse_release
from cachedoctor.repairs.prune import Preference
from cachedoctor.repairs.repair import Options, Repaired
from cachedoctor.repairs.repair import repair as mend
from cachedoctor.rules import Limits
from cachedoctor.sources import Access, CacheDocument
from cachedoctor.sources.destination import destination


def load(
    source: str | os.PathLike[str],
    *,
    tag: str | None = None,
    platform: str | None = None,
    access: Access | None = None,
) -> list[CacheDocument]:
    """Read the caches that a source holds: one, or one for each platform of an image with inline caches.

    `source` is what the commands take: a file, a folder with an OCI layout, `oci:DIR[:TAG]`,
    `docker://HOST[:PORT]/REPO[:TAG|@DIGEST]`, or `-` for standard input. `tag` and `platform` (`linux/arm64`) choose
    among several; `access` says how a registry is reached.

    Raises `InputError`, whose text is one line, for whatever cannot be read.
    """
    return sources.load(os.fspath(source), tag=tag, platform=platform, access=access)


def analyze(
    documents: Sequence[CacheDocument],
    *,
    buildkit: str | None = None,
    limits: Limits | None = None,
    labels: Mapping[str, str] | None = None,
) -> Analysis:
    """Judge the cache that the documents make together, in the order given, as several `--cache-from` do.

    `buildkit` judges for one release (`v0.21.1`, or `docker-28.2` for the BuildKit of a Docker Engine) instead of all;
    `limits` say what is still borne; `labels` are the steps of records by digest, for messages. The outcome has
    `verdict`, `findings` and `survey`, which holds the graph and all counts as exact integers.

    Raises `InputError` where paths are too many to be counted in memory, and `ValueError` for what is no release, and
    where there are no documents.
    """
    _some(documents)
    release = None if buildkit is None else parse_release(buildkit)
    return analysis.analyze(documents, limits=limits, buildkit=release, labels=labels)


def repair(
    documents: Sequence[CacheDocument],
    *,
    minimal: bool = False,
    max_calls: int | None = None,
    max_bytes: int | None = None,
    prefer: Preference = "cheapest",
    drop_oldest: bool = False,
) -> Repaired:
    """Make one cache of the documents that imports, has no loops, and lost nothing, and prove that; write nothing.

    `minimal` keeps one alternative for each input; `max_calls` (of the loop check) and `max_bytes` (of the config)
    remove alternatives until they hold; `prefer` (`cheapest`, `definition` or `content`) decides between equal ones;
    `drop_oldest` lets `max_bytes` give up records.

    Raises `LimitError` where a limit cannot be reached, `InputError` where paths are too many to be counted,
    `ProofError` where the outcome is not what it should be, and `ValueError` for no documents or another preference.
    """
    _some(documents)
    for limit in (max_calls, max_bytes):
        if limit is not None and limit < 1:
            raise ValueError(f"{limit} is no limit: expected 1 or more")
    if prefer not in get_args(Preference):
        raise ValueError(f"{prefer!r} is no preference: expected one of {', '.join(get_args(Preference))}")
    return mend(documents, Options(minimal, max_calls, max_bytes, prefer, drop_oldest))


def write(
    repaired: Repaired,
    target: str | os.PathLike[str],
    *,
    force: bool = False,
    tag: str | None = None,
    access: Access | None = None,
) -> str:
    """Write a repaired cache so that a reader finds the whole of it or what was there before; return where it is.

    `target` is a file, a folder or `oci:DIR[:TAG]` for a layout with all layers, or `docker://HOST[:PORT]/REPO:TAG`.
    What was written is read back and held against what was proved before it takes its place. `force` replaces a file
    or tag that is there; `tag` names the one to set in a layout.

    Raises `InputError` where the place cannot be written or must not be, `ProofError` where what is read back differs,
    and `ValueError` for `-` and names with a NUL.
    """
    name = os.fspath(target)
    if name == "-" or "\0" in name:
        raise ValueError(f"{name!r} is no place for a cache")
    place = destination(name, repaired.documents, force=force, tag=tag, access=access)
    place.write(repaired.config, repaired.data, repaired.check)
    return place.path


def to_dict(result: Analysis | Repaired) -> dict[str, Any]:
    """The document that `--format json` writes, as plain values: its keys are those of `docs/json.md` and
    `docs/json-repair.md`, and stay. Foreign text in it is as it was read.
    """
    if isinstance(result, Analysis):
        from cachedoctor.report.formats import json

        return json.document(result)
    from cachedoctor.report import repaired

    return repaired.document(result)


def _some(documents: Sequence[CacheDocument]) -> None:
    if not documents:
        raise ValueError("there are no documents, so that nothing can be said")
