"""Files are read with bounds, and replaced in one step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cachedoctor.errors import InputError
from cachedoctor.io.files import one_file, opened, read_bounded, write_atomically


def test_reads_no_more_than_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_bounded(file, 5) == b"12345"
    with pytest.raises(InputError, match="more than 4 bytes, which is refused"):
        read_bounded(file, 4)


@pytest.mark.parametrize(
    ("name", "problem", "missing"),
    [
        ("none", "cannot read the list: No such file or directory", True),
        ("file/none", "cannot read the list: Not a directory", False),
        ("a\0b", "cannot read the list: a file name cannot contain a NUL", False),
        ("x" * 5000, "cannot read the list: File name too long", False),
        ("pipe", "cannot read the list: it is neither a regular file nor a folder", False),
        (".", "cannot read the list: Is a directory", False),
    ],
)
def test_says_why_a_file_cannot_be_read(name: str, problem: str, missing: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError) as caught:
        read_bounded(f"{tmp_path}/{name}", 10, what="the list")
    assert (caught.value.problem, caught.value.missing, caught.value.source) == (problem, missing, "")


def test_a_hint_is_for_what_is_not_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(InputError, match="nor a folder; pass - to read a pipe"),
        opened(tmp_path / "pipe", hint="; pass - to read a pipe"),
    ):
        raise AssertionError


def test_replaces_a_file_and_keeps_its_permissions(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to(file)
    seen: list[bytes] = []
    write_atomically(link, b"new", seen.append)
    assert (file.read_bytes(), file.stat().st_mode & 0o777, link.is_symlink()) == (b"new", 0o640, True)
    assert seen == [b"new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_check_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def fail(read_back: bytes) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        write_atomically(file, b"new", fail)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / ("é" * 127)
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path) -> None:
    """The handler of Ctrl-C ends the process without unwinding."""
    script = (
        "import os, signal, sys; from cachedoctor.io import files, interrupts; interrupts.install(); "
        "files.write_atomically(sys.argv[1], b'new', lambda data: os.kill(os.getpid(), signal.SIGINT))"
    )
    file = tmp_path / "file"
    file.write_bytes(b"old")
    got = subprocess.run([sys.executable, "-c", script, str(file)], check=False)
    assert got.returncode == 128 + signal.SIGINT
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_names_of_one_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    (tmp_path / "hard").hardlink_to(file)
    (tmp_path / "soft").symlink_to(file)
    for name in ("file", "hard", "soft", "../" + tmp_path.name + "/file"):
        assert one_file(file, tmp_path / name)
    assert one_file(tmp_path / "new", tmp_path / "x/../new")
    for name in ("other", "a\0b"):
        assert not one_file(file, f"{tmp_path}/{name}")
