"""`cachedoctor repair`: write a cache that imports, has no loops, and loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cachedoctor.cli import options
from cachedoctor.cli.output import Output, fail, progress, warn
from cachedoctor.errors import InputError, LimitError, ProofError
from cachedoctor.report import Part

if TYPE_CHECKING:
    from cachedoctor.repairs.limits import Limit
    from cachedoctor.repairs.prune import Preference
    from cachedoctor.repairs.repair import Repaired
    from cachedoctor.sources import Access

_PREFERENCES = ("cheapest", "definition", "content")


@click.command(cls=options.CacheCommand)
@options.sources()
@click.option(
    "--output",
    "-o",
    metavar="DEST",
    help="Where to write the repaired cache; an existing folder, or DIR/, is written to as a layout.",
)
@click.option("--in-place", is_flag=True, help="Write into the layout that is read; --tag names the tag to set.")
@click.option("--force", is_flag=True, help="Overwrite an existing file or tag.")
@click.option("--dry-run", is_flag=True, help="Report what would be written, and write nothing.")
@click.option(
    "--prune",
    type=click.Choice(["none", "minimal"]),
    default="none",
    show_default=True,
    help="minimal: keep one alternative for each input, the cheapest.",
)
@click.option(
    "--max-calls",
    callback=options.number_or_auto,
    metavar="N|auto",
    help="Remove alternatives until the loop check makes at most N calls; auto: so few that no rule warns.",
)
@click.option(
    "--max-bytes",
    callback=options.size_or_auto,
    metavar="N|auto",
    help="Remove alternatives until the config has at most N bytes, such as 1MiB; auto: what BuildKit imports.",
)
@click.option(
    "--headroom",
    callback=options.percentage(90),
    default="10%",
    show_default=True,
    metavar="PERCENT",
    help="How much of --max-bytes to leave for the next builds, if possible.",
)
@click.option(
    "--prefer",
    type=click.Choice(_PREFERENCES),
    default="cheapest",
    show_default=True,
    help="Which of several alternatives that cost the same to keep.",
)
@click.option("--drop-oldest", is_flag=True, help="Let --max-bytes drop the records with the oldest results.")
@click.option(
    "--join/--no-join",
    default=True,
    show_default=True,
    help="Join the leaves of the cache with one more record, since some importers lose links of several leaves.",
)
@click.option("--allow-too-large", is_flag=True, help="Write a cache even if BuildKit refuses it for its size.")
@options.format(Part.WORDS, Part.DOCUMENT)
@options.tag
@options.platform
@options.registry
@options.verify_blobs
@options.build
@options.dockerfile
@options.verbosity
@options.color
def repair(
    sources: tuple[str, ...],
    output: str | None,
    in_place: bool,
    force: bool,
    dry_run: bool,
    prune: str,
    max_calls: Limit,
    max_bytes: Limit,
    headroom: float,
    prefer: Preference,
    drop_oldest: bool,
    join: bool,
    allow_too_large: bool,
    format: str,
    tag: str | None,
    platform: str | None,
    access: Access,
    build: tuple[str, ...],
    dockerfile: str | None,
    quiet: bool,
    verbose: bool,
    no_color: bool,
) -> None:
    """Write a cache that imports, has no loops, and loses nothing.

    Several SOURCEs become one cache. The result is read back before it takes effect, and must hold every record that
    can be derived and every result. A cache that BuildKit would refuse for its size is not written.

    \b
    Examples:
      cachedoctor repair manifest.json -o repaired.json
      cachedoctor repair tag-a.json tag-b.json -o joined.json --max-bytes auto
      cachedoctor repair oci:cache:main -o oci:cache:repaired
      cachedoctor repair docker://registry.example.com/app:old -o docker://registry.example.com/app:new
    """
    from cachedoctor.builds.recognize import recognize
    from cachedoctor.cli import inputs
    from cachedoctor.cli.rerun import rerun
    from cachedoctor.repairs.repair import Options
    from cachedoctor.repairs.repair import repair as repair_documents
    from cachedoctor.report import render
    from cachedoctor.report.repair import page
    from cachedoctor.sources import parse

    _check_usage(len(sources), output, in_place, dry_run, max_bytes)
    out = Output(None, no_color=no_color, quiet=quiet, verbose=verbose)
    limits = Options(prune == "minimal", max_calls, max_bytes, prefer, drop_oldest, headroom, join)
    try:
        with progress(quiet) as step:
            recorded = inputs.builds(build, dockerfile, access, step, sources)
            documents = inputs.documents(sources, None if in_place else tag, platform, access, step)
            writer = None
            if in_place:
                writer = parse(sources[0]).in_place(documents[0], tag).writer(documents, force=True)
            elif output:
                writer = parse(output).writer(documents, force=force, access=access)
            repaired = repair_documents(documents, limits, step)
            known = recognize(recorded, documents, repaired.survey)
            location = writer.location if writer else None
            too_large = None if allow_too_large else repaired.too_large(location)
            # A tag that does not exist yet has to be set even if there is nothing to fix.
            left = sources[0] if in_place and not tag and repaired.unchanged else None
            written = None if dry_run or too_large or left else writer
            if written:
                step("writing")
                written.write(repaired.config, repaired.data, repaired.check)
        path, replaced = (written.path, written.replaced) if written else (None, None)
        result = page(repaired, path, replaced, left=left, location=location, rerun=rerun, known=known)
        text = render(result, format, out.style)
    except (InputError, LimitError) as error:
        fail(f"{error}{_hint(error)}")
    except ProofError as error:
        fail(f"nothing was written: {error}; this is a bug of cachedoctor, please report it with the cache")
    for warning in repaired.warnings:
        warn(warning)
    if too_large and not dry_run:
        fail(_refused(repaired, too_large))
    out.write(text, commands=format == "github")


def _refused(repaired: Repaired, too_large: tuple[str, int]) -> str:
    """That a cache is not written since BuildKit does not import it, and the command that writes one."""
    from cachedoctor.cli.rerun import rerun
    from cachedoctor.report.repair import too_large_problem

    problem = too_large_problem(repaired, too_large)
    remedy = f"Run: {rerun(*problem.more, without=problem.without)}" if problem.has_remedy else problem.advice
    return f"nothing was written: {problem.text} --allow-too-large writes it anyway. {remedy}"


def _check_usage(sources: int, output: str | None, in_place: bool, dry_run: bool, max_bytes: Limit) -> None:
    """Raise `click.UsageError` if options contradict each other."""
    if in_place and (output or sources > 1):
        raise click.UsageError("--in-place takes one layout, and no --output")
    if output == "-":
        raise click.UsageError("the report goes to standard output; name a file for -o")
    for option in ("drop_oldest", "headroom") if max_bytes is None else ():
        if click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{option.replace('_', '-')} needs --max-bytes")
    if not (in_place or output or dry_run):
        raise click.UsageError("say where to write: -o DEST, --in-place, or --dry-run")


def _hint(error: Exception) -> str:
    """What may help against an error, if anything."""
    if isinstance(error, LimitError) and error.dropping_may_help:
        from cachedoctor.cli.rerun import rerun

        return f"; --drop-oldest may give up the records with the oldest results: {rerun('--drop-oldest')}"
    return ""
