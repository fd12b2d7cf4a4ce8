"""What holds for profiles, goroutine dumps and tables, whatever their bytes are."""

from __future__ import annotations

import gzip
from contextlib import suppress
from io import BytesIO

from cachedoctor.diagnosis.diagnose import diagnose
from cachedoctor.diagnosis.evidence import Evidence
from cachedoctor.diagnosis.load import load
from cachedoctor.errors import InputError
from cachedoctor.report.page import Style
from fuzz.checks import check_report, one_of
from tests.report.rendered import OF_PROFILES, rendered


def decode(data: bytes) -> None:
    """A profile.proto is refused by `InputError`, or its columns fit, compressed or not; reports are sound."""
    found = _read(data)
    packed = _read(gzip.compress(data, compresslevel=1, mtime=0))
    if found is None or packed is None:
        # What is compressed already is refused once more is too much.
        assert found is packed or data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd"))
        return
    assert (found.kind, found.unit, found.total) == (packed.kind, packed.unit, packed.total)
    if found.profile:
        profile = found.profile
        assert len(profile.starts) == len(profile.values) + 1
        assert len(profile.frames) == len(profile.inlined) == profile.starts[-1]
        assert not len(profile.frames) or 0 <= profile.frames.min() <= profile.frames.max() < len(profile.names)
    _judge(found, data)


def goroutines(data: bytes) -> None:
    """A goroutine dump is refused by `InputError`, or counts each goroutine once, quoted as well; reports are sound."""
    found = _read(data)
    if found:
        if found.goroutines:
            assert found.total == sum(one.count for one in found.goroutines)
            assert all(one.count > 0 and all(one.stack) for one in found.goroutines)
            for again in _quoted(data):
                assert again
                assert again.goroutines == found.goroutines
        _judge(found, data)


def table(data: bytes) -> None:
    """A table is refused by `InputError`, or has values of 64 bits, the same where it is quoted; reports are sound."""
    found = _read(data)
    if found and found.table:
        read = found.table.top
        assert all(-(1 << 63) <= value < 1 << 63 for row in read.rows for value in (row.flat, row.cum))
        for again in _quoted(data):
            assert again
            assert again.table == found.table
    if found:
        _judge(found, data)


def _quoted(data: bytes) -> list[Evidence | None]:
    """The same text with the ends of lines that Windows has, and as a mail program quotes it."""
    if b"\r" in data or not data.isascii():
        return []
    return [_read(data.replace(b"\n", b"\r\n")), _read(b"> " + data.replace(b"\n", b"\n> "))]


def _read(data: bytes) -> Evidence | None:
    with suppress(InputError):
        return load("-", stdin=BytesIO(data))
    return None


def _judge(found: Evidence, data: bytes) -> None:
    with suppress(InputError):
        told = diagnose([found])
        assert told.findings
        format = one_of(OF_PROFILES, data)
        check_report(format, rendered(told, format, Style(verbosity=1)))
