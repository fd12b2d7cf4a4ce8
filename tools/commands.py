"""Commands, options and settings, from the command line itself."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from cachedoctor.cli.main import cli
from cachedoctor.cli.settings import KEYS
from cachedoctor.report import formats as report
from cachedoctor.sources.schemes import kinds
from tools.markdown import table


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its name, in the order of `--help`."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command
        yield name, command


def reference() -> str:
    """A section for each command: its arguments, what it does, and its options."""
    return "\n" + "".join(_section(name, command) for name, command in commands())


def _section(name: str, command: click.Command) -> str:
    arguments = [value.metavar or "" for value in command.params if isinstance(value, click.Argument)]
    # Examples come after a mark that keeps click from wrapping them.
    about = inspect.cleandoc(command.help or "").split("\b\n")[0].strip()
    rows = [(_usage(option), option.help or "", _default(option)) for option in _options(command)]
    options = table(("option", "what it does", "default"), rows)
    return f"## {name}\n\n`{' '.join([name, *arguments])}`\n\n{about}\n{options}"


def formats() -> str:
    """A table of the report formats: which commands have each, and what it is for, by the docstring of its module."""
    listed: dict[str, list[str]] = {}
    for name, command in commands():
        for option in _options(command):
            if option.name == "format":
                for choice in _metavar(option).strip("[]").split("|"):
                    listed.setdefault(choice, []).append(f"`{name}`")
    rows = [(f"`{name}`", _purpose(name), ", ".join(supported)) for name, supported in listed.items()]
    return table(("`--format`", "what it is", "commands"), rows)


def _purpose(format: str) -> str:
    return (report.named(format).__doc__ or "").split("\n\n")[0].replace("\n", " ")


def sources() -> str:
    """How to name each kind of source, by the docstring of its module."""
    parts = [(sys.modules[kind.__module__].__doc__ or "").partition("\n\n") for kind in kinds()]
    return "\n" + "\n".join(f"### {title.removesuffix('.')}\n\n{text}" for title, _, text in parts) + "\n"


def settings() -> str:
    """A table of the options of `check` that a file can set."""
    options = {
        name.removeprefix("--"): option for option in _options(dict(commands())["check"]) for name in option.opts
    }
    rows = [(f"`{key}`", KEYS[key][0], options[key].help or "", _default(options[key])) for key in KEYS]
    return table(("key", "value", "what it does", "default"), rows)


def _options(command: click.Command) -> Iterator[click.Option]:
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield option


def _usage(option: click.Option) -> str:
    names = sorted([*option.opts, *option.secondary_opts], key=len)
    if not option.is_flag:
        names[-1] += f" {_metavar(option)}"
    return ", ".join(f"`{name}`" for name in names)


def _metavar(option: click.Option) -> str:
    return option.make_metavar(click.Context(cli))


def _default(option: click.Option) -> str:
    if option.is_flag or not isinstance(option.default, str | int | float):
        return ""
    return f"`{option.default:g}`" if isinstance(option.default, float) else f"`{option.default}`"
