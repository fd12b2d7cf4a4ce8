"""What the functions of a profile tell of the daemon: its Go version, and which BuildKit it may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_Signs = Sequence[tuple[str, re.Pattern[str]]]
_GO: _Signs = (
    # The first that is there counts: each is in no earlier release.
    ("Go 1.25 or later", re.compile(r"^runtime\.(scanObjectsSmall|scanSpan|tryDeferToSpanScan|\(\*spanInline)")),
    (
        "Go 1.24 or later",
        re.compile(r"^internal/(runtime/maps|sync)\.|^runtime\.mapIter(Start|Next)|^crypto/internal/fips140/"),
    ),
    ("Go 1.23 or earlier", re.compile(r"^runtime\.(mapiternext|mapiterinit|\(\*bmap\)|hashGrow|growWork|evacuate)")),
)
_V1 = r"remotecache/v1\."
_BUILDKIT: _Signs = (
    ("v0.9 to v0.24", re.compile(_V1 + r"(\(\*normalizeState\)|normalizeItem|\(\*CacheChains\)\.normalize)")),
    (
        "v0.25 or later",
        re.compile(_V1 + r"(\(\*item\)\.walkChildren|\(\*CacheChains\)\.(leaves|computeIDs)|IntersectAll)"),
    ),
)


def go_version(functions: Iterable[str]) -> str | None:
    """The Go release that the daemon was built with, as far as its functions tell.

    Source: the runtime of Go 1.18 to 1.27; maps were written anew in 1.24, the scan of small objects in 1.25.
    """
    return _first(_GO, list(functions))


def buildkit_regime(functions: Iterable[str]) -> str | None:
    """Which exporter the daemon has, told from functions that only one of them has: a guess at the release."""
    return _first(_BUILDKIT, list(functions))


def has_old_maps(functions: Iterable[str]) -> bool | None:
    """Whether the maps are those of before Go 1.24, with which a call of the loop check takes longer.

    `None` where that is not known.
    """
    version = go_version(functions)
    return None if version is None else version == "Go 1.23 or earlier"


def _first(signs: _Signs, functions: list[str]) -> str | None:
    return next((version for version, sign in signs if any(map(sign.search, functions))), None)
