"""Goroutine dumps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.errors import InputError
from cachedoctor.pprof import goroutines
from cachedoctor.pprof.decode import decode
from cachedoctor.pprof.goroutines import Goroutine, dump, from_profile, grouped, listed, missing, profile_of
from tests.pprof.profiles import KINDS, Builder, kept_in
from tests.support import FIXTURES

PROFILES = FIXTURES / "profiles"
LISTED = """SIGQUIT: quit
PC=0x47 m=0 sigcode=0

goroutine 7 gp=0xc000 m=3 mp=0xc1 [sync.Mutex.Lock, 12 minutes, locked to thread]:
sync.runtime_SemacquireMutex(0x1?, {0x2, 0x3}, func(0x4))
\t/usr/local/go/src/runtime/sema.go:95 +0x25
example.com/a.(*T[...]).Lock(...)
\t/src/a.go:1
...additional frames elided...
created by example.com/a.Start
\t/src/a.go:2 +0x1

goroutine 8 [running]:
main.main()
\t/src/main.go:3 +0x1
rax    0x0
"""


@pytest.mark.parametrize("indent", ["", "    "])
def test_dump_on_sigquit(indent: str) -> None:
    first, second = listed([indent + line for line in LISTED.splitlines()])
    assert first.stack == ("sync.runtime_SemacquireMutex", "example.com/a.(*T[...]).Lock")
    assert (first.state, first.minutes, first.id, first.creator) == ("sync.Mutex.Lock", 12, 7, None)
    assert second.stack == ("main.main",)


def test_grouped_dump_with_labels_and_inlined_frames() -> None:
    text = (
        "goroutine profile: total 5\n"
        '3 @ 0x1 0x2\n# labels: {"a":"b"}\n#\t0x1\tx.f+0x1\t\t/x.go:1\n#\t0x1\tx.g(...)\t/x.go:2\n\n'
        "2 @\n\n1 @ 0x3\n#\t0x3\ty.f+0x1\t/y.go:1"
    )
    dump = grouped(text.splitlines())
    assert [(goroutine.count, goroutine.stack) for goroutine in dump] == [
        (3, ("x.f", "x.g(...)")),
        (2, ()),
        (1, ("y.f",)),
    ]


def test_grouped_dump_of_another_architecture_has_more_tabs() -> None:
    text = "goroutine profile: total 1\n1 @ 0x1\n#\t0x1\t\tsync.runtime_SemacquireMutex+0x1\t/x.go:1\n"
    assert grouped(text.splitlines())[0].stack == ("sync.runtime_SemacquireMutex",)


@pytest.mark.parametrize(
    "text",
    [
        "goroutine profile: total 5\n",
        # A number that no daemon has is not cut to a smaller one.
        f"goroutine profile: total 5\n{'9' * 40} @ 0x1\n#\t0x1\tx.f+0x1\t/x.go:1\n",
    ],
)
def test_dump_without_stacks_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^a goroutine dump without any stack: it is cut short, or was changed$"):
        grouped(text.splitlines())


def test_missing_goroutines_are_counted() -> None:
    lines = (PROFILES / "goroutine-stuck-debug1.txt").read_text().splitlines()
    assert missing(lines, grouped(lines)) == 0
    half = lines[: lines.index("", len(lines) // 2)]
    assert missing(half, grouped(half)) == 46 - sum(goroutine.count for goroutine in grouped(half)) > 0
    assert missing(["goroutine profile: total 99999999999"], []) == 0


def test_dump_that_is_cut_within_a_goroutine() -> None:
    text = (PROFILES / "goroutine-stuck-debug2.txt").read_text()
    assert not dump(text.splitlines()).cut
    for end in (3000, 3010, 3033, 9999):
        assert dump(text[:end].splitlines()).cut or text[:end].endswith("\n")


def test_line_whose_parentheses_do_not_match_is_not_a_function() -> None:
    text = "goroutine 1 [running]:\na.b)\nc.d((1)\ne.f(func(2))\n\t/e.go:1\n"
    (goroutine,) = listed(text.splitlines())
    assert goroutine.stack == ("c.d", "e.f")


def test_running_goroutine_may_have_no_stack() -> None:
    text = (
        "goroutine 5 [running]:\n\tgoroutine running on other thread; stack unavailable\n"
        'created by a.b in goroutine 1\n\t/x.go:1\n\ngoroutine 1 [runnable (scan)]{"k": "v"}:\na.c()\n\t/x.go:1\n'
    )
    first, second = listed(text.splitlines())
    assert (first.hidden, first.stack, first.creator) == (True, (), 1)
    assert (second.state, second.stack) == ("runnable", ("a.c",))


def test_number_of_goroutines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goroutines, "MOST_GOROUTINES", 1)
    with pytest.raises(InputError, match="more than 1 goroutines, which is refused"):
        listed(LISTED.splitlines())


@given(st.text(alphabet="goroutine 1[]:()\n\t@x0.,#", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (grouped, listed):
        try:
            dump = read(text.splitlines())
        except InputError:
            continue
        assert all(goroutine.count >= 0 for goroutine in dump)


@pytest.mark.parametrize("kind", KINDS)
def test_goroutines_of_a_profile(kind: str) -> None:
    builder = Builder(("goroutine", "count"))
    builder.sample([("a", "b"), "c"], 3)
    builder.sample(["c"], 0)
    with kept_in(kind):
        assert from_profile(decode(builder.bytes())) == [Goroutine(("a", "b", "c"), 3)]


def test_profile_of_goroutines() -> None:
    dump = [Goroutine(("a", "b"), 3), Goroutine((), 2), Goroutine(("b",))]
    profile = profile_of(dump)
    assert (profile.kind, profile.sample_type, profile.total) == ("goroutine", ("goroutine", "count"), 6)
    assert from_profile(profile) == dump
