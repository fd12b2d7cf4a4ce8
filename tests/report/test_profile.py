"""Reports on a profile: goldens, widths, and text from outside."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from itertools import product
from pathlib import Path

import orjson
import pytest

from cachedoctor.analysis.analyze import analyze
from cachedoctor.diagnosis.diagnose import Diagnosis, diagnose
from cachedoctor.diagnosis.evidence import Evidence, load
from cachedoctor.errors import InputError
from cachedoctor.pprof.goroutines import Goroutine, profile_of
from cachedoctor.report.formats import folded
from cachedoctor.report.page import Style
from cachedoctor.sources import load as load_cache
from tests.pprof.profiles import Builder
from tests.report.rendered import OF_PROFILES, rendered
from tests.support import FIXTURES

GOLDENS = Path(__file__).parent / "goldens/profile"
CASES = {
    "cpu-stuck": "cpu-stuck.pprof",
    "cpu-deep-chain": "cpu-deep-chain.pprof",
    "cpu-compress": "cpu-compress.pprof",
    "goroutine-stuck": "goroutine-stuck-debug2.txt",
    "issue-6008": "issue-6008-top50.txt",
    "heap": "heap.pprof",
}


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.chdir(FIXTURES)


@cache
def diagnosis_of(case: str, count: int = 20) -> Diagnosis:
    caches = analyze(load_cache("exporter-state/export-stuck.json")).survey if case == "issue-6008" else None
    return diagnose([load(f"profiles/{CASES[case]}")], count=count, caches=caches, elapsed=2400.0)


ENDINGS = {"text": "txt", "json": "json", "markdown": "md", "folded": "folded"}


@pytest.mark.parametrize(
    ("case", "format"), [*product(CASES, ("text", "json", "markdown")), ("goroutine-stuck", "folded")]
)
def test_golden(case: str, format: str) -> None:
    """Regenerate with GOLDENS=write and read the difference."""
    golden = GOLDENS / f"{case}.{ENDINGS[format]}"
    text = rendered(diagnosis_of(case), format, Style())
    if os.environ.get("GOLDENS") == "write":
        GOLDENS.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("verbosity", [-1, 0])
def test_text_keeps_its_width(case: str, width: int, verbosity: int) -> None:
    text = rendered(diagnosis_of(case), "text", Style(width=width, verbosity=verbosity))
    # A command stays whole, so that it can be copied.
    assert max(len(line) for line in text.splitlines() if "docker buildx create" not in line) <= width
    assert "\x1b" not in text


def test_verbose_output_has_full_names() -> None:
    text = rendered(diagnosis_of("cpu-stuck"), "text", Style(width=80, verbosity=1))
    assert "  github.com/moby/buildkit/cache/remotecache/v1.(*normalizeState).checkLoops\n" in text


def test_colors_do_not_change_the_text() -> None:
    diagnosis = diagnosis_of("cpu-stuck")
    plain, colored = (rendered(diagnosis, "text", Style(color=color)) for color in (False, True))
    assert "\x1b[" in colored
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", colored).splitlines()] == plain.splitlines()


@pytest.mark.parametrize("case", CASES)
def test_the_first_line_is_the_answer_and_every_cause_says_what_to_do(case: str) -> None:
    lines = rendered(diagnosis_of(case), "text", Style(width=200)).splitlines()
    answer = {
        "cpu-stuck": "The cache export walks every path through its cache keys: the loop check.",
        "cpu-deep-chain": "The cache export looks up the blobs of long chains of layers.",
        "cpu-compress": "Layers are being compressed.",
        "goroutine-stuck": "The cache export walks every path through its cache keys: the loop check.",
        "issue-6008": "The cache export walks every path through its cache keys: the loop check. Up to 1.5 h left",
        "heap": "A heap profile shows what holds memory, not where the time goes. This daemon's heap holds 13.54MB",
    }[case]
    assert lines[0].startswith(answer)
    assert "  Now" in lines
    assert "  For good" in lines


def test_every_format_for_people_and_scripts_gives_the_same_advice() -> None:
    diagnosis = diagnosis_of("heap")
    for format in ("text", "json", "markdown"):
        text = rendered(diagnosis, format, Style(width=400))
        assert "alloc\\_space" in text or "alloc_space" in text


HOSTILE = 'a\x1b[31m\u202e|`<script>alert(1)</script>[x](http://y)\n;"]]>&@team'


def hostile() -> Diagnosis:
    builder = Builder(("cpu", "nanoseconds"))
    builder.mapping(f"/bin/{HOSTILE}", HOSTILE)
    builder.proto.comment.append(builder.string(HOSTILE))
    builder.proto.doc_url = builder.string(HOSTILE)
    builder.sample([HOSTILE, "main.main"], 5_000_000)
    cpu = Evidence(HOSTILE, builder.profile())
    stuck = [Goroutine((f"github.com/moby/buildkit/cache/remotecache/v1.{HOSTILE}", "x"), state=HOSTILE)]
    return diagnose([cpu, Evidence(HOSTILE, profile_of(stuck), goroutines=stuck)], focus="main")


@pytest.mark.parametrize("format", OF_PROFILES)
def test_foreign_text_is_data(format: str) -> None:
    text = rendered(hostile(), format, Style(width=200))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "main.main" in text
    if format == "json":
        assert json.loads(text)["inputs"][0]["source"] == HOSTILE
    if format in ("svg", "markdown"):
        code = r"^(```+)\n.*?^\1$|(`+) .+? \2"
        assert "<script>alert" not in re.sub(code, "", text, flags=re.DOTALL | re.MULTILINE)
    if format == "folded":
        assert len(text.splitlines()) == 1


def test_counts_stay_within_64_bits() -> None:
    builder = Builder(("cpu", "count"))
    builder.sample(["main.main"], 2**63 - 1)
    builder.sample(["main.main"], -(2**63))
    orjson.loads(rendered(diagnose([Evidence("x", builder.profile())]), "json", Style()))


def test_folded_stacks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folded, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="more than 100 bytes of folded stacks"):
        rendered(diagnosis_of("cpu-stuck"), "folded", Style())


def test_folded_stacks_add_up() -> None:
    text = rendered(diagnosis_of("cpu-stuck"), "folded", Style())
    lines = text.splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == 15_000_000_000
    assert lines == sorted(set(lines))
    assert any(line.startswith("runtime.mcall;runtime.park_m;") for line in lines)


def test_a_dead_daemon_has_no_export_under_way() -> None:
    diagnosis = diagnose([load("reports/06-2041-concurrent-map-writes/plain.txt")])
    text = rendered(diagnosis, "text", Style())
    assert "Cache exports when it died" in text
    assert "under way" not in text
    assert "Seen: fatal error: concurrent map writes" in text
