"""`cachedoctor check`: a judgement before the build, told by the exit code."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cachedoctor.cli import options
from cachedoctor.cli.output import Output, fail, progress, same_file, warn

if TYPE_CHECKING:
    from cachedoctor.analysis import Analysis
    from cachedoctor.rules.versions import Version

SEVERITIES = ("error", "warning", "note")


def _settings(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """Make what a file sets the defaults of all options: those that are given win."""
    from cachedoctor import settings
    from cachedoctor.errors import InputError

    try:
        found = settings.read(Path(path)) if path else settings.find(Path())
    except InputError as error:
        fail(str(error))
    defaults = {key.replace("-", "_"): value for key, value in found.values.items()}
    for option in context.command.params:
        if option.name in defaults:
            text = str(defaults[option.name])
            try:
                option.process_value(context, text)
            except click.BadParameter as error:
                fail(f"{found.path}: {option.name.replace('_', '-')}: {error.message}")
            defaults[option.name] = text
    context.default_map = defaults
    return path


def _finite(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise click.BadParameter(f"{value} is no number of seconds from 0 on")
    return value


def _rules(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    """The words of a list with commas. A word that names no rule is refused here, where the option is known."""
    from cachedoctor.rules.selection import chosen

    words = tuple(word.strip() for word in text.split(",")) if text else ()
    try:
        chosen(words, ())
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return words


@click.command()
@options.sources
@click.option(
    "--max-seconds",
    type=float,
    default=60.0,
    show_default=True,
    metavar="N",
    callback=_finite,
    help="Fail where a step of the next export takes longer.",
)
@click.option(
    "--max-calls",
    type=click.IntRange(min=1),
    metavar="N",
    help="Fail where the loop check of BuildKit v0.9 to v0.24 makes more calls.",
)
@click.option(
    "--max-bytes",
    default="1MiB",
    show_default=True,
    metavar="N",
    callback=options.size,
    help="Fail where config or manifest have more bytes.",
)
@options.buildkit
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="error",
    show_default=True,
    help="Exit with 1 for findings of this severity and worse.",
)
@click.option(
    "--select",
    metavar="RULES",
    callback=_rules,
    help="Ask these rules only: ids, names, or starts of ids, with commas: CD1,path-explosion.",
)
@click.option("--ignore", metavar="RULES", callback=_rules, help="Do not ask these rules.")
@click.option("--baseline", metavar="FILE", help="Let pass what is in this file and did not get worse.")
@click.option("--write-baseline", metavar="FILE", help="Write down what is found. Without --baseline, this passes.")
@click.option(
    "--config",
    metavar="FILE",
    is_eager=True,
    callback=_settings,
    help="Settings; default: .cachedoctor.toml, or [tool.cachedoctor] of pyproject.toml.",
)
@click.option("--step-summary", is_flag=True, help="Append the report as markdown to $GITHUB_STEP_SUMMARY.")
@options.format
@options.output
@options.tag
@options.platform
@options.registry
@options.names
@options.verbosity
@options.color
def check(
    sources: tuple[str, ...],
    max_seconds: float,
    max_calls: int | None,
    max_bytes: int,
    buildkit: Version | None,
    fail_on: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    baseline: str | None,
    write_baseline: str | None,
    config: str | None,
    step_summary: bool,
    format: str,
    output: str | None,
    tag: str | None,
    platform: str | None,
    plain_http: bool | None,
    ca_file: str | None,
    timeout: float,
    names: str | None,
    quiet: bool,
    verbose: bool,
    no_color: bool,
) -> None:
    """Judge a cache against limits before the build, and tell by the exit code.

    Exit codes: 0 where nothing is found at the fail level, 1 where something is, 2 for bad usage or a SOURCE that
    cannot be read. Each SOURCE is judged alone, and then the cache that all of them make together, as several
    --cache-from do: two clean tags can loop together.

    \b
    Examples:
      cachedoctor check manifest.json
      cachedoctor check tag-a.json tag-b.json --max-seconds 10 --fail-on warning
      cachedoctor check oci:cache:main --buildkit v0.21.1 --format junit -o cache.xml
    """
    from cachedoctor.baseline import load
    from cachedoctor.check import Policy, accepted
    from cachedoctor.check import check as judge
    from cachedoctor.errors import InputError
    from cachedoctor.report import report
    from cachedoctor.rules import Limits, Severity
    from cachedoctor.rules.selection import chosen

    out = Output(None if output == "-" else output, no_color=no_color, verbosity=int(verbose) - int(quiet))
    out.spare(sources)
    if write_baseline and any(same_file(write_baseline, source) for source in sources):
        fail(f"{write_baseline}: is the cache itself; write the baseline elsewhere")
    try:
        rules = chosen(select, ignore)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        policy = Policy(
            limits=Limits(max_seconds=max_seconds, max_calls=max_calls, max_bytes=max_bytes),
            buildkit=buildkit,
            rules=rules,
            fail_on=Severity[fail_on.upper()],
            baseline=load(baseline) if baseline else None,
        )
        with progress(quiet) as told:
            access = options.access(plain_http, ca_file, timeout)
            documents = options.documents(sources, tag, platform, access, told)
            result = judge(documents, policy, labels=options.labels(names), progress=told)
            if write_baseline and not baseline:
                result = accepted(result, write_baseline)
            told("writing the report")
            text = report(format).render(result, out.style)
        if write_baseline:
            _save(write_baseline, result)
        out.write(text)
    except InputError as error:
        fail(str(error))
    if step_summary:
        _summarize(result)
    sys.exit(1 if result.failing else 0)


def _save(path: str, result: Analysis) -> None:
    from cachedoctor.baseline import save

    try:
        save(path, result)
    except OSError as error:
        fail(f"{path}: cannot write the baseline: {error.strerror or error}")


def _summarize(result: Analysis) -> None:
    """Append to the file that a workflow shows on the page of its run."""
    from cachedoctor.report import Style, report

    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        warn("there is no step summary to append to: GITHUB_STEP_SUMMARY is not set")
        return
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{report('markdown').render(result, Style())}\n")
    except OSError as error:
        warn(f"{path}: cannot write the step summary: {error.strerror or error}")
