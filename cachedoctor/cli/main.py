"""The `cachedoctor` command."""

from __future__ import annotations

import gc
import sys

import click

from cachedoctor import __version__
from cachedoctor.cli.analyze import analyze
from cachedoctor.cli.check import check
from cachedoctor.cli.output import fail
from cachedoctor.cli.profile import profile
from cachedoctor.cli.repair import repair


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    """Run the command. Exit codes: 0, 1 for findings at the fail level, 2 for bad usage or unreadable input."""
    # A short run over millions of small objects without cycles: collecting would only walk them again and again.
    gc.disable()
    if sys.platform != "win32":
        _die_quietly_on_a_closed_pipe()
    try:
        cli(prog_name="cachedoctor")
    except MemoryError:
        fail("there is not enough memory for this input")


def _die_quietly_on_a_closed_pipe() -> None:
    import signal

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
