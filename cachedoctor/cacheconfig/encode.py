"""From a `CacheConfig` to the bytes that BuildKit would write."""

from __future__ import annotations

from cachedoctor.cacheconfig.document import CacheConfig

_ESCAPED = "<>&"
_ESCAPED_OTHERS = "\u2028\u2029"


def encode(config: CacheConfig) -> bytes:
    """The JSON of a cache config, byte for byte as BuildKit v0.8 to v0.32 write `v1.CacheConfig` with `encoding/json`.

    Zero values that are marked `omitempty` are left out (a `parent` of 0 among them), keys are in the order of the
    Go structs, times are as they were read, and `<`, `>` and `&` are escaped.
    """
    from cachedoctor.cacheconfig import typed

    return _escaped(typed.encode(config))


def encoded_length(text: str) -> int:
    """Bytes of a text in the document, with its quotes and escapes."""
    from cachedoctor.cacheconfig import typed

    return len(_escaped(typed.encode_text(text)))


def _escaped(data: bytes) -> bytes:
    for letter in _ESCAPED if data.isascii() else _ESCAPED + _ESCAPED_OTHERS:
        encoded = letter.encode()
        if encoded in data:
            data = data.replace(encoded, f"\\u{ord(letter):04x}".encode())
    return data
