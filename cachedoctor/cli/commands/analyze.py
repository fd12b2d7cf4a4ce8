"""`cachedoctor analyze`: what is wrong with a cache, and what the next export costs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cachedoctor.cli import options
from cachedoctor.cli.output import Output, Place, fail, progress
from cachedoctor.errors import InputError
from cachedoctor.report import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cachedoctor.analysis.analyze import Analysis
    from cachedoctor.buildkit import Release
    from cachedoctor.report.page import Page
    from cachedoctor.sources import Access


@click.command(cls=options.CacheCommand)
@options.sources()
@options.format(Part.WORDS, Part.DOCUMENT, Part.FINDINGS)
@options.output
@options.buildkit
@options.tag
@options.platform
@options.registry
@options.verify_blobs
@options.build
@options.before
@options.dockerfile
@options.verbosity
@options.color
@click.option(
    "--report",
    metavar="DIR",
    help="Also write a folder without names or digests of your build, with which others can reproduce the findings.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if an error is found.")
def analyze(
    sources: tuple[str, ...],
    format: str,
    output: str | None,
    buildkit: Release | None,
    tag: str | None,
    platform: str | None,
    access: Access,
    build: tuple[str, ...],
    before: tuple[str, ...],
    dockerfile: str | None,
    quiet: bool,
    verbose: bool,
    no_color: bool,
    report: str | None,
    exit_code: bool,
) -> None:
    """Say what is wrong with a cache, and what its next export costs.

    A file may be a cache config, a manifest or index with its config beside it, or an OCI layout as a tar, compressed
    or not. The type is detected from the content. Several sources are merged in the order given, as several
    --cache-from are.

    \b
    Examples:
      cachedoctor analyze manifest.json
      cachedoctor analyze oci:/var/cache/build:main --buildkit v0.21.1
      cachedoctor analyze docker://registry.example.com/app:buildcache
      cachedoctor analyze cache.json --build app.dockerbuild --before yesterday.dockerbuild
      cachedoctor analyze tag-a.json tag-b.json --format markdown
      cachedoctor analyze cache.json --report cache-report
    """
    from cachedoctor.analysis.analyze import analyze as judge
    from cachedoctor.cli import inputs
    from cachedoctor.report import render
    from cachedoctor.report.analysis import page

    out = Output(output, no_color=no_color, quiet=quiet, verbose=verbose)
    caches = list(map(Place.of_cache, sources))
    trusted = [Place(access.ca_file, "file of certificates")] if access.ca_file else []
    out.spare(*caches, *inputs.records(build, before), *trusted)
    if report is not None:
        _check_report(report, caches, out.path)
    try:
        with progress(quiet) as step:
            recorded = inputs.builds(build, dockerfile, access, step, sources)
            earlier = inputs.builds(before, dockerfile, access, step, (*sources, *build))
            documents = inputs.documents(sources, tag, platform, access, step)
            analysis = judge(documents, buildkit=buildkit, builds=recorded, before=earlier, progress=step)
            result = page(analysis)
            if report is not None:
                result = _with_report(result, report, analysis, step)
            step("writing the report")
            text = render(result, format, out.style)
        out.write(text, commands=format == "github")
    except InputError as error:
        fail(str(error))
    if exit_code and analysis.verdict == "error":
        sys.exit(1)


def _check_report(folder: str, caches: Sequence[Place], output: str | None) -> None:
    """End if a folder cannot take a report to share: before anything is read, as that can take long."""
    import os

    from cachedoctor.report.upstream import check_folder

    try:
        check_folder(folder)
    except InputError as error:
        fail(str(error))
    target = os.path.realpath(folder)
    paths = [(str(cache.location.local), cache.what) for cache in caches if cache.location and cache.location.local]
    for path, what in [*paths, *([(output, "report for people")] if output else [])]:
        if f"{os.path.realpath(path)}{os.sep}".startswith(f"{target}{os.sep}"):
            fail(f"{folder}: the {what} is in it; name another folder for --report")


def _with_report(page: Page, folder: str, analysis: Analysis, step: Callable[[str], None]) -> Page:
    """Write the report to share; the page also says what was written."""
    from cachedoctor.report import upstream

    return page._replace(sections=[*page.sections, upstream.summary(upstream.write(folder, analysis, step))])
