"""From bytes to reports and repair: any config gives a report or a one-line error."""

from __future__ import annotations

import copy
import itertools
import zlib
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.errors import InputError, LimitError
from cachedoctor.repairs.repair import Options
from cachedoctor.sources import CacheDocument, load
from fuzz.caches import check_repair, check_reports
from tests.graph.reference import Document
from tests.report.rendered import OF_ANALYSES
from tests.strategies import CREATED, HOSTILE, ODD, changes, hostile, nearly_valid, slots, valid, written
from tests.support import digest, layers, record, run

OPTIONS = st.sampled_from([Options(), Options(minimal=True), Options(max_bytes=700, drop_oldest=True)])


def read(data: bytes) -> list[CacheDocument]:
    """The documents in it; none if it is refused with one line."""
    try:
        return load("-", stdin=BytesIO(data))
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    return []


def report_and_repair(
    documents: Sequence[CacheDocument], options: Options, formats: Sequence[str] = OF_ANALYSES
) -> None:
    with suppress(InputError):
        check_reports(documents, *formats)
    with suppress(InputError, LimitError):
        check_repair(documents, options)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(valid(), min_size=1, max_size=3), OPTIONS)
def test_valid_documents_are_read_and_repaired(documents: list[Document], options: Options) -> None:
    caches = [load("-", stdin=BytesIO(written(document)))[0] for document in documents]
    check_reports(caches, *OF_ANALYSES)
    with suppress(LimitError):
        check_repair(caches, options)
        return
    assert options.max_bytes


def test_every_fault_in_every_slot() -> None:
    """A fault that is not valid in the format is refused, and any other is read and reported."""
    whole = {
        "layers": [*layers(-1, 0), {"blob": digest("x"), "parent": -1, "annotations": {"mediaType": "m"}}],
        "records": [
            record("root"),
            record("a", [0, (0, "s")], layer=1),
            {**record("b", [1]), "chains": [{"layers": [0, 2], "createdAt": CREATED}]},
        ],
    }
    seen: dict[str, set[str]] = {"read": set(), "refused": set()}
    for number, (parent, step) in enumerate(slots(whole)):
        for fault in changes(parent, step):
            changed = copy.deepcopy(whole)
            slot = next(itertools.islice(slots(changed), number, None))
            changes(*slot)[fault]()
            caches = read(written(changed))
            seen["read" if caches else "refused"].add(fault)
            if caches and zlib.crc32(fault.encode()) % 4 == number % 4:
                report_and_repair(caches, Options(), ["json"])
    never = {"not a number", "larger than a float", "larger than 64 bits", "a fraction"}
    assert seen["refused"] - seen["read"] == never
    always = {"missing", "null", "duplicated", "one too large", "one too small", "negative", "outside"}
    assert always <= seen["read"] - seen["refused"]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(nearly_valid(), OPTIONS, st.sampled_from(OF_ANALYSES))
def test_documents_with_one_fault(data: bytes, options: Options, format: str) -> None:
    if caches := read(data):
        report_and_repair(caches, options, [format])


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(hostile(300), OPTIONS)
def test_hostile_documents(data: bytes, options: Options) -> None:
    if caches := read(data):
        report_and_repair(caches, options)


@pytest.mark.parametrize("number", range(len(ODD)))
def test_text_stays_text_in_every_report(number: int) -> None:
    caches = read(HOSTILE["odd text"](number))
    check_reports(caches, *OF_ANALYSES)
    check_repair(caches, Options())


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_large_hostile_documents(name: str) -> None:
    """They are larger than the documents that the properties draw."""
    if caches := read(HOSTILE[name](1500)):
        report_and_repair(caches, Options(), ["json"])


@pytest.mark.parametrize(
    ("command", "name", "code"),
    [("analyze", "odd text", 0), ("check", "ring", 1), ("repair", "ring", 0), ("repair", "nested annotations", 2)],
)
def test_command_gives_a_report_or_one_line(command: str, name: str, code: int) -> None:
    done = run(command, "-", *(["--dry-run"] if command == "repair" else []), stdin=HOSTILE[name](200))
    assert done.returncode == code, done.stderr
    assert done.stdout if code < 2 else len(done.stderr.splitlines()) == 1
    assert b"\x1b" not in done.stdout + done.stderr
