"""Tables of `pprof -top` as people paste them."""

from __future__ import annotations

import pytest

from cachedoctor.errors import InputError
from cachedoctor.pprof import table
from cachedoctor.pprof.decode import decode
from cachedoctor.pprof.table import Table, read
from cachedoctor.pprof.top import top
from tests.pprof.goldens import Golden, captures, randoms
from tests.support import FIXTURES

WHOLE = [golden for golden in captures() if not golden.count and not golden.focus]
HEAD = "flat flat% sum% cum cum%\n"


def read_text(text: str) -> Table:
    return read(text.splitlines())


@pytest.mark.parametrize("golden", WHOLE, ids=lambda golden: f"{golden.file} {golden.sort}")
@pytest.mark.parametrize("frame", ["{}", "    {}", "> {}", "| {} |", "```\n{}\n```", "$ go tool pprof -top x\n{}\n$ "])
def test_table_is_read_as_it_is_printed(golden: Golden, frame: str) -> None:
    before, _, after = frame.partition("{}")
    if "\n" in before:
        text = before + "\n".join(golden.lines()) + after
    else:
        text = "\n".join(f"{before}{line}{after}" for line in golden.lines())
    table = read_text(text)
    profile = decode(golden.data)
    expected = top(profile, golden.sort)
    assert [(row.function, row.inline) for row in table.top.rows] == [
        (row.function, row.inline) for row in expected.rows
    ]
    assert table.top.dropped_nodes == expected.dropped_nodes
    unit = max(1, expected.total // 100)
    assert all(abs(row.cum - real.cum) <= unit for row, real in zip(table.top.rows, expected.rows, strict=True))
    assert table.sample_type == profile.sample_type.type


@pytest.mark.parametrize("golden", randoms(), ids=lambda golden: golden.head)
def test_tables_of_random_profiles_are_read(golden: Golden) -> None:
    lines = golden.lines()
    rows = len(lines) - 1 - next(at for at, line in enumerate(lines) if table.head(line))
    if rows:
        assert len(read(lines).top.rows) == rows


def test_broken_names_are_joined_and_other_lines_are_counted() -> None:
    table = read_text(
        f"{HEAD}0 0% 0% 9s 90% github.com/moby/buildkit/cache/remotecache\n/v1.(*CacheChains).Marshal\n"
        "1s 10% 10% 8s 80% runtime.f\n(inline)\nwhat is this\n(pprof)\n"
    )
    assert [(row.function, row.inline) for row in table.top.rows] == [
        ("github.com/moby/buildkit/cache/remotecache/v1.(*CacheChains).Marshal", ""),
        ("runtime.f", "inline"),
    ]
    assert table.skipped == 2


def test_markdown_table() -> None:
    text = "| flat | flat% | sum% | cum | cum% |\n|---|---|---|---|---|\n| 1s | 1% | 1% | 2s | 2% | a.b (inline) |\n"
    (row,) = read_text(text).top.rows
    assert (row.function, row.inline, row.cum) == ("a.b", "inline", 2 * 10**9)


def test_columns_in_another_order() -> None:
    text = "cum  cum%  flat  flat%  sum%\n  1.50mins 75.00%  500ms  0.42% 0.42%  a.b (inline)\n"
    text += " 2mins 100% 0 0% 0.42% main.main\n"
    table = read_text(text)
    assert [(row.function, row.flat, row.cum, row.inline) for row in table.top.rows] == [
        ("a.b", 500_000_000, 90_000_000_000, "inline"),
        ("main.main", 0, 120_000_000_000, ""),
    ]
    assert (table.top.total, table.top.unit, table.sample_type) == (120_000_000_000, "nanoseconds", "cpu")


def test_table_of_a_bug_report() -> None:
    table = read_text((FIXTURES / "profiles" / "issue-6008-top50.txt").read_text())
    assert len(table.top.rows) == 32
    assert (table.top.total, table.top.dropped_nodes, table.top.dropped_cum) == (120_770_000_000, 139, 600_000_000)


@pytest.mark.parametrize(
    "rows", ["", "9999999999999999s 0% 0% 1s 0% f\n", "999999999999999PB 0% 0% 1PB 0% f\n"], ids=["none", "s", "PB"]
)
def test_table_without_rows_is_refused(rows: str) -> None:
    """Numbers past 64 bits are not read."""
    with pytest.raises(InputError, match=r"^line 2: a table of pprof -top without any function$"):
        read_text(HEAD + rows)


def test_table_without_samples() -> None:
    text = f"Type: cpu\nDuration: 2s, Total samples = 0 \nShowing nodes accounting for 0, 0% of 0 total\n{HEAD}"
    table = read_text(text)
    assert (table.top.rows, table.top.unit, table.duration_seconds) == ([], "nanoseconds", 2.0)


def test_share_that_is_not_a_number_does_not_count() -> None:
    """The total is estimated from the largest cum value with a share: 4s are 40%."""
    table = read_text(f"{HEAD}1s 1% 1% 9s NaN% a.b\n1s 1% 1% 4s 40% c.d\n")
    assert ([row.cum for row in table.top.rows], table.skipped) == ([9 * 10**9, 4 * 10**9], 0)
    assert table.top.total == 10 * 10**9


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_ROWS", 1)
    with pytest.raises(InputError, match="more than 1 lines in the table"):
        read_text(HEAD + "1s 1% 1% 1s 1% f\n" * 2)


REPORTS = FIXTURES / "reports"
CHECK_LOOPS = "github.com/moby/buildkit/cache/remotecache/v1.(*normalizeState).checkLoops"


def report(name: str) -> Table:
    return read_text((REPORTS / name).read_text())


def cums(table: Table) -> dict[str, int]:
    return {row.function: row.cum for row in table.top.rows}


def test_heading_of_old_releases_of_pprof() -> None:
    table = report("26-moby34393-old-pprof/old-checkloops.txt")
    assert (table.top.total, table.top.dropped_nodes, table.sample_type) == (120_770_000_000, 139, "cpu")
    assert len(table.top.rows) == 2


def test_peek_gives_callers_and_callees_too() -> None:
    table = report("41-shapes-of-a-table/peek.txt")
    assert table.top.total == 120_770_000_000
    assert cums(table)[CHECK_LOOPS] == 119_920_000_000
    assert cums(table)["runtime.mapiternext"] == 40_100_000_000
    assert table.skipped == 0


def test_tree_gives_callers_and_callees_too() -> None:
    table = report("41-shapes-of-a-table/tree.txt")
    assert [row.function.rpartition(".")[2] for row in table.top.rows] == ["Marshal", "Finalize", "normalize"]
    assert set(cums(table).values()) == {119_920_000_000}


@pytest.mark.parametrize("name", ["web-ui-top.txt", "md-table.md"])
def test_tables_of_web_page_and_issue_are_those_of_top(name: str) -> None:
    table = report(f"41-shapes-of-a-table/{name}")
    same = read_text((FIXTURES / "profiles" / "issue-6008-top50.txt").read_text())
    assert table.top.rows == same.top.rows


def test_name_may_be_the_first_column() -> None:
    text = "| Function | Flat | Flat% | Sum% | Cum | Cum% |\n|---|---|---|---|---|---|\n"
    text += "| `a.b` | 1s | 1% | 1% | 2s | 2% |\n"
    assert read_text(text).top.rows == [("a.b", 10**9, 2 * 10**9, "")]


def test_rows_without_their_heading() -> None:
    rows = "1s 10% 10% 9s 90% a.b\n2s 20% 30% 2s 20% c.d (inline)\n"
    assert table.is_table(rows.splitlines())
    assert cums(read_text(rows)) == {"a.b": 9 * 10**9, "c.d": 2 * 10**9}
    assert not table.is_table(rows.splitlines()[:1])


def test_top_and_list_of_one_profile_are_one_table() -> None:
    table = report("25-4448-heap-top-and-list/issue.md")
    assert [row.function.rpartition(".")[2] for row in table.top.rows] == ["newKeyWithID", "newKey", "probeCache"]
    assert (table.top.unit, table.top.total) == ("bytes", round(10.64 * 2**30 - 0.5))


def test_text_below_a_table_does_not_count() -> None:
    assert read_text(f"{HEAD}1s 10% 10% 9s 90% a.b\n\nThanks, that is all.\n").skipped == 0


def test_table_of_the_first_pprof() -> None:
    table = read_text("Total: 3035 samples\n 1301 42.9% 42.9% 2900 95.5% a.b\n 900 29.7% 72.5% 900 29.7% c.d\n")
    assert (table.sample_type, table.top.total, cums(table)) == ("cpu", 3035, {"a.b": 2900, "c.d": 900})


def test_list_alone() -> None:
    text = (
        "Total: 10s\nROUTINE ====== a.(*T).b in /src/a.go\n   1s   4s (flat, cum) 40% of Total\n    .   3s   7: c()\n"
    )
    table = read_text(text)
    assert (table.top.rows, table.top.total, table.skipped) == ([("a.(*T).b", 10**9, 4 * 10**9, "")], 10**10, 0)
