"""What is fuzzed: each takes any bytes, and may raise nothing but what it promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from cachedoctor.analysis import analyze
from cachedoctor.diagnosis import diagnose
from cachedoctor.errors import InputError
from cachedoctor.pprof import evidence
from cachedoctor.repair.repair import LimitError, Options, repair
from cachedoctor.report import Style
from cachedoctor.report import report as report_of
from cachedoctor.report.profiled import report as profile_report_of
from cachedoctor.sources import CacheDocument, load

FIXTURES = Path(__file__).parent.parent / "fixtures"


def source(data: bytes) -> None:
    """A cache in any container, from its bytes to its reports."""
    documents = _read(data)
    if documents:
        with suppress(InputError):
            found = analyze(documents)
            for format in ("text", "json", "markdown", "sarif", "junit"):
                assert report_of(format).render(found, Style())


def mended(data: bytes) -> None:
    """A cache that is repaired: its own proof holds, and what was written is found as good as it was."""
    documents = _read(data)
    if documents:
        with suppress(InputError, LimitError):
            made = repair(documents, Options())
            again = load("-", stdin=BytesIO(made.data))
            repeated = repair(again, Options())
            assert (repeated.lost.records, repeated.lost.results) == (0, 0)
            assert repeated.after.loops == 0


def profile(data: bytes) -> None:
    """A profile, a goroutine dump or a table, from its bytes to its reports."""
    with suppress(InputError):
        found = diagnose([evidence.read(data, "fuzz")])
        for format in ("text", "json", "markdown", "folded", "svg"):
            with suppress(InputError):
                assert profile_report_of(format).render(found, Style()) or format == "folded"


def _read(data: bytes) -> list[CacheDocument]:
    with suppress(InputError):
        return load("-", stdin=BytesIO(data))
    return []


TARGETS: Mapping[str, Callable[[bytes], None]] = {"source": source, "mended": mended, "profile": profile}


def corpus(target: str) -> list[bytes]:
    """What the fuzzer starts with: the fixtures, large ones left out, since it copies them over and over."""
    folders = ["profiles"] if target == "profile" else ["manifests", "exporter-state", "layouts"]
    files = (file for folder in folders for file in sorted((FIXTURES / folder).rglob("*")) if file.is_file())
    return [_unpacked(data) for file in files if len(data := file.read_bytes()) < 60_000]


def _unpacked(data: bytes) -> bytes:
    """A fuzzer learns nothing from what is compressed."""
    import gzip

    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
