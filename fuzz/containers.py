"""OCI layouts described in JSON. A fuzzer never guesses a digest, so blobs are numbered and their digests filled in.

A document is `{"blobs": [any JSON, ...], "index": any JSON, "tag": text, "platform": text}`. In each part `"@3"` is
replaced by the digest of blob 3, `"#3"` by its size, and `"~3"` by its bytes in base64.
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
    """The files of a layout by their paths in it, and the tag and platform to read."""

    files: dict[str, bytes]
    tag: str | None
    platform: str | None

    def write(self, folder: Path) -> None:
        """Write it as a folder."""
        (folder / "blobs/sha256").mkdir(parents=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)

    def tar(self) -> bytes:
        """The layout as a tar."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, data in self.files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return buffer.getvalue()

    def packed(self) -> bytes:
        """The layout as a compressed tar."""
        return gzip.compress(self.tar(), compresslevel=1, mtime=0)


def read(data: bytes) -> Container | None:
    """The layout that a document describes, `None` if the bytes are not such a document."""
    try:
        parsed = json.loads(data)
        if not isinstance(parsed, dict) or not isinstance(parsed.get("blobs"), list) or "index" not in parsed:
            return None
        blobs: list[bytes] = []
        # Only JSON is read from a tar, but any named file from a folder, so only objects and arrays are written.
        for value in parsed["blobs"][:MOST_BLOBS]:
            blobs.append(_filled(value, blobs) if isinstance(value, dict | list) else b"{}")
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
    def filled(match: re.Match[bytes]) -> bytes:
        number = int(match[2])
        if number >= len(blobs):
            return match[0]
        if match[1] == b"#":
            return str(len(blobs[number])).encode()
        text = digest_of(blobs[number]).encode() if match[1] == b"@" else base64.b64encode(blobs[number])
        return b'"%s"' % text

    return _NAMED.sub(filled, json.dumps(value, separators=(",", ":")).encode())


def described(folder: Path) -> bytes:
    """The document that describes a layout, for the fuzzer to start with. Blobs that are not JSON are left out."""
    texts = {}
    for file in sorted((folder / "blobs/sha256").iterdir()):
        data = file.read_bytes()
        if data.startswith(b"{"):
            texts[f"sha256:{file.name}"] = json.loads(data)
    blobs: list[Any] = []
    numbers: dict[str, int] = {}
    while texts:
        # A blob comes after all blobs that it names.
        digest = next(key for key, value in texts.items() if not any(name in json.dumps(value) for name in texts))
        value = _named(texts.pop(digest), numbers)
        if isinstance(value, dict) and value.get(INLINE_CACHE):
            blobs.append(json.loads(base64.b64decode(value[INLINE_CACHE])))
            value[INLINE_CACHE] = f"~{len(blobs) - 1}"
        numbers[digest] = len(blobs)
        blobs.append(value)
    index = _named(json.loads((folder / "index.json").read_bytes()), numbers)
    return json.dumps({"blobs": blobs, "index": index}, separators=(",", ":")).encode()


def _named(value: Any, numbers: dict[str, int]) -> Any:
    if isinstance(value, list):
        return [_named(item, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    renamed = {name: _named(item, numbers) for name, item in value.items()}
    if value.get("digest") in numbers and "size" in value:
        renamed |= {"digest": f"@{numbers[value['digest']]}", "size": f"#{numbers[value['digest']]}"}
    return renamed
