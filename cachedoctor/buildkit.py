"""What depends on a BuildKit release, and what BuildKit fixes: spans of releases, limits, costs and media types.

The facts were read from BuildKit's source (v0.8 to v0.32.2) and checked with real daemons (v0.21.1 and v0.32.2), unless
a docstring says otherwise. Every release that the code depends on is named here and nowhere else.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cachedoctor.text import cut, printable

_NUMBER = r"([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?(?:[-+~].*)?"
_RELEASE = f"v?{_NUMBER}"
_ENGINE = f"(?i:docker-v?){_NUMBER}"
_Version = tuple[int, int, int]
_INSPECT = "`docker buildx inspect` shows the release of your builder"
_EXPECTED = "expected one such as v0.21.1, or docker-28.2 for the BuildKit of a Docker Engine"
_UNFINISHED_ENGINE = r"(?i:docker-v?)[0-9]{1,4}"


class Release(NamedTuple):
    """A BuildKit release. Releases are ordered."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

    @property
    def line(self) -> str:
        """The release without its patch number, such as `v0.21`."""
        return f"v{self.major}.{self.minor}"

    @classmethod
    def parse(cls, text: str) -> Release:
        """Read `v0.21.1`, `0.21`, `v0.21.1-0-gabc` or `v0.21.1+dirty`; what follows the numbers is ignored.

        Raises `ValueError` for anything else, such as the version of a Docker Engine, with a hint.
        """
        text = text.strip()
        match = re.fullmatch(_RELEASE, text)
        if match is None:
            raise ValueError(f"{cut(text, 60)!r} is not a BuildKit release; {_EXPECTED}")
        release = cls(*_numbers(match))
        if release.major:
            raise ValueError(f"{printable(cut(text, 60))} is not a BuildKit release (these are v0.x); {_hint(match)}")
        if not release.minor:
            raise ValueError(f"{printable(cut(text, 60))} is not the number of a BuildKit release; {_EXPECTED}")
        return release

    @property
    def image(self) -> str:
        """The image of a builder with the driver docker-container."""
        return f"moby/buildkit:{self}"


class Span(NamedTuple):
    """Releases from `since` on, before `until`; `None` leaves that end open."""

    since: Release | None = None
    until: Release | None = None
    """The first release after it."""

    def __contains__(self, release: object) -> bool:
        return (
            isinstance(release, Release)
            and (self.since is None or self.since <= release)
            and (self.until is None or release < self.until)
        )

    def concerns(self, release: Release | None) -> bool:
        """Whether a release is in it; true for `None`, which means any release."""
        return release is None or release in self

    def __str__(self) -> str:
        """As it is said in a sentence, such as `v0.9 to v0.24`, `v0.25 and later` or `every BuildKit`."""
        if self.since is None and self.until is None:
            return "every BuildKit"
        if self.until is None:
            return f"{_short(self.since)} and later"
        last = self.until._replace(patch=self.until.patch - 1) if self.until.patch else None
        end = str(last) if last else Release(self.until.major, self.until.minor - 1).line
        if self.since is None:
            return f"{end} and earlier"
        start = str(self.since) if last and self.since.line == last.line else _short(self.since)
        return end if start == end else f"{start} to {end}"


def _short(release: Release | None) -> str:
    assert release
    return str(release) if release.patch else release.line


EVERY = Span()
LOOP_CHECK = Span(Release(0, 9), Release(0, 25))
"""The exporter looks for loops by walking every path (`v1.(*normalizeState).checkLoops`)."""
REWRITTEN = Span(since=Release(0, 25))
"""The exporter merges records while it adds them, and walks no paths (`v1.(*CacheChains).Add`)."""
REFUSES_EMPTY_INPUT = Span(since=Release(0, 25))
"""The importer refuses a cache with an empty input; earlier ones drop the record or the input (`v1.parseRecord`)."""
WRITES_BAD_INLINE = Span(until=Release(0, 10))
"""Inline caches can have layers outside their image (moby/buildkit#2651)."""
LOSES_LINKS = Span(Release(0, 25), Release(0, 33))
"""The importer drops links of a cache with several leaves (`v1.NewCacheKeyStorage`, `addItemToStorage`).

Fixed by pull request 7053, which is in v0.33.0 judging by its date.
"""
FAILS_ON_DELETED_BLOB = Span(Release(0, 25, 0), Release(0, 25, 1))
"""The export fails if a blob that was exported before has been deleted since."""
FAILS_WITHOUT_TAG = Span(until=Release(0, 29))
"""A build fails if the folder of `--cache-from type=local` has not the tag; later ones continue without the cache.

See `client.parseCacheOptions`.
"""
PROVENANCE_WALKS = Span(Release(0, 11), Release(0, 14))
"""Creating a provenance attestation walks the same key chains as an export."""
PUSHES_IMAGE_FIRST = Span(until=Release(0, 28))
"""The image is pushed before the cache export begins; later releases do both at once."""
WRITES_IMAGE_MANIFEST = Span(since=Release(0, 21))
"""`image-manifest=true` is the default: the cache is an OCI image manifest instead of an index."""
HAS_CACHE_DEBUG = Span(since=Release(0, 24))
"""buildkitd has `--save-cache-debug`."""
RECOMMENDED = Release(0, 33)
"""The first release without a known fault that matters here, released on 2 September 2026."""
MEASURED = (Release(0, 21, 1), Release(0, 32, 2))
"""The first and the last release that was measured."""

IMPORT_LIMIT = 1_048_576
"""Bytes of a cache config or manifest that an importer reads (`remotecache.readBlob`)."""

SECONDS_PER_CALL = (140e-9, 175e-9, 400e-9)
"""Seconds for one call of the loop check: at best, usually, and on a slower machine or with an older build.

140 to 200 ns were measured (v0.21.1, Go 1.24); the last is twice that.
"""
SECONDS_PER_WALK_STEP = 60e-9
"""Seconds for one descendant walked: importing a chain of 10,000 records a second time took 3 s longer (v0.32.2)."""
SECONDS_PER_MARSHAL_STEP = 30e-9
"""Seconds to look up one blob: a chain of 200 layers took 3.0 s, one of 400 took 44 s (v0.32.2).

v0.21.1 took 1.6 times as long.
"""

INLINE_CACHE = "moby.buildkit.cache.v0"
"""The key of an image config under which an inline cache is (`exptypes.ExporterInlineCache`)."""
CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_TYPES = frozenset(
    {
        LAYER,
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    }
)
"""The media types of layers that BuildKit writes: how they are compressed."""
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


class Fault(NamedTuple):
    """Something that a span of releases does wrong."""

    releases: Span
    what: str
    remedy: str
    """What helps as long as such a release is used, empty if nothing does."""


FAULTS = (
    Fault(
        LOOP_CHECK,
        "an export walks every path through the cache keys",
        "fewer diamonds in the Dockerfile; for a cache that grew or was joined, `cachedoctor repair --max-calls`",
    ),
    Fault(
        PROVENANCE_WALKS,
        "creating a provenance attestation walks the same keys, without any `--cache-to`",
        "`--provenance=false`",
    ),
    Fault(
        LOSES_LINKS,
        "an import silently drops links of a cache with several leaves, and several imports at once miss more "
        "(moby/buildkit issue 4674)",
        "import a single cache, written by `cachedoctor repair`",
    ),
    Fault(FAILS_ON_DELETED_BLOB, "an export fails if a blob that was exported before has been deleted since", ""),
)
"""Known faults of releases. No advice may name a release that has one as the cure."""


_ENGINES = """
23.0 v0.10.6    24.0 v0.11.6    25.0 v0.12.5    26.0 v0.13.1    26.1.1 v0.13.2  27.0 v0.14.1    27.1 v0.15.0
27.2 v0.15.2    27.3 v0.16.0    27.4 v0.17.3    27.5 v0.18.2    28.0 v0.20.0    28.1 v0.21.0    28.2 v0.22.0
28.3 v0.23.1    28.4 v0.24.0    28.5.0 v0.25.0  28.5.1 v0.25.1  28.5.2 v0.25.2  29.0 v0.25.2    29.1 v0.26.2
29.2 v0.27.0    29.3 v0.28.0    29.4 v0.29.0    29.5 v0.30.0    29.6 v0.31.0    29.7 v0.32.0    29.7.2 v0.32.2
"""
"""Docker Engines and the BuildKit that is built into each, from the Engine's own source."""


def _engines() -> list[tuple[_Version, Release]]:
    rows = _ENGINES.split()
    return [(_version(row), Release(*_version(text[1:]))) for row, text in zip(rows[::2], rows[1::2], strict=True)]


def engines(releases: Span) -> str:
    """The Docker Engines that have one of these releases, such as `28.5.0 to 29.7.2`; empty if no known one has."""
    names = [name for name, (_, release) in zip(_ENGINES.split()[::2], _engines(), strict=True) if release in releases]
    return " to ".join(dict.fromkeys([names[0], names[-1]])) if names else ""


def parse_release(text: str) -> Release | None:
    """The release that somebody names: `v0.21.1`, `0.21`, `docker-28.2.2` (a Docker Engine) or `all`, which is `None`.

    Raises `ValueError`, whose text is one line that says what to name instead.
    """
    text = text.strip()
    if text == "all":
        return None
    if re.fullmatch(_UNFINISHED_ENGINE, text):
        raise ValueError(f"{text} can have several releases of BuildKit; add the next number, as in {text}.1")
    match = re.fullmatch(_ENGINE, text)
    return _of_engine(_numbers(match)) if match else Release.parse(text)


def _of_engine(engine: _Version) -> Release:
    """The BuildKit of a Docker Engine: that of the newest Engine in the table which is not newer than it."""
    table = _engines()
    name = "docker-" + ".".join(map(str, engine))
    first, newest = table[0][0], table[-1][0]
    if engine < first:
        raise ValueError(
            f"{name} has a snapshot of BuildKit without a release number; Docker Engine {first[0]}.{first[1]} is the "
            "first with a release"
        )
    if engine > newest:
        raise ValueError(
            f"{name} is newer than the Docker Engines known here (up to {'.'.join(map(str, newest))}); {_INSPECT}"
        )
    return max(row for row in table if row[0] <= engine)[1]


def _hint(match: re.Match[str]) -> str:
    """What to name instead of something that looks like the version of a Docker Engine."""
    engine = ".".join(number for number in match.groups() if number)
    try:
        return f"if it is your Docker Engine, use docker-{engine}, which has BuildKit {_of_engine(_numbers(match))}"
    except ValueError:
        return _INSPECT


def _numbers(match: re.Match[str]) -> _Version:
    major, minor, patch = (int(number or 0) for number in match.groups())
    return major, minor, patch


def _version(text: str) -> _Version:
    major, minor, patch = (*map(int, text.split(".")), 0)[:3]
    return major, minor, patch


NEWEST_ENGINE = _ENGINES.split()[-2]
"""The newest Docker Engine that is known here."""
_ENGINES_LEFT = Span(FAILS_ON_DELETED_BLOB.until, RECOMMENDED)
UPGRADE = (
    f"Upgrade the builder to BuildKit {RECOMMENDED.line} or later, which does not walk paths. {LOSES_LINKS} do not "
    "walk them, but drop links when they import a cache with several leaves, so that steps miss. With these, import "
    "only a cache that cachedoctor repair wrote."
)
"""What helps against the loop check, true for each release."""
UPGRADE_ENGINE = (
    f"With the driver docker, BuildKit comes with Docker Engine, and no Engine up to {NEWEST_ENGINE} has "
    f"{RECOMMENDED.line}. Use Docker Engine {engines(_ENGINES_LEFT)} with a repaired cache, or create a builder:\n"
    f"docker buildx create --driver docker-container --driver-opt image={RECOMMENDED.image} --use"
)
"""The same for a builder whose release comes with Docker Engine."""
