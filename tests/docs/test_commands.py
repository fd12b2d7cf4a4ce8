"""Every command that the README and the pages show is run as it stands there, and prints what is shown."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from tests.docs.pages import CODE, PAGES, SHELL, Block, blocks, prose
from tests.registries import TINY, push, serve
from tests.servers import Exchange, Server
from tests.sources.layouts import MANIFEST_LIST, Layout
from tests.support import FIXTURES, run

FILES = {
    "cache.json": "manifests/service.json",
    "manifest.json": "manifests/service.json",
    "HEX.json": "manifests/service.json",
    "SOURCE": "manifests/service.json",
    "diamond-20.json": "manifests/diamond-20.json",
    "tag-a.json": "manifests/tag-a.json",
    "tag-b.json": "manifests/tag-b.json",
    "cache-main.json": "manifests/shared-copies-t1.json",
    "cache-branch.json": "manifests/shared-copies-t2.json",
    "cpu.pprof": "profiles/cpu-stuck.pprof",
    "goroutines.txt": "profiles/goroutine-stuck-debug2.txt",
    "fixtures": "",
}
"""What lies in the folder of a reader; the path of each is one below `fixtures/`."""
LAYOUTS = ("DIR", "cache-layout")
"""Layouts with a tag `main` in the same folder."""
REFERENCES = ("app:buildcache", "app-cache:main")
"""Caches in the registry of a reader."""
PLACES = {
    "docker://registry.example.com/": "docker://REGISTRY/",
    "docker://registry.example/": "docker://REGISTRY/",
    "docker://$CACHE": "docker://REGISTRY/app-cache:main",
    "docker://REF": "docker://REGISTRY/app:buildcache",
    "http://127.0.0.1:6060": "http://DAEMON",
    "http://HOST:PORT": "http://DAEMON",
    "SOURCE...": "tag-a.json tag-b.json",
}
"""What a reader puts there: REGISTRY and DAEMON are the addresses of servers of the test."""
PIPED = {"crane": "cache.json", "docker": "goroutines.txt"}
"""What other commands print into ours."""
EXITS = {
    "cachedoctor check tag-a.json tag-b.json --max-seconds 10 --fail-on warning": 1,
}
"""Exit codes that are not 0 and not told beside the command, by a comment or by `echo $?`."""
OTHERS = {
    "crane": "needs a registry and a tool of its own",
    "docker": "needs a daemon",
    "just": "runs recipes of developers; `.ci/run` does it",
    "jq": "a tool of its own; the JSON is held against its schema",
    "mutmut": "takes hours",
    "oras": "needs a registry and a tool of its own",
    "pip": "installs from the network; `.ci/run` does it",
    "python": "runs these tests",
    "python3": "makes an environment; `.ci/run` does it",
    "skopeo": "needs a registry and a tool of its own",
}
"""Commands that are parsed, and not run, and why."""

OURS = re.compile(r"(?<![\w-])cachedoctor (?=(?:analyze|check|repair|profile) )")
OPERATORS = frozenset({"|", "||", "&&", ";", ">", ">&", "&"})


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a shell, and the screen that is shown below it, if one is."""

    line: str
    screen: str | None = None

    @property
    def ours(self) -> list[str]:
        """The words of the one call of cachedoctor in it, without what is redirected; none where there is none."""
        found = OURS.search(self.line)
        return _words(self.line[found.start() :].split("')")[0]) if found else []

    @property
    def piped(self) -> str | None:
        """The name of the file that is on standard input."""
        before, bar, _ = self.line[: self.line.index("cachedoctor")].rpartition("|")
        if bar:
            return PIPED[re.split(r"; |&& ", before)[-1].split()[0]]
        read = re.search(r" < (\S+)", self.line)
        return read[1] if read else None

    @property
    def code(self) -> int:
        """The exit code that is told."""
        told = re.search(r"  # (\d)$", self.line)
        return int(told[1]) if told else EXITS.get(self.line, 0)


@dataclass(frozen=True, slots=True)
class Script:
    """Commands that one reader runs one after the other."""

    place: str
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
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE)
    return tuple(Command(line, screen) for line, screen in found)


def _scripts(page: Path) -> Iterator[Script]:
    """The blocks of commands, recipes and commands within the text of a page.

    A screen that starts without a command goes on with the one before it.
    """
    whole: list[Block] = []
    for block in blocks(page):
        if block.language == "console" and not block.text.startswith("$ "):
            last = max(index for index, one in enumerate(whole) if one.language == "console")
            joined = f"{whole[last].text}…\n{block.text}"
            whole[last] = Block(page, whole[last].line, "console", joined)
        elif block.language != "text":
            whole.append(block)
    for block in whole:
        if commands := _commands(block):
            yield Script(str(block), commands)
    for number, code in enumerate(dict.fromkeys(CODE.findall(prose(page))), 1):
        if re.search(r"(?<![\w-])cachedoctor [a-z]+ [^-]", code) or code.endswith(" cachedoctor profile -"):
            yield Script(f"{page.name}, text {number}", (Command(code.replace("\\|", "|")),))


SCRIPTS = list({script.commands: script for page in reversed(PAGES) for script in _scripts(page)}.values())
"""What several pages show is run once."""


def _respond(exchange: Exchange) -> None:
    """What net/http/pprof of a stuck daemon answers."""
    name = "cpu-stuck.pprof" if "/profile" in exchange.path else "goroutine-stuck-debug2.txt"
    exchange.answer(200, (FIXTURES / "profiles" / name).read_bytes())


@pytest.fixture(scope="module")
def daemon() -> Iterator[str]:
    with Server(_respond) as server:
        yield server.address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a reader."""
    made = tmp_path / "reader"
    made.mkdir()
    for name, fixture in FILES.items():
        (made / name).symlink_to(FIXTURES / fixture)
    config = (FIXTURES / FILES["cache.json"]).read_bytes()
    for name in LAYOUTS:
        Layout(made / name).cache(config, "main")
    return made


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry that nobody has written to before."""
    with serve(TINY, tmp_path) as address:
        for reference in REFERENCES:
            push(address, MANIFEST_LIST, *reference.split(":"))
        yield address


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.place)
def test_commands_do_what_is_said(script: Script, folder: Path, registry: str, daemon: str) -> None:
    own = {"DOCKER_CONFIG": str(folder), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    code = 0
    for command in script.commands:
        if command.line == "echo $?":
            assert command.screen == f"{code}\n"
            continue
        places = {**PLACES, "REGISTRY": registry, "DAEMON": daemon}
        stdin = (folder / command.piped).read_bytes() if command.piped else None
        got = run(*_given(command.ours[1:], places), stdin=stdin, cwd=folder, env=own)
        code = got.returncode
        if not _told_next(script, command):
            assert code == command.code, got.stderr.decode()
        if command.screen is not None:
            _hold(command.screen, (got.stdout + got.stderr).decode())


def _given(words: list[str], places: dict[str, str]) -> Iterator[str]:
    """The words that a reader types."""
    for word in words:
        for place, meant in places.items():
            word = word.replace(place, meant)
        yield from word.split()


def _told_next(script: Script, command: Command) -> bool:
    """Whether `echo $?` follows."""
    following = script.commands[script.commands.index(command) + 1 :]
    return bool(following) and following[0].line == "echo $?"


def _hold(shown: str, printed: str) -> None:
    """A screen holds what is printed, from start to end; a line `…` stands for lines left out."""
    pieces = ["".join(lines) for left_out, lines in groupby(shown.splitlines(True), "…\n".__eq__) if not left_out]
    rest = f"\n{printed}"
    if not shown.startswith("…\n"):
        assert printed.startswith(pieces[0])
    for piece in pieces:
        _, found, after = rest.partition(f"\n{piece}")
        assert found, f"not printed, or not in this order:\n{piece}"
        rest = f"\n{after}"
    if not shown.endswith("…\n"):
        assert printed.endswith(pieces[-1])


def test_a_screen_that_is_wrong_is_noticed() -> None:
    printed = "one\ntwo\nthree\n"
    for right in (printed, "one\n…\nthree\n", "…\ntwo\n…\n", "one\n…\n"):
        _hold(right, printed)
    for wrong in ("one\ntwo\n", "two\nthree\n", "…\nthree\n…\none\n…\n", "one\n…\ntwo\n", "…\nwo\n…\n", "one\nthree\n"):
        with pytest.raises(AssertionError):
            _hold(wrong, printed)


def test_no_command_is_missed() -> None:
    found = [command.line for script in SCRIPTS for command in script.commands if command.ours]
    assert len(found) > 50
    assert [line for line in found if len(OURS.findall(line)) > 1] == []
    elsewhere = [block for page in PAGES for block in blocks(page) if block.language == "text"]
    assert [block for block in elsewhere if re.search(r"^(\$ )?cachedoctor ", block.text, re.MULTILINE)] == []


def test_every_exit_code_is_that_of_a_command() -> None:
    assert set(EXITS) <= {command.line for script in SCRIPTS for command in script.commands}


LISTED = [block for page in PAGES for block in blocks(page) if block.language in SHELL - {"console"}]


@pytest.mark.parametrize("block", LISTED, ids=str)
def test_commands_can_be_parsed(block: Block) -> None:
    parsed = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert (parsed.returncode, parsed.stderr) == (0, "")


def test_it_is_known_why_other_commands_are_not_run() -> None:
    assert {program for block in LISTED for program in _programs(block)} == {"cachedoctor", *OTHERS}


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
