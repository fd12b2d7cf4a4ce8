"""Reading what the command line names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import BinaryIO

from cachedoctor.cli.output import warn
from cachedoctor.errors import InputError
from cachedoctor.sources import Access, CacheDocument, load


def stdin() -> BinaryIO:
    """Standard input; if it is closed, it has nothing in it."""
    return sys.stdin.buffer if sys.stdin else BytesIO()


def documents(
    sources: Sequence[str],
    tag: str | None,
    platform: str | None,
    access: Access,
    report_step: Callable[[str], None],
    absent: list[InputError] | None = None,
) -> list[CacheDocument]:
    """The caches of the sources, in their order; what is missing goes into `absent` if that is a list.

    Raises `InputError`.
    """
    documents: list[CacheDocument] = []
    for source in sources:
        report_step(f"reading {source}")
        try:
            read = load(source, tag=tag or None, platform=platform or None, stdin=stdin(), access=access)
        except InputError as error:
            if absent is None or not error.missing:
                raise
            absent.append(error)
            continue
        if platform and not any(document.platform for document in read):
            warn(f"{source}: --platform has no effect here: its cache is not for a particular platform")
        if tag and all(document.kind == "cache-config" for document in read):
            warn(f"{source}: --tag has no effect here: a cache config has no tags")
        documents += read
    return documents


def labels(path: str | None) -> Mapping[str, str]:
    """The names of records, by digest. Raises `InputError`."""
    if not path:
        return {}
    from cachedoctor.sources.names import load_names

    return load_names(path)
