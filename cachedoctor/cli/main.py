"""The `cachedoctor` command."""

from __future__ import annotations

import gc
import os
import sys
from io import StringIO
from typing import NoReturn

import click

from cachedoctor import __version__
from cachedoctor.cli.commands.analyze import analyze
from cachedoctor.cli.commands.check import check
from cachedoctor.cli.commands.profile import profile
from cachedoctor.cli.commands.repair import repair
from cachedoctor.cli.output import complain, fail, tell_elsewhere

INTERRUPTED = 130
"""What shells make of SIGINT."""
MOST_TOLD = 300
"""Characters of an internal error that are shown: it may hold a whole input."""


class _Unexpected(Exception):
    """What click would answer with exit code 1, which says that a cache is bad; its cause is what happened."""


class _Group(click.Group):
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


cli.add_command(analyze)
cli.add_command(check)
cli.add_command(repair)
cli.add_command(profile)


def main() -> None:
    """Run the command.

    Exit codes: 0, 1 for findings at the fail level, 130 where it is interrupted, and 2 for all else: bad usage,
    unreadable input, and errors of cachedoctor itself. 1 would make a pipeline do without its cache.
    """
    # A short run over millions of small objects without cycles: collecting would only walk them again and again.
    gc.disable()
    if sys.platform != "win32":
        _die_quietly_on_a_closed_pipe()
    try:
        code = cli.main(prog_name="cachedoctor", standalone_mode=False)
    except click.ClickException as error:
        _misused(error)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except MemoryError:
        fail("there is not enough memory for this input")
    except Exception as error:
        _crashed(error.__cause__ if isinstance(error, _Unexpected) and error.__cause__ else error)
    sys.exit(code)


def _misused(error: click.ClickException) -> NoReturn:
    """End with click's own words: several lines, the last of which is the reason."""
    told = StringIO()
    error.show(told)
    complain(told.getvalue().rstrip("\n"))
    tell_elsewhere(error.format_message())
    sys.exit(2)


def _crashed(error: BaseException) -> NoReturn:
    """End with one line; whoever mends it asks for more with `CACHEDOCTOR_TRACEBACK=1`."""
    if os.environ.get("CACHEDOCTOR_TRACEBACK") == "1":
        import traceback

        complain("".join(traceback.format_exception(error)).rstrip("\n"))
    fail(f"internal error: {type(error).__name__}: {str(error)[:MOST_TOLD]}; please report it with the input")


def _die_quietly_on_a_closed_pipe() -> None:
    import signal

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
