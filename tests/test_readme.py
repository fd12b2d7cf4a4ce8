"""The README shows what the command prints, and names commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_screen_is_real() -> None:
    shown = re.findall(r"```console\n\$ cachedoctor (.*)\n((?:.*\n)*?)```", README)
    assert shown
    for arguments, screen in shown:
        assert run(*arguments.split(), cwd=ROOT).stdout.decode() == screen


def test_both_commands_are_marked() -> None:
    for name in ("run", "test"):
        assert re.search(rf"<!-- {name} command -->\n```\npython3 -m venv .*\n```\n", README)


def test_every_option_that_is_named_exists() -> None:
    for command in ("analyze", "check", "repair"):
        known = run(command, "--help").stdout.decode()
        lines = re.findall(rf"^(?:.*\| )?cachedoctor {command}.*$", README, re.MULTILINE)
        assert lines
        for line in lines:
            for option in re.findall(r" (--?[a-z][a-z-]*)", line.split("| jq")[0]):
                assert option in known
