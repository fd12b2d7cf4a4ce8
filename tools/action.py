"""The inputs of the GitHub Action in `action.yml`, from the options of `cachedoctor check`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from cachedoctor.cli.commands.check import check

NOT_INPUTS = frozenset({"write_baseline"})
"""Options that make no sense before a build. Options without a value are not inputs either."""
DEFAULTS = {"format": "github"}


def inputs() -> str:
    """An input for each option that takes a value. An empty input leaves the option out."""
    lines = []
    for option in _options():
        lines += [
            f"{_name(option)}:",
            f"  description: {json.dumps(option.help, ensure_ascii=False)}",
            f"  default: {json.dumps(DEFAULTS.get(option.name or '', ''))}",
        ]
    return "\n".join(lines) + "\n"


def environment() -> str:
    """The variables that hand these inputs to the script, which turns `CACHEDOCTOR_OPTION_FAIL_ON` into `--fail-on`."""
    lines = [
        f"CACHEDOCTOR_OPTION_{_name(option).upper().replace('-', '_')}: ${{{{ inputs.{_name(option)} }}}}"
        for option in _options()
    ]
    return "\n".join(lines) + "\n"


def _options() -> Iterator[click.Option]:
    for option in check.params:
        if isinstance(option, click.Option) and not option.is_flag and option.name not in NOT_INPUTS:
            yield option


def _name(option: click.Option) -> str:
    return option.opts[0].removeprefix("--")
