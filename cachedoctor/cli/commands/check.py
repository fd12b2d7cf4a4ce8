"""`cachedoctor check`: a judgement before the build, as an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cachedoctor.cli import options
from cachedoctor.cli.output import (
    Elsewhere,
    Output,
    Place,
    append_summary,
    elsewhere,
    fail,
    keep_apart,
    progress,
    warn,
)
from cachedoctor.errors import InputError, reason
from cachedoctor.report import Part

if TYPE_CHECKING:
    from cachedoctor.analysis.analyze import Analysis
    from cachedoctor.analysis.baseline import Baseline
    from cachedoctor.buildkit import Release
    from cachedoctor.sources import Access

SEVERITIES = ("error", "warning", "note")
MOST_TOGETHER = 10
"""Sources that are judged together unless the user decides: builds import a few tags, rarely as many."""


class _Check(options.CacheCommand):
    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Find out first where a failure has to be reported: bad settings fail before the options are read."""
        github = any(
            argument in ("--format=github", "-fgithub") or (argument in ("--format", "-f") and value == "github")
            for argument, value in pairwise([*args, ""])
        )
        elsewhere.set(Elsewhere(annotation=github, summary="--step-summary" in args))
        return super().make_context(info_name, args, parent, **extra)


class _Calls(click.IntRange):
    """A number of calls, or `none`, which overrides a number in the settings."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        return None if value == "none" else super().convert(value, parameter, context)


def _finite(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise click.BadParameter(f"{value} is not a number of seconds: expected 0 or more")
    return value


def _rules(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    """The words of a comma-separated list. An unknown rule is refused here, where the option is known."""
    from cachedoctor.rules.registry import chosen

    words = tuple(word.strip() for word in text.split(",")) if text else ()
    try:
        chosen(words, ())
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return words


@click.command(cls=_Check)
@options.sources(required=False)
@click.option(
    "--sources-from",
    metavar="FILE",
    help="Also check the sources in a file, or - for standard input: one a line; lines with # are comments.",
)
@click.option("--all-tags", is_flag=True, help="Check every tag of each repository or layout that names no tag.")
@click.option(
    "--together/--no-together",
    default=None,
    help=f"Also judge what all sources make together; default: for up to {MOST_TOGETHER} that are named.",
)
@click.option(
    "--max-seconds",
    type=float,
    default=60,
    show_default=True,
    metavar="N",
    callback=_finite,
    help="Fail if a step of the next export takes longer.",
)
@click.option(
    "--max-calls",
    type=_Calls(min=1),
    metavar="N",
    help="Fail if the loop check of BuildKit v0.9 to v0.24 makes more calls; default: none.",
)
@click.option(
    "--max-bytes",
    default="1MiB",
    show_default=True,
    metavar="N",
    callback=options.size,
    help="Fail if the config or the manifest has more bytes.",
)
@click.option(
    "--min-hits",
    metavar="PERCENT",
    callback=options.percentage(100),
    help="Fail if fewer of the steps of a --build will hit, of those whose outcome is known: 80%.",
)
@options.buildkit
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="error",
    show_default=True,
    help="Exit with 1 for findings of this severity or worse.",
)
@click.option(
    "--select",
    metavar="RULES",
    callback=_rules,
    help="Run only these rules: ids, names, or the start of ids, separated by commas: CD1,path-explosion.",
)
@click.option("--ignore", metavar="RULES", callback=_rules, help="Skip these rules.")
@click.option("--baseline", metavar="FILE", help="Ignore findings in this baseline unless they got worse.")
@click.option(
    "--write-baseline",
    metavar="FILE",
    help="Save all findings as a baseline. Without --baseline, the check then passes.",
)
@click.option("--missing-ok/--no-missing-ok", help="Pass if a SOURCE does not exist yet.")
@options.settings
@click.option("--step-summary/--no-step-summary", help="Append the report as markdown to $GITHUB_STEP_SUMMARY.")
@options.format(Part.WORDS, Part.DOCUMENT, Part.FINDINGS)
@options.output
@options.tag
@options.platform
@options.registry
@options.verify_blobs
@options.build
@options.before
@options.dockerfile
@options.verbosity
@options.color
@click.pass_context
def check(
    context: click.Context,
    sources: tuple[str, ...],
    sources_from: str | None,
    all_tags: bool,
    together: bool | None,
    max_seconds: float,
    max_calls: int | None,
    max_bytes: int,
    min_hits: float | None,
    buildkit: Release | None,
    fail_on: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    baseline: str | None,
    write_baseline: str | None,
    missing_ok: bool,
    config: str | None,
    step_summary: bool,
    format: str,
    output: str | None,
    tag: str | None,
    platform: str | None,
    access: Access,
    build: tuple[str, ...],
    before: tuple[str, ...],
    dockerfile: str | None,
    quiet: bool,
    verbose: bool,
    no_color: bool,
) -> None:
    """Judge caches against limits before the build; exit code 1 if one fails.

    Exit codes: 0 if nothing is found at the fail level, 1 if something is, 2 for bad usage or a SOURCE that cannot be
    read, with the reason on standard error; the others are judged nonetheless. Each SOURCE is judged alone, and then,
    unless there are many, the cache that all of them make together, as several --cache-from do: two clean tags can
    loop together.

    \b
    Examples:
      cachedoctor check manifest.json
      cachedoctor check tag-a.json tag-b.json --max-seconds 10 --fail-on warning
      cachedoctor check oci:cache:main --buildkit v0.21.1 --format junit -o cache.xml
      cachedoctor check docker://registry.example.com/app-cache --all-tags
      cachedoctor check cache.json --build app.dockerbuild --min-hits 80%
    """
    from cachedoctor.analysis.check import Policy, accepted
    from cachedoctor.cli import inputs
    from cachedoctor.cli.judging import Run
    from cachedoctor.report import render
    from cachedoctor.report.analysis import page
    from cachedoctor.rules import Limits, Severity
    from cachedoctor.rules.registry import chosen

    out = Output(output, no_color=no_color, quiet=quiet, verbose=verbose)
    elsewhere.set(Elsewhere(annotation=format == "github", summary=step_summary))
    if all_tags and tag and not _is_setting(context, "tag"):
        raise click.UsageError("--all-tags checks every tag; leave out --tag")
    try:
        named = _named(context, sources, sources_from)
    except InputError as error:
        fail(str(error))
    _keep_apart(context, out, named)
    try:
        rules = chosen(select, ignore)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if min_hits is not None and not build:
        raise click.UsageError("--min-hits needs the record of the build: --build FILE|IMAGE")
    try:
        policy = Policy(
            limits=Limits(max_seconds=max_seconds, max_calls=max_calls, max_bytes=max_bytes, min_hits=min_hits),
            buildkit=buildkit,
            rules=rules,
            fail_on=Severity[fail_on.upper()],
            baseline=_baseline(context, baseline, write_baseline),
        )
        with progress(quiet) as step, inputs.shared(access) as shared:
            policy = replace(
                policy,
                builds=inputs.builds(build, dockerfile, shared, step, named),
                before=inputs.builds(before, dockerfile, shared, step, (*named, *build)),
            )
            run = Run(named, shared, step, missing_ok=missing_ok)
            if all_tags:
                run.list_tags()
            result = run.judge(
                policy,
                lambda source: None if all_tags else _tag(context, source, tag),
                platform,
                together=not all_tags and len(run.sources) <= MOST_TOGETHER if together is None else together,
            )
            if write_baseline and not policy.baseline and run.is_complete:
                result = accepted(result, write_baseline)
            step("writing the report")
            text = render(page(result), format, out.style)
    except InputError as error:
        fail(str(error))
    run.complain()
    if write_baseline:
        _save(write_baseline, result)
    out.write(text, commands=format == "github")
    if step_summary:
        _summarize(context, result)
    # An incomplete check must not look like a verdict.
    sys.exit(2 if not run.is_complete else 1 if result.failing else 0)


def _named(context: click.Context, sources: tuple[str, ...], path: str | None) -> list[str]:
    """The sources of the command line and of a file, each once. Raises `InputError`."""
    from cachedoctor.cli import inputs

    if path == "-" and "-" in sources:
        raise click.UsageError("standard input can be read only once")
    named = inputs.bounded([*sources, *(inputs.listed(path) if path else ())])
    if not named and path:
        raise InputError("names no sources", source=path)
    if not named:
        raise click.MissingParameter(ctx=context, param_hint="'SOURCE...'", param_type="argument")
    return named


def _keep_apart(context: click.Context, out: Output, sources: Sequence[str]) -> None:
    """End if a file to be written is one that is read, or written twice. Only the baseline may be replaced."""
    from cachedoctor.cli import inputs

    given = context.params
    reads = [Place.of_cache(source) for source in sources] + [
        Place(path, what)
        for path, what in (
            (given["sources_from"], "list of sources"),
            (given["ca_file"], "file of certificates"),
            (context.meta.get(options.SETTINGS), "file of settings"),
            (given["baseline"], "baseline"),
        )
        if path
    ]
    reads += inputs.records(given["build"], given["before"])
    writes = (
        (out.path, "report"),
        (given["write_baseline"], "baseline"),
        (os.environ.get("GITHUB_STEP_SUMMARY") if given["step_summary"] else None, "step summary"),
    )
    keep_apart(reads, [Place(path, what) for path, what in writes if path])


def _is_setting(context: click.Context, option: str) -> bool:
    return context.get_parameter_source(option) is ParameterSource.DEFAULT_MAP


def _tag(context: click.Context, source: str, tag: str | None) -> str | None:
    """The tag to read from a source; a tag from the settings gives way to what the source itself names.

    Raises `InputError` if the source is not a valid reference.
    """
    from cachedoctor.sources import parse

    return None if tag and _is_setting(context, "tag") and parse(source).selects else tag


def _baseline(context: click.Context, path: str | None, new: str | None) -> Baseline | None:
    """The old baseline. If one is written, that of the settings need not exist yet. Raises `InputError`."""
    if not path or (new and _is_setting(context, "baseline") and not os.path.lexists(path)):
        return None
    from cachedoctor.analysis.baseline import load

    return load(path)


def _save(path: str, result: Analysis) -> None:
    """Write a baseline, but never over the one that the check fails against: the next run would forgive everything."""
    from cachedoctor.analysis.baseline import save
    from cachedoctor.io.files import one_file

    assert result.check
    if result.check.unread:
        warn(f"{path}: left as it is, because not all sources could be read")
        return
    if result.failing and result.check.baseline and one_file(path, result.check.baseline):
        warn(f"{path}: left as it is, because the check fails against it")
        return
    try:
        save(path, result)
    except OSError as error:
        fail(f"{path}: cannot write the baseline: {reason(error)}")


def _summarize(context: click.Context, result: Analysis) -> None:
    """Append the report; warn that there is no step summary only if the option was given."""
    from cachedoctor.report import render
    from cachedoctor.report.analysis import page
    from cachedoctor.report.page import Style

    if os.environ.get("GITHUB_STEP_SUMMARY"):
        append_summary(f"{render(page(result), 'markdown', Style())}\n")
    elif not _is_setting(context, "step_summary"):
        warn("no step summary to append to: GITHUB_STEP_SUMMARY is not set")
