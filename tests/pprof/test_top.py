"""The table, side by side with the real `go tool pprof`."""

import gzip
import random
import subprocess
from pathlib import Path

import pytest

from cachedoctor.diagnosis.load import load
from cachedoctor.pprof.top import Sort, focused, top
from tests.pprof.gotool import pprof_top
from tests.pprof.profiles import Builder
from tests.support import FIXTURES

PROFILES = sorted((FIXTURES / "profiles").glob("*.pprof"))


def ours(file: Path, sort: Sort, count: int, focus: str | None) -> list[str]:
    profile = load(str(file)).profile
    assert profile
    return top(profile, sort, count, focus).lines()


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("sort", ["cum", "flat"])
@pytest.mark.parametrize(
    ("count", "focus"), [(0, None), (10, None), (0, "checkLoops|flate"), (7, "refs.go"), (0, "buildkitd")]
)
def test_captures_have_the_table_of_go_tool_pprof(file: Path, sort: Sort, count: int, focus: str | None) -> None:
    options = [f"-{sort}", *([f"-nodecount={count}"] if count else []), *([f"-focus={focus}"] if focus else [])]
    assert ours(file, sort, count, focus) == pprof_top(file, *options)


def random_profile(seed: int) -> bytes:
    """A profile with recursion, inlined calls, functions without names, negative values and dropped frames."""
    choose = random.Random(seed)
    builder = Builder(
        ("alloc_space", "bytes"), choose.choice([("cpu", "nanoseconds"), ("delay", "ms"), ("n", "count")])
    )
    mapping = builder.mapping("/usr/bin/build kit", "abc") if choose.random() < 0.7 else 0
    names = [f"pkg{number % 4}.(*T[{number}]).f" if number % 3 else f"runtime.g{number}(x)" for number in range(14)]
    names += ["std::vector<int, foo>::push(int)", "a<b", "C.(anonymous namespace)::f", ""]
    lines = [tuple(choose.choice(names) for _ in range(choose.choice([1, 1, 1, 2, 3]))) for _ in range(25)]
    for line in [*lines, ()]:
        builder.location(line, mapping if choose.random() < 0.8 else 0)
    if choose.random() < 0.3:
        builder.proto.drop_frames = builder.string("runtime.g(0|3|6)|std::.*")
        builder.proto.keep_frames = builder.string("runtime.g3") if choose.random() < 0.5 else 0
    builder.proto.time_nanos = choose.choice([0, 1_764_000_000_123_456_789])
    builder.proto.duration_nanos = choose.choice([0, 3_000_000_000])
    builder.proto.comment.extend([builder.string("a comment"), builder.string("# hidden")])
    builder.proto.default_sample_type = builder.string(choose.choice(["", "alloc_space", "unknown"]))
    for _ in range(choose.choice([0, 3, 60])):
        stack = [choose.choice([*lines, ()]) for _ in range(choose.randrange(12))]
        big = choose.choice([1, 10**4, 10**9])
        builder.sample(stack, choose.randrange(1000) * 512, choose.randrange(-3 if seed % 5 == 0 else 0, 40) * big)
    return builder.bytes()


@pytest.mark.parametrize("seed", range(40))
def test_any_profile_has_the_table_of_go_tool_pprof(seed: int, tmp_path: Path) -> None:
    file = tmp_path / "random.pprof"
    file.write_bytes(gzip.compress(random_profile(seed)))
    count = seed % 4 * 3
    sort: Sort = "cum" if seed % 2 else "flat"
    focus = None if seed % 3 else "pkg1|vector|build kit"
    options = [f"-{sort}", *([f"-nodecount={count}"] if count else []), *([f"-focus={focus}"] if focus else [])]
    assert ours(file, sort, count, focus) == pprof_top(file, *options)


def test_an_expression_that_is_none_is_refused() -> None:
    builder = Builder()
    builder.sample(["main.main"], 1, 1)
    with pytest.raises(ValueError, match="no regular expression"):
        focused(builder.profile(), "(")


def test_many_functions_are_told_apart() -> None:
    builder = Builder(("cpu", "nanoseconds"))
    for number in range(3000):
        builder.sample([f"f{number}", "main.main", "main.main"], number + 1)
    rows = {row.function: row for row in top(builder.profile(), "flat").rows}
    assert rows["main.main"].cum == 3000 * 3001 // 2
    assert rows["main.main"].flat == 0


def test_the_time_zone_is_the_reader_s(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    file = FIXTURES / "profiles" / "cpu-stuck.pprof"
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    assert "Time: 2026-11-24 09:17:10 CET" in ours(file, "cum", 0, None)


@pytest.mark.parametrize(
    ("nanos", "told"), [(2**63 - 1, "Time: 2262-04-11 23:47:16 UTC"), (-(2**63), "Time: 1677-09-21 00:12:43 UTC")]
)
def test_the_earliest_and_the_latest_time_can_be_told(nanos: int, told: str) -> None:
    builder = Builder()
    builder.sample(["main.main"], 1, 1)
    builder.proto.time_nanos = nanos
    assert told in top(builder.profile(), "cum").lines()


def test_a_time_zone_that_python_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "XYZ24")
    time.tzset()
    assert "Time: 2026-11-24 08:17:10 UTC" in ours(FIXTURES / "profiles" / "cpu-stuck.pprof", "cum", 0, None)


def test_go_is_there() -> None:
    from tests.pprof.gotool import GO

    assert "go version go1." in subprocess.run([GO, "version"], capture_output=True, text=True, check=True).stdout
