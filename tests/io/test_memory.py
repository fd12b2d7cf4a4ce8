"""How much memory is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachedoctor.io import memory
from cachedoctor.io.memory import Crowded, available, claim, is_shared, share_of, sharing, unclaimed

MEMINFO = "MemTotal:       8000000 kB\nMemFree:         100000 kB\nMemAvailable:    4000000 kB\n"
MACHINE = 4_000_000 * 1024


def machine(root: Path, **files: str) -> Path:
    """A file system with these files; `__` stands for a slash, and `_DOT_` for a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = "sys__fs__cgroup__"
V1 = "sys__fs__cgroup__memory__"


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, None),
        ({"proc__meminfo": "nonsense"}, None),
        ({"proc__meminfo": MEMINFO}, MACHINE),
        (
            {
                "proc__meminfo": MEMINFO,
                "proc__self__cgroup": "0::/a/b\n",
                f"{V2}a__memory_DOT_max": "3000\n",
                f"{V2}a__memory_DOT_current": "2500\n",
                f"{V2}a__memory_DOT_stat": "anon 1\nfile 700\nactive_file 40\ninactive_file 60\n",
                f"{V2}a__b__memory_DOT_max": "max\n",
                f"{V2}a__b__memory_DOT_current": "2000\n",
            },
            600,
        ),
        (
            {
                "proc__self__cgroup": "0::/\n",
                f"{V2}memory_DOT_max": "3000\n",
                f"{V2}memory_DOT_current": "4000\n",
            },
            0,
        ),
        (
            {
                "proc__meminfo": MEMINFO,
                "proc__self__cgroup": "5:cpu,cpuacct:/x\n4:memory:/not/here\n0::/\n",
                f"{V1}memory_DOT_limit_in_bytes": "9000\n",
                f"{V1}memory_DOT_usage_in_bytes": "8000\n",
                f"{V1}memory_DOT_stat": "active_file 1\ntotal_active_file 20\ntotal_inactive_file 30\n",
            },
            1050,
        ),
        (
            {
                "proc__meminfo": MEMINFO,
                "proc__self__cgroup": "4:memory:/\n",
                f"{V1}memory_DOT_limit_in_bytes": "9223372036854771712\n",
                f"{V1}memory_DOT_usage_in_bytes": "8000\n",
            },
            MACHINE,
        ),
    ],
)
def test_takes_the_least_of_machine_and_groups(files: dict[str, str], left: int | None, tmp_path: Path) -> None:
    assert available(machine(tmp_path, **files)) == left


def test_this_machine_has_some_left() -> None:
    if not Path("/proc/meminfo").exists():
        pytest.skip("no /proc here")
    assert (available() or 0) > 1 << 20


@pytest.mark.parametrize(
    ("left", "space", "share"),
    [(1600, None, 100), (None, 1600, 100), (1600, 3200, 100), (3200, 1600, 100), (0, None, 0), (None, None, 128 << 20)],
)
def test_eight_shares_are_half_of_what_is_left(
    left: int | None, space: int | None, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: left)
    monkeypatch.setattr(memory, "address_space", lambda: space)
    assert share_of(8) == share


def test_a_share_is_used_up() -> None:
    claim(1 << 60)
    assert (is_shared(), unclaimed(7)) == (False, 7)
    with sharing(100):
        claim(60)
        assert (is_shared(), unclaimed(7), unclaimed(70)) == (True, 7, 40)
        with pytest.raises(Crowded):
            claim(41)
        claim(40)
        assert unclaimed(1) == 0
    assert (is_shared(), unclaimed(7)) == (False, 7)
