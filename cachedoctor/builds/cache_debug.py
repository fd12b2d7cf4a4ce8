"""The operations that buildkitd lists at `/debug/cache/all`: their digests and what they are in words, no lines."""

from __future__ import annotations

from typing import Any

from cachedoctor.builds.build import Build, Step
from cachedoctor.builds.dockerfile import without_values
from cachedoctor.errors import InputError
from cachedoctor.sources.names import hashed_texts, operation_kind, operation_label


def debug_build(entries: list[Any]) -> Build:
    """All operations of a daemon as if they were one build; their inputs are unknown.

    Raises `InputError` if there are none.
    """
    texts = hashed_texts(entries)
    kinds = {digest: kind for digest, text in texts.items() if (kind := operation_kind(text))}
    steps = tuple(
        Step(digest, kind, (digest,), (), (), without_values(operation_label(texts[digest])))
        for digest, kind in kinds.items()
    )
    if not steps:
        raise InputError("a list without operations; expected that of /debug/cache/all")
    return Build("", "cache-debug", "", "", "", steps)
