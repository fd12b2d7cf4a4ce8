"""What to do about a finding, as it fits the caches that it is about.

Not every cache can be repaired, and those that can each have a command of their own.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from cachedoctor.rules._shared import DELETE
from cachedoctor.sources import CacheDocument
from cachedoctor.text import argument, printable

_COMMAND = "\ncachedoctor repair SOURCE"
"""How a command begins that repairs."""
_INLINE = (
    "Build the image again with --cache-to type=inline, and leave out --cache-from for it once. An inline cache is a "
    "part of its image, so no repaired file can replace it.",
    "Or export a cache of its own, which can be repaired: --cache-to type=registry,ref=REF,mode=max",
)
_ANNOTATED = (
    "Export to a new scope= (gha) or name= (s3, azblob), and import from there: cachedoctor cannot write to these "
    "backends.",
    "Or export to a registry instead, where a cache can be repaired: --cache-to type=registry,ref=REF,mode=max",
)
_JOINED = "joined.json"
"""Where several sources are written as one cache."""


def adapted(help: tuple[str, ...], documents: Sequence[CacheDocument]) -> tuple[str, ...]:
    """The steps for caches of this kind.

    An inline cache and those of the gha, s3 and azblob backends cannot be replaced by a repaired file, so the steps
    that repair or delete them say what to do instead.
    """
    instead: tuple[str, ...] = ()
    if documents and all(document.kind == "inline" for document in documents):
        instead = _INLINE
    elif documents and all(document.is_annotated for document in documents):
        instead = _ANNOTATED
    if not instead:
        return help
    steps: dict[str, None] = {}
    for step in help:
        if _COMMAND in step:
            steps |= dict.fromkeys(instead)
        elif step != DELETE:
            steps[step] = None
    return tuple(steps)


def with_names(step: str, documents: Sequence[CacheDocument]) -> str:
    """A step with the places of the caches instead of `SOURCE`, `DEST` and `src=DIR`, if they can be typed."""
    places = [place for place in dict.fromkeys(document.location for document in documents) if place]
    if not places or any(place.text == "-" or printable(place.text) != place.text for place in places):
        return step
    if _COMMAND in step:
        if "--max-bytes" not in step and any(document.is_too_large for document in documents):
            step = f"{step} --max-bytes auto"
        commands = [place.repair_arguments() for place in places]
        sources = " ".join(argument(source) for source, _ in commands)
        # Without its layers, a layout cannot be written, but its config can.
        whole = all(document.presence is None or not document.presence.layers_left_out for document in documents)
        target = (commands[0][1] if whole else "-o repaired.json") if len(places) == 1 else f"-o {_JOINED}"
        step = step.replace("SOURCE... -o DEST", "SOURCE -o DEST").replace("SOURCE -o DEST", f"{sources} {target}")
    if places[0].layout and "," not in str(places[0].layout):
        step = step.replace("src=DIR", f"src={shlex.quote(str(places[0].layout))}")
    return step
