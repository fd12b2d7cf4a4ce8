"""The BuildKit v0 cache config: what it holds, and how its JSON is read and written. Imports nothing above it."""

from cachedoctor.cacheconfig.decode import decode, decode_inline, decode_parsed, decode_strictly
from cachedoctor.cacheconfig.document import MOST_NESTED, NO_PARENT, CacheConfig, all_within, instant, nested_too_deep
from cachedoctor.cacheconfig.encode import encode, encoded_length

__all__ = [
    "MOST_NESTED",
    "NO_PARENT",
    "CacheConfig",
    "all_within",
    "decode",
    "decode_inline",
    "decode_parsed",
    "decode_strictly",
    "encode",
    "encoded_length",
    "instant",
    "nested_too_deep",
]
