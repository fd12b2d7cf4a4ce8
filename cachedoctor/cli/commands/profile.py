"""`cachedoctor profile`: where a stuck buildkitd spends its time, and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

import click
from click.core import ParameterSource

from cachedoctor.cli import options
from cachedoctor.cli.output import Output, Place, fail, progress, warn
from cachedoctor.errors import FocusError, InputError, reason
from cachedoctor.report import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cachedoctor.analysis.analyze import Analysis
    from cachedoctor.diagnosis.daemon import Answer
    from cachedoctor.diagnosis.evidence import Evidence
    from cachedoctor.sources import Access

USUAL_ROWS = 20
"""Functions in the table for people, unless they ask for another number or for every detail."""
_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
_TIME = re.compile(rf"(?:{_NUMBER} ?h)? ?(?:{_NUMBER} ?m(?:in)?)? ?(?:{_NUMBER} ?s)?")


def _seconds(context: click.Context, parameter: click.Parameter, given: str | None) -> float | None:
    if given is None:
        return None
    match = _TIME.fullmatch(given.strip())
    if not match or not any(match.groups()):
        raise click.BadParameter("expected a time such as 2471.3s, 40m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


@click.command()
@click.argument("sources", metavar="FILE|URL...", nargs=-1, required=True)
@click.option(
    "--sort", type=click.Choice(["cum", "flat"]), default="cum", show_default=True, help="Order of the table."
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Functions in the table, as pprof's -nodecount.")
@click.option("--focus", metavar="REGEX", help="Only samples that match, as pprof's -focus (RE2).")
@click.option("--sample-type", metavar="TYPE", help="What to count, such as alloc_space; default: the profile's own.")
@click.option(
    "--cache",
    "caches",
    metavar="SOURCE",
    multiple=True,
    help="A cache that the build imports, to estimate how long the export takes. Pass every imported cache.",
)
@options.build
@click.option("--running-for", metavar="TIME", callback=_seconds, help="How long the export has run: 40m, 1h30m.")
@click.option(
    "--seconds",
    type=click.IntRange(1, 600),
    default=15,
    show_default=True,
    metavar="N",
    help="With a URL: length of the CPU profile.",
)
@click.option(
    "--twice",
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    help="With a URL: take a second goroutine dump so much later, to see what moves.",
)
@click.option("--save", metavar="DIR", help="With a URL: keep what was fetched, for a bug report.")
@options.format(Part.WORDS, Part.DOCUMENT, Part.STACKS)
@options.output
@options.registry
@options.verbosity
@options.color
def profile(
    sources: tuple[str, ...],
    sort: Literal["cum", "flat"],
    top: int | None,
    focus: str | None,
    sample_type: str | None,
    caches: tuple[str, ...],
    build: tuple[str, ...],
    running_for: float | None,
    seconds: int,
    twice: int | None,
    save: str | None,
    format: str,
    output: str | None,
    access: Access,
    quiet: bool,
    verbose: bool,
    no_color: bool,
) -> None:
    """Say what a stuck buildkitd is doing, whether it will finish, and what to do.

    FILE is a pprof profile (CPU, heap, goroutine, mutex, block), a goroutine dump as text (debug=1 or debug=2), the
    text of `go tool pprof -top`, or - for standard input; the type is detected from the content. URL is the debug
    address of a running buildkitd (--debugaddr): http://HOST:PORT takes a CPU profile and a goroutine dump.

    Several files of one daemon are judged together. Of two goroutine dumps, the earlier one first, you learn what moved
    between them, and what is stuck.

    \b
    Examples:
      cachedoctor profile cpu.pprof
      cachedoctor profile goroutines.txt --cache manifest.json
      cachedoctor profile first.txt a-minute-later.txt
      cachedoctor profile http://127.0.0.1:6060 --twice 60 --save report
      cachedoctor profile cpu.pprof --format svg -o flame.svg
    """
    from cachedoctor.cli import inputs
    from cachedoctor.diagnosis.diagnose import diagnose
    from cachedoctor.report import render
    from cachedoctor.report.profile import page

    out = Output(output, no_color=no_color, quiet=quiet, verbose=verbose)
    trusted = [Place(access.ca_file, "file of certificates")] if access.ca_file else []
    profiles = (Place(source, "profile") for source in sources)
    out.spare(*profiles, *map(Place.of_cache, caches), *inputs.records(build), *trusted)
    shown = top or (USUAL_ROWS if format in ("text", "markdown") and not verbose else 0)
    try:
        with progress(quiet) as step:
            evidence = _evidence(sources, sample_type, Fetch(seconds, twice, save), step)
            analysis = _analysis(caches, build, access, step)
            survey = analysis.survey if analysis else None
            step("looking for the cause")
            diagnosis = diagnose(evidence, sort=sort, count=shown, focus=focus, caches=survey, elapsed=running_for)
            step("writing the report")
            text = render(page(diagnosis, analysis), format, out.style)
        if build and not caches:
            warn("--build has no effect without --cache")
        if running_for is not None and not caches:
            warn("--running-for has no effect without --cache")
        if focus and not diagnosis.top.rows:
            warn(f"--focus {focus}: no match")
        if caches and not diagnosis.remaining:
            warn(f"--cache has no effect here: there is no estimate for {diagnosis.main.cause}")
        out.write(text, commands=format == "github")
    except FocusError as error:
        raise click.BadParameter(str(error), param_hint="--focus") from error
    except InputError as error:
        fail(str(error))


class Fetch(NamedTuple):
    """How to ask a daemon."""

    seconds: int
    """The length of the CPU profile."""
    twice: int | None
    """Seconds from the first goroutine dump to the second, `None` for only one."""
    save: str | None
    """The folder to keep the answers in."""


def _evidence(
    sources: Sequence[str], sample_type: str | None, fetch: Fetch, step: Callable[[str], None]
) -> Sequence[Evidence]:
    """All that was read, goroutine dumps in the order of the command line."""
    from cachedoctor.diagnosis import daemon

    urls = [source for source in sources if daemon.is_url(source)]
    if not urls:
        if fetch.save:
            raise click.UsageError("--save needs a URL: a file is saved already")
        if fetch.twice:
            raise click.UsageError("--twice needs a URL; pass two files to compare them")
        if click.get_current_context().get_parameter_source("seconds") is not ParameterSource.DEFAULT:
            raise click.UsageError("--seconds needs a URL: it cannot change the length of a file")
    evidence: list[Evidence] = []
    for source in sources:
        if source in urls:
            evidence += _fetched(source, sample_type, fetch, step)
        else:
            evidence.append(_read(source, sample_type, step))
    return evidence


def _read(source: str, sample_type: str | None, step: Callable[[str], None]) -> Evidence:
    from cachedoctor.cli import inputs
    from cachedoctor.diagnosis.evidence import load

    step(f"reading {source}")
    read = load(source, sample_type=sample_type, stdin=inputs.stdin())
    if read.warning:
        warn(f"{source}: {read.warning}")
    return read


def _fetched(url: str, sample_type: str | None, fetch: Fetch, step: Callable[[str], None]) -> Sequence[Evidence]:
    from cachedoctor.diagnosis import daemon
    from cachedoctor.diagnosis.evidence import load_answer

    evidence: list[Evidence] = []
    try:
        for answer in daemon.fetch(url, fetch.seconds, step, again_after=fetch.twice):
            if fetch.save:
                _save(answer, fetch.save)
            evidence.append(load_answer(answer, sample_type))
    except InputError as error:
        # A daemon that hangs may still have given its goroutines.
        if not evidence:
            raise
        warn(str(error))
    return evidence


def _save(answer: Answer, folder: str) -> None:
    from pathlib import Path

    from cachedoctor.io.files import write_atomically

    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_atomically(Path(folder, answer.name), answer.data)
    except OSError as error:
        fail(f"{folder}: cannot keep what was fetched: {reason(error)}")


def _analysis(
    caches: Sequence[str], builds: Sequence[str], access: Access, step: Callable[[str], None]
) -> Analysis | None:
    if not caches:
        return None
    from cachedoctor.analysis.analyze import analyze
    from cachedoctor.cli import inputs

    recorded = inputs.builds(builds, None, access, step, caches)
    return analyze(inputs.documents(caches, None, None, access, step), builds=recorded, progress=step)
