"""What other tools print about an image or a cache without the cache itself: it is recognized, to say what to run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_REFERENCE = re.compile(r"[\w][\w.:/@-]{0,254}")
_NAMED = re.compile(r"^Name:[ \t]+(\S+)[ \t]*\r?$", re.MULTILINE)
_TYPED = re.compile(r"^(?:MediaType|Digest):[ \t]+\S", re.MULTILINE)

Fields = dict[str, Any]


def advice(parsed: Any) -> str:
    """What JSON is that some tool printed about an image, and what to run instead; empty if it is something else."""
    first = parsed[0] if isinstance(parsed, list) and parsed else parsed
    if not isinstance(first, dict):
        return ""
    return next(filter(None, (recognize(first) for recognize in _RECOGNIZED)), "")


def text_advice(text: str) -> str:
    """The same for a text: what `docker buildx imagetools inspect` prints."""
    name = _NAMED.search(text)
    if name is None or not _TYPED.search(text):
        return ""
    return _instead("docker buildx imagetools inspect", name[1])


def _instead(tool: str, name: object) -> str:
    return f"the output of {tool}, which does not have the cache in it; run: cachedoctor analyze docker://{_safe(name)}"


def _safe(name: object) -> str:
    """A reference as it can be typed, `REF` if it is anything else."""
    return name if isinstance(name, str) and _REFERENCE.fullmatch(name) else "REF"


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _docker_inspect(fields: Fields) -> str:
    if not ("Id" in fields and fields.keys() & {"RootFS", "RepoTags", "RepoDigests", "State", "Image"}):
        return ""
    name = _safe(_first(fields.get("RepoTags")) or _first(fields.get("RepoDigests")))
    image = name if name != "REF" else "IMAGE"
    return f"{_instead('docker inspect', name)}, or: docker save {image} | cachedoctor analyze -"


def _skopeo_inspect(fields: Fields) -> str:
    if not {"Name", "Digest", "Layers"} <= fields.keys():
        return ""
    return _instead("skopeo inspect", f"{fields['Name']}@{fields['Digest']}")


def _imagetools(fields: Fields) -> str:
    if "name" not in fields or not isinstance(fields.get("manifest"), dict):
        return ""
    return _instead("docker buildx imagetools inspect", fields["name"])


def _manifest_inspect(fields: Fields) -> str:
    return _instead("docker manifest inspect -v", fields["Ref"]) if {"Ref", "Descriptor"} <= fields.keys() else ""


_RECOGNIZED: tuple[Callable[[Fields], str], ...] = (_docker_inspect, _skopeo_inspect, _imagetools, _manifest_inspect)


def image_configs(parsed: Any) -> Iterator[Any]:
    """The image configs in what `docker buildx imagetools inspect --format '{{json .}}'` prints, one for a platform."""
    image = parsed.get("image") if isinstance(parsed, dict) and "name" in parsed else None
    if isinstance(image, dict):
        yield from [image] if "rootfs" in image else image.values()
