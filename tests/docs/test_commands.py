"""Every command in the README and the docs is run as shown, and prints what is shown."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import CODE, PAGES, SHELL, Block, blocks, prose
from tests.registries import TINY, push, serve
from tests.servers import Exchange, Server
from tests.sources.layouts import INLINE, MANIFEST_LIST
from tests.support import FIXTURES, run

FILES = {
    "cache.json": "manifests/service.json",
    "manifest.json": "manifests/service.json",
    "HEX.json": "manifests/service.json",
    "SOURCE": "manifests/service.json",
    "diamond-20.json": "manifests/diamond-20.json",
    "tag-a.json": "manifests/tag-a.json",
    "tag-b.json": "manifests/tag-b.json",
    "A": "manifests/tag-a.json",
    "B": "manifests/tag-b.json",
    "cache-main.json": "manifests/shared-copies-t1.json",
    "cache-branch.json": "manifests/shared-copies-t2.json",
    "cpu.pprof": "profiles/cpu-stuck.pprof",
    "goroutines.txt": "profiles/goroutine-stuck-debug2.txt",
    "build.dockerbuild": "builds/captures/service.json",
    "first.txt": "profiles/goroutine-stuck-debug2.txt",
    "a-minute-later.txt": "profiles/goroutine-stuck-debug2.txt",
    "fixtures": "",
}
"""The files in a reader's folder, with their paths below `fixtures/`."""
LAYOUTS = ("DIR", "cache-layout")
"""Layouts with a tag `main`, in the same folder."""
REFERENCES = {
    "app:buildcache": MANIFEST_LIST,
    "app-cache:main": MANIFEST_LIST,
    "app-cache:branch": MANIFEST_LIST,
    "app:main": INLINE,
}
"""Caches in the reader's registry."""
PLACEHOLDERS = {
    "docker://registry.example.com/": "docker://REGISTRY/",
    "docker://registry.example/": "docker://REGISTRY/",
    "docker://$CACHE": "docker://REGISTRY/app-cache:main",
    "docker://REF": "docker://REGISTRY/app:buildcache",
    "http://127.0.0.1:6060": "http://DAEMON",
    "http://HOST:PORT": "http://DAEMON",
    "--twice 60": "--twice 1",
    "SOURCE...": "tag-a.json tag-b.json",
}
"""What the reader types for a placeholder, or instead of a long wait.

REGISTRY and DAEMON are replaced by the addresses of test servers.
"""
PIPED = {"crane": "cache.json", "docker": "goroutines.txt"}
"""The file that another command pipes into cachedoctor."""
EXITS = {
    "cachedoctor check fixtures/builds/media-v0.32.2.cache.json "
    "--build fixtures/builds/media-v0.32.2.provenance.json --max-calls 50000": 1,
    "cachedoctor check tag-a.json tag-b.json --max-seconds 10 --fail-on warning": 1,
}
"""Exit codes other than 0 that the page does not show, neither in a comment nor with `echo $?`."""
OTHERS = {
    "crane": "another tool, which needs a registry",
    "docker": "needs a daemon",
    "gh": "needs an account",
    "jq": "another tool; the JSON is checked against its schema",
    "just": "runs recipes of developers; `.ci/run` does it",
    "mutmut": "takes hours",
    "oras": "another tool, which needs a registry",
    "pip": "installs from the network; `.ci/run` does it",
    "python": "runs these tests",
    "python3": "creates an environment; `.ci/run` does it",
    "skopeo": "another tool, which needs a registry",
}
"""Commands that are parsed but not run, and why."""

OURS = re.compile(r"(?<![\w-])cachedoctor (?=(?:analyze|check|repair|profile) )")
LARGE = re.compile("too-large|export-loop|export-stuck|cache-branch")
"""Caches that take some time."""
OPERATORS = frozenset({"|", "||", "&&", ";", ">", ">&", "&"})


@dataclass(frozen=True, slots=True)
class Command:
    """One line of shell, and the screen shown below it, if any."""

    line: str
    screen: str | None = None

    @property
    def ours(self) -> list[str]:
        """The words of its call of cachedoctor, without redirections; empty if it does not call cachedoctor."""
        call = OURS.search(self.line)
        return _words(self.line[call.start() :].split("')")[0]) if call else []

    @property
    def piped(self) -> str | None:
        """The name of the file on standard input, if any."""
        before, bar, _ = self.line[: self.line.index("cachedoctor")].rpartition("|")
        if bar:
            return PIPED[re.split(r"; |&& ", before)[-1].split()[0]]
        redirected = re.search(r" < (\S+)", self.line)
        return redirected[1] if redirected else None

    @property
    def code(self) -> int:
        """The exit code that the page shows."""
        comment = re.search(r"  # (\d)$", self.line)
        return int(comment[1]) if comment else EXITS.get(self.line, 0)


@dataclass(frozen=True, slots=True)
class Script:
    """Commands that a reader runs one after another."""

    name: str
    commands: tuple[Command, ...]


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in OPERATORS or word == "<":
            break
        words.append(word)
    return words


def _lines(block: Block) -> list[str]:
    return [line for line in block.text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def _commands(block: Block) -> tuple[Command, ...]:
    if block.language != "console":
        return tuple(Command(line) for line in _lines(block) if OURS.search(line))
    screens = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE)
    return tuple(Command(line, screen) for line, screen in screens)


def _scripts(page: Path) -> Iterator[Script]:
    """The code blocks of a page that hold commands, and the commands in its text.

    A screen without a command continues the screen before it.
    """
    joined: list[Block] = []
    for block in blocks(page):
        if block.language == "console" and not block.text.startswith("$ "):
            last = max(index for index, before in enumerate(joined) if before.language == "console")
            text = f"{joined[last].text}…\n{block.text}"
            joined[last] = Block(page, joined[last].line, "console", text)
        elif block.language != "text":
            joined.append(block)
    for block in joined:
        if commands := _commands(block):
            yield Script(str(block), commands)
    for number, code in enumerate(dict.fromkeys(CODE.findall(prose(page))), 1):
        if re.search(r"(?<![\w-])cachedoctor [a-z]+ [^-]", code) or code.endswith(" cachedoctor profile -"):
            yield Script(f"{page.name}, text {number}", (Command(code.replace("\\|", "|")),))


SCRIPTS = list({script.commands: script for page in reversed(PAGES) for script in _scripts(page)}.values())
"""Commands that several pages show are run once."""


def _respond(exchange: Exchange) -> None:
    """Answer as net/http/pprof of a stuck daemon does."""
    name = "cpu-stuck.pprof" if "/profile" in exchange.path else "goroutine-stuck-debug2.txt"
    exchange.answer(200, (FIXTURES / "profiles" / name).read_bytes())


@pytest.fixture(scope="module")
def daemon() -> Iterator[str]:
    with Server(_respond) as server:
        yield server.address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's folder."""
    reader = tmp_path / "reader"
    reader.mkdir()
    for name, fixture in FILES.items():
        (reader / name).symlink_to(FIXTURES / fixture)
    (reader / "caches.txt").write_text("# Caches of main and of a branch\ntag-a.json\ntag-b.json\n")
    for name in LAYOUTS:
        shutil.copytree(FIXTURES / "layouts/v0.32.2-docker-list", reader / name)
        index = reader / name / "index.json"
        index.write_text(index.read_text().replace('"latest"', '"main"'))
    return reader


@pytest.fixture
def registry(script: Script, tmp_path: Path) -> Iterator[str]:
    """The address of a registry of its own for each script that needs one."""
    if not any("docker://" in command.line for command in script.commands):
        yield "no registry"
        return
    with serve(TINY, tmp_path) as address:
        for reference, layout in REFERENCES.items():
            push(address, layout, *reference.split(":"))
        yield address


def _parameter(script: Script) -> Any:
    slow = any(LARGE.search(command.line) for command in script.commands)
    return pytest.param(script, id=script.name, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("script", [_parameter(script) for script in SCRIPTS])
def test_commands_do_what_the_page_shows(script: Script, folder: Path, registry: str, daemon: str) -> None:
    env = {"DOCKER_CONFIG": str(folder), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    placeholders = {**PLACEHOLDERS, "REGISTRY": registry, "DAEMON": daemon}
    code = 0
    for command in script.commands:
        if command.line == "echo $?":
            assert command.screen == f"{code}\n"
            continue
        stdin = (folder / command.piped).read_bytes() if command.piped else None
        done = run(*_typed(command.ours[1:], placeholders), stdin=stdin, cwd=folder, env=env)
        code = done.returncode
        if not _code_is_shown_next(script, command):
            assert code == command.code, done.stderr.decode()
        if command.screen is not None:
            _assert_shows(command.screen, (done.stdout + done.stderr).decode())


def _typed(words: list[str], placeholders: dict[str, str]) -> Iterator[str]:
    """The words that the reader types."""
    for word in words:
        for placeholder, value in placeholders.items():
            word = word.replace(placeholder, value)
        yield from word.split()


def _code_is_shown_next(script: Script, command: Command) -> bool:
    """Whether `echo $?` follows."""
    following = script.commands[script.commands.index(command) + 1 :]
    return bool(following) and following[0].line == "echo $?"


def _assert_shows(screen: str, printed: str) -> None:
    """A screen shows everything that was printed, from start to end; a line `…` marks lines left out."""
    pieces = ["".join(lines) for left_out, lines in groupby(screen.splitlines(True), "…\n".__eq__) if not left_out]
    rest = f"\n{printed}"
    if not screen.startswith("…\n"):
        assert printed.startswith(pieces[0])
    for piece in pieces:
        _, matched, after = rest.partition(f"\n{piece}")
        assert matched, f"not printed, or not in this order:\n{piece}"
        rest = f"\n{after}"
    if not screen.endswith("…\n"):
        assert printed.endswith(pieces[-1])


def test_notices_a_wrong_screen() -> None:
    printed = "one\ntwo\nthree\n"
    for right in (printed, "one\n…\nthree\n", "…\ntwo\n…\n", "one\n…\n"):
        _assert_shows(right, printed)
    for wrong in ("one\ntwo\n", "two\nthree\n", "…\nthree\n…\none\n…\n", "one\n…\ntwo\n", "…\nwo\n…\n", "one\nthree\n"):
        with pytest.raises(AssertionError):
            _assert_shows(wrong, printed)


def test_no_command_is_missed() -> None:
    lines = [command.line for script in SCRIPTS for command in script.commands if command.ours]
    assert len(lines) > 50
    assert [line for line in lines if len(OURS.findall(line)) > 1] == []
    texts = [block for page in PAGES for block in blocks(page) if block.language == "text"]
    assert [block for block in texts if re.search(r"^(\$ )?cachedoctor ", block.text, re.MULTILINE)] == []


def test_every_exit_code_belongs_to_a_command() -> None:
    assert set(EXITS) <= {command.line for script in SCRIPTS for command in script.commands}


LISTINGS = [block for page in PAGES for block in blocks(page) if block.language in SHELL - {"console"}]


@pytest.mark.parametrize("block", LISTINGS, ids=str)
def test_commands_can_be_parsed(block: Block) -> None:
    parsed = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert (parsed.returncode, parsed.stderr) == (0, "")


def test_there_is_a_reason_not_to_run_other_commands() -> None:
    assert {program for block in LISTINGS for program in _programs(block)} == {"cachedoctor", *OTHERS}


def _programs(block: Block) -> Iterator[str]:
    """The programs that a block runs."""
    for line in _lines(block):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        starts = True
        for word in lexer:
            if starts:
                yield Path(word).name
            starts = word in ("|", "||", "&&", ";")
