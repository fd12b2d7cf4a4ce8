"""Fuzz targets for profiles, goroutine dumps and tables: what must hold for any bytes."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import suppress
from io import BytesIO

from cachedoctor.diagnosis.diagnose import diagnose
from cachedoctor.diagnosis.evidence import MARKS, Evidence, load
from cachedoctor.errors import InputError
from cachedoctor.io.wrappings import unwrapped
from cachedoctor.report.page import Style
from fuzz.checks import check_report, one_of
from tests.pprof.profiles import KINDS, kept_in
from tests.report.rendered import OF_PROFILES, rendered

_OTHER_ENDS = re.compile(rb"[\r\x0b\x0c\x1b-\x1e]")


def decode(data: bytes) -> None:
    """A profile is read alike with lists, with arrays and compressed, or is refused; reports are valid."""
    evidence = _read(data)
    packed = _read(gzip.compress(data, compresslevel=1, mtime=0))
    if evidence is None or packed is None:
        # Compressed input may be refused here, because one more compression may exceed the limit.
        assert evidence is packed or data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd"))
        return
    assert (evidence.kind, evidence.unit, evidence.total) == (packed.kind, packed.unit, packed.total)
    if evidence.profile:
        for stack, _ in evidence.profile.samples:
            assert all(0 <= node < len(evidence.profile.names) for node in stack)
    read = {kind: _facts(data, kind) for kind in KINDS}
    assert read["lists"] == read["arrays"]
    _judge(evidence, data)


def _facts(data: bytes, kind: str) -> object:
    """The main parts of a diagnosis, with samples of one kind."""
    with kept_in(kind):
        evidence = _read(data)
    if evidence is None or evidence.profile is None:
        return evidence
    diagnosis = diagnose([evidence])
    return diagnosis.top, diagnosis.phases, diagnosis.findings, list(evidence.profile.stacks())


def goroutines(data: bytes) -> None:
    """A dump has each goroutine once, even if quoted, or is refused with `InputError`; reports are valid."""
    evidence = _read(data)
    if evidence:
        if evidence.goroutines:
            assert evidence.total == sum(goroutine.count for goroutine in evidence.goroutines)
            assert all(goroutine.count > 0 and all(goroutine.stack) for goroutine in evidence.goroutines)
            for quoted in _quoted(data) if evidence.whole else ():
                assert quoted
                assert quoted.goroutines == evidence.goroutines
        _judge(evidence, data)


def table(data: bytes) -> None:
    """A table has 64-bit values, the same if quoted, or is refused with `InputError`; reports are valid."""
    evidence = _read(data)
    if evidence and evidence.table:
        rows = evidence.table.top.rows
        assert all(-(1 << 63) <= value < 1 << 63 for row in rows for value in (row.flat, row.cum))
        for quoted in _quoted(data):
            assert quoted
            assert quoted.table == evidence.table
    if evidence:
        _judge(evidence, data)


def _quoted(data: bytes) -> list[Evidence | None]:
    """The same text with Windows line endings, and as mail programs, syslog and the log driver of Docker wrap it."""
    if not data.isascii() or _OTHER_ENDS.search(data):
        return []
    lines = data.decode().split("\n")
    if unwrapped(data.decode(), MARKS) != data.decode().splitlines() or sum(map(bool, map(MARKS.search, lines))) < 3:
        return []
    wrapped = (
        "\r\n".join(lines),
        "".join(f"> {line}\n" for line in lines),
        "".join(f"Jun 17 21:38:{at % 60:02} host dockerd[7]: {line}\n" for at, line in enumerate(lines)),
        "".join(f"{json.dumps({'log': line + chr(10), 'stream': 'stderr'})}\n" for line in lines),
    )
    return [_read(text.encode()) for text in wrapped]


def _read(data: bytes) -> Evidence | None:
    with suppress(InputError):
        return load("-", stdin=BytesIO(data))
    return None


def _judge(evidence: Evidence, data: bytes) -> None:
    with suppress(InputError):
        diagnosis = diagnose([evidence])
        assert diagnosis.findings
        format = one_of(OF_PROFILES, data)
        check_report(format, rendered(diagnosis, format, Style(verbosity=1)))
