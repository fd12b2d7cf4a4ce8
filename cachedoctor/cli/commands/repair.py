"""`cachedoctor repair`: write a cache that imports, has no loops, and loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cachedoctor.cli import options
from cachedoctor.cli.output import Output, fail, progress, warn
from cachedoctor.errors import InputError, LimitError, ProofError
from cachedoctor.report import Part

if TYPE_CHECKING:
    from cachedoctor.repairs.prune import Preference
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
    type=click.IntRange(min=1),
    metavar="N",
    help="Remove alternatives until the loop check makes at most N calls.",
)
@click.option(
    "--max-bytes",
    callback=options.size,
    metavar="N",
    help="Remove alternatives until the config has at most N bytes, such as 1MiB.",
)
@click.option(
    "--prefer",
    type=click.Choice(_PREFERENCES),
    default="cheapest",
    show_default=True,
    help="Which of several alternatives that cost the same to keep.",
)
@click.option("--drop-oldest", is_flag=True, help="Let --max-bytes drop the records with the oldest results.")
@options.format(Part.WORDS, Part.DOCUMENT)
@options.tag
@options.platform
@options.registry
@options.verify_blobs
@options.verbosity
@options.color
def repair(
    sources: tuple[str, ...],
    output: str | None,
    in_place: bool,
    force: bool,
    dry_run: bool,
    prune: str,
    max_calls: int | None,
    max_bytes: int | None,
    prefer: Preference,
    drop_oldest: bool,
    format: str,
    tag: str | None,
    platform: str | None,
    access: Access,
    quiet: bool,
    verbose: bool,
    no_color: bool,
) -> None:
    """Write a cache that imports, has no loops, and loses nothing.

    Several SOURCEs become one cache. The result is read back before it takes effect, and must hold every record that
    can be derived and every result.

    \b
    Examples:
      cachedoctor repair manifest.json -o repaired.json
      cachedoctor repair tag-a.json tag-b.json -o joined.json --max-bytes 1MiB
      cachedoctor repair oci:cache:main -o oci:cache:repaired
      cachedoctor repair docker://registry.example.com/app:old -o docker://registry.example.com/app:new
    """
    from cachedoctor.cli import inputs
    from cachedoctor.repairs.repair import Options
    from cachedoctor.repairs.repair import repair as repair_documents
    from cachedoctor.report import render
    from cachedoctor.report.repair import page
    from cachedoctor.sources import parse

    if in_place and (output or len(sources) > 1):
        raise click.UsageError("--in-place takes one layout, and no --output")
    if output == "-":
        raise click.UsageError("the report goes to standard output; name a file for -o")
    if drop_oldest and max_bytes is None:
        raise click.UsageError("--drop-oldest needs --max-bytes")
    if not (in_place or output or dry_run):
        raise click.UsageError("say where to write: -o DEST, --in-place, or --dry-run")
    out = Output(None, no_color=no_color, quiet=quiet, verbose=verbose)
    limits = Options(prune == "minimal", max_calls, max_bytes, prefer, drop_oldest)
    try:
        with progress(quiet) as step:
            documents = inputs.documents(sources, None if in_place else tag, platform, access, step)
            writer = None
            if in_place:
                writer = parse(sources[0]).in_place(documents[0], tag).writer(documents, force=True)
            elif output:
                writer = parse(output).writer(documents, force=force, access=access)
            repaired = repair_documents(documents, limits, step)
            if writer and not dry_run:
                step("writing")
                writer.write(repaired.config, repaired.data, repaired.check)
        written = None if dry_run else writer
        result = page(repaired, written.path if written else None, written.replaced if written else None)
        text = render(result, format, out.style)
    except (InputError, LimitError) as error:
        fail(f"{error}{_hint(error)}")
    except ProofError as error:
        fail(f"nothing was written: {error}; this is a bug of cachedoctor, please report it with the cache")
    for warning in repaired.warnings:
        warn(warning)
    out.write(text, commands=format == "github")


def _hint(error: Exception) -> str:
    """What may help against an error, if anything."""
    if isinstance(error, LimitError) and error.dropping_may_help:
        return "; --drop-oldest may give up the records with the oldest results"
    return ""
