"""The `cachedoctor` command."""

from __future__ import annotations

import errno
import os
import pkgutil
import sys
from importlib import import_module
from typing import NoReturn

import click

from cachedoctor import __version__
from cachedoctor.cli import commands
from cachedoctor.cli.output import complain, fail, report_elsewhere
from cachedoctor.io.interrupts import INTERRUPTED

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
"""Errors of standard output, which click writes help and versions to."""
MOST_SHOWN = 300
"""Characters of an internal error that are shown: it may hold a whole input."""


class _Unexpected(Exception):
    """Wraps what click would answer with exit code 1, which would say that a cache is bad."""


class _Group(click.Group):
    """The commands of the folder `commands`."""

    def list_commands(self, context: click.Context) -> list[str]:
        modules = (module.name for module in pkgutil.iter_modules(commands.__path__))
        return sorted(name for name in modules if not name.startswith("_"))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(context):
            return None
        command = getattr(import_module(f"{commands.__name__}.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            from cachedoctor.suggest import meant

            if os.path.lexists(args[0]):
                hint = "cachedoctor analyze reads caches, cachedoctor profile reads profiles"
            else:
                hint = meant(args[0], self.list_commands(context), near=0.65)
            raise click.UsageError(f"no such command: {args[0]!r}; {hint}", context) from error

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except (OSError, EOFError) as error:
            raise _Unexpected from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="cachedoctor")
def cli() -> None:
    """Find out why a BuildKit cache export hangs, or why its cache is never used again.

    \b
    Examples:
      cachedoctor analyze manifest.json
      cachedoctor check manifest.json --max-seconds 30
      cachedoctor repair manifest.json -o repaired.json
      cachedoctor profile cpu.pprof
    """


def main() -> None:
    """Run the command.

    Exit codes: 0, 1 for findings at the fail level, 130 when interrupted, and 2 for everything else: bad usage,
    unreadable input, and errors of cachedoctor itself. 1 would make a pipeline do without its cache.
    """
    _avoid_collecting()
    _die_quietly_on_a_closed_pipe()
    try:
        code = cli.main(prog_name="cachedoctor", standalone_mode=False)
    except click.ClickException as error:
        _misused(error)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except MemoryError:
        fail("not enough memory for this input")
    except Exception as error:
        cause = error.__cause__ if isinstance(error, _Unexpected) and error.__cause__ else error
        if isinstance(cause, OSError) and cause.errno in _UNWRITABLE:
            fail(f"cannot write: {cause.strerror}")
        _crashed(cause)
    sys.exit(code)


def _misused(error: click.ClickException) -> NoReturn:
    """End with click's own words: several lines, the last of which is the reason."""
    from io import StringIO

    message = StringIO()
    error.show(message)
    complain(message.getvalue().rstrip("\n"))
    report_elsewhere(error.format_message())
    sys.exit(2)


def _crashed(error: BaseException) -> NoReturn:
    """End with one line; `CACHEDOCTOR_TRACEBACK=1` shows the traceback first."""
    if os.environ.get("CACHEDOCTOR_TRACEBACK") == "1":
        import traceback

        complain("".join(traceback.format_exception(error)).rstrip("\n"))
    fail(f"internal error: {type(error).__name__}: {str(error)[:MOST_SHOWN]}; please report it with the input")


def _avoid_collecting() -> None:
    """A short run makes millions of small objects without cycles: collecting would only walk them again and again."""
    import gc

    gc.disable()


def _die_quietly_on_a_closed_pipe() -> None:
    import signal

    if sys.platform != "win32":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
