"""The BuildKit v0 cache config: what it holds, and how its JSON is read and written. Imports nothing above it."""

from cachedoctor.cacheconfig.decode import MEDIA_TYPE, decode, decode_inline
from cachedoctor.cacheconfig.document import NO_PARENT, CacheConfig
from cachedoctor.cacheconfig.encode import encode

__all__ = ["MEDIA_TYPE", "NO_PARENT", "CacheConfig", "decode", "decode_inline", "encode"]
