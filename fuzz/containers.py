"""OCI layouts out of JSON: a fuzzer never finds a digest, so that the blobs are written here, and named by numbers.

A document is `{"blobs": [any JSON, ...], "index": any JSON, "tag": text, "platform": text}`. In each part `"@3"` stands
for the digest of blob 3, `"#3"` for its size, and `"~3"` for its bytes in base64.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachedoctor.buildkit import INLINE_CACHE
from cachedoctor.sources.document import digest_of

MOST_BLOBS = 30
_NAMED = re.compile(rb'"([@#~])(\d{1,2})"')


@dataclass(frozen=True, slots=True)
class Container:
    """The files of a layout by their names in it, and what is asked of it."""

    files: dict[str, bytes]
    tag: str | None
    platform: str | None

    def write(self, folder: Path) -> None:
        """Write it as a folder."""
        (folder / "blobs/sha256").mkdir(parents=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)

    def tar(self) -> bytes:
        """All of it as a tar."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, data in self.files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return buffer.getvalue()

    def packed(self) -> bytes:
        """All of it as a compressed tar."""
        return gzip.compress(self.tar(), compresslevel=1, mtime=0)


def read(data: bytes) -> Container | None:
    """The layout that a document describes, `None` where the bytes are no such document."""
    try:
        parsed = json.loads(data)
        if not isinstance(parsed, dict) or not isinstance(parsed.get("blobs"), list) or "index" not in parsed:
            return None
        blobs: list[bytes] = []
        # A tar is read for its JSON alone, a folder for whatever is named, so that only objects and arrays are written.
        for one in parsed["blobs"][:MOST_BLOBS]:
            blobs.append(_filled(one, blobs) if isinstance(one, dict | list) else b"{}")
        index = _filled(parsed["index"], blobs)
    except (ValueError, RecursionError):
        return None
    files = {f"blobs/sha256/{digest_of(blob).removeprefix('sha256:')}": blob for blob in blobs}
    if isinstance(parsed["index"], dict | list):
        files["index.json"] = index
    return Container(files, _text(parsed.get("tag")), _text(parsed.get("platform")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _filled(value: Any, blobs: list[bytes]) -> bytes:
    def shown(found: re.Match[bytes]) -> bytes:
        number = int(found[2])
        if number >= len(blobs):
            return found[0]
        if found[1] == b"#":
            return str(len(blobs[number])).encode()
        text = digest_of(blobs[number]).encode() if found[1] == b"@" else base64.b64encode(blobs[number])
        return b'"%s"' % text

    return _NAMED.sub(shown, json.dumps(value, separators=(",", ":")).encode())


def described(folder: Path) -> bytes:
    """The document that describes a layout: what the fuzzer starts with. Blobs that are no JSON are left out."""
    texts = {}
    for file in sorted((folder / "blobs/sha256").iterdir()):
        data = file.read_bytes()
        if data.startswith(b"{"):
            texts[f"sha256:{file.name}"] = json.loads(data)
    made: list[Any] = []
    numbers: dict[str, int] = {}
    while texts:
        # What names none of those that are left comes first.
        digest = next(one for one, value in texts.items() if not any(name in json.dumps(value) for name in texts))
        value = _named(texts.pop(digest), numbers)
        if isinstance(value, dict) and value.get(INLINE_CACHE):
            made.append(json.loads(base64.b64decode(value[INLINE_CACHE])))
            value[INLINE_CACHE] = f"~{len(made) - 1}"
        numbers[digest] = len(made)
        made.append(value)
    index = _named(json.loads((folder / "index.json").read_bytes()), numbers)
    return json.dumps({"blobs": made, "index": index}, separators=(",", ":")).encode()


def _named(value: Any, numbers: dict[str, int]) -> Any:
    if isinstance(value, list):
        return [_named(one, numbers) for one in value]
    if not isinstance(value, dict):
        return value
    made = {name: _named(one, numbers) for name, one in value.items()}
    if value.get("digest") in numbers and "size" in value:
        made |= {"digest": f"@{numbers[value['digest']]}", "size": f"#{numbers[value['digest']]}"}
    return made
