"""`cachedoctor repair`: write a cache that imports, has no loops, and loses nothing."""

from __future__ import annotations

from typing import get_args

import click

from cachedoctor.cli import options
from cachedoctor.cli.output import Output, fail, progress, warn
from cachedoctor.errors import InputError, LimitError, ProofError
from cachedoctor.repairs.prune import Preference
from cachedoctor.repairs.repair import Options
from cachedoctor.repairs.repair import repair as mend
from cachedoctor.sources import Access, destination


@click.command()
@options.sources
@click.option(
    "--output",
    "-o",
    metavar="DEST",
    help="A file, docker://HOST/REPO:TAG, oci:DIR[:TAG], or a layout folder: one that is there, or DIR/.",
)
@click.option("--in-place", is_flag=True, help="Write into the layout that is read; --tag names the tag to set.")
@click.option("--force", is_flag=True, help="Replace the file or tag that is there.")
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
    type=click.Choice(get_args(Preference)),
    default="cheapest",
    show_default=True,
    help="What decides between alternatives that cost the same.",
)
@click.option("--drop-oldest", is_flag=True, help="Let --max-bytes give up records with the oldest results.")
@click.option("--format", "-f", type=click.Choice(["text", "json"]), default="text", show_default=True)
@options.tag
@options.platform
@options.registry
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

    Several SOURCEs become one cache. Nothing is written before what was written has been read back and found to have
    every record that could be derived and every result.

    \b
    Examples:
      cachedoctor repair manifest.json -o repaired.json
      cachedoctor repair tag-a.json tag-b.json -o joined.json --max-bytes 1MiB
      cachedoctor repair oci:cache:main -o oci:cache:repaired
      cachedoctor repair docker://registry.example.com/app:old -o docker://registry.example.com/app:new
    """
    from cachedoctor.report import repaired as reports

    if in_place and (output or len(sources) > 1):
        raise click.UsageError("--in-place takes one layout, and no --output")
    if in_place and sources[0].startswith("docker://"):
        raise click.UsageError(f"--in-place is for layouts; to move the tag: -o {sources[0]} --force")
    if output == "-":
        raise click.UsageError("standard output holds the report; name a file for -o")
    if drop_oldest and max_bytes is None:
        raise click.UsageError("--drop-oldest is for --max-bytes")
    if not (in_place or output or dry_run):
        raise click.UsageError("say where to write: -o DEST, --in-place, or --dry-run")
    out = Output(None, no_color=no_color, verbosity=int(verbose) - int(quiet))
    chosen = Options(prune == "minimal", max_calls, max_bytes, prefer, drop_oldest)
    try:
        with progress(quiet) as told:
            documents = options.documents(sources, None if in_place else tag, platform, access, told)
            place = None
            if in_place:
                folder = destination.layout_folder(documents[0])
                moved = tag or destination.tag_of(documents[0], folder)
                place = destination.destination(f"oci:{folder}", documents, force=True, tag=moved)
            elif output:
                place = destination.destination(output, documents, force=force, access=access)
            made = mend(documents, chosen, told)
            if place and not dry_run:
                told("writing")
                place.write(made.config, made.data, made.check)
        text = reports.render(made, None if dry_run else place, format, out.style)
    except (InputError, LimitError) as error:
        fail(str(error))
    except ProofError as error:
        fail(f"nothing was written: {error}; please report this as a bug of cachedoctor, with the cache")
    for warning in made.warnings:
        warn(warning)
    out.write(text)
