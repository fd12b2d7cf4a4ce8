"""Options that several commands share."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import BinaryIO

import click

from cachedoctor.buildkit import Release, parse_release
from cachedoctor.cli.output import warn
from cachedoctor.errors import InputError
from cachedoctor.report import FORMATS
from cachedoctor.sources import Access, CacheDocument, load
from cachedoctor.sources.names import load_names

_UNITS = {"": 1, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "k": 10**3, "m": 10**6, "g": 10**9}


def _once(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    if given.count("-") > 1:
        raise click.BadParameter("standard input can be read only once")
    return given


def _version(context: click.Context, parameter: click.Parameter, text: str | None) -> Release | None:
    try:
        return None if text is None else parse_release(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _number(context: click.Context, parameter: click.Parameter, given: float) -> float:
    if given != given:
        raise click.BadParameter("that is no number")
    return given


sources = click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, callback=_once)
format = click.option(
    "--format", "-f", type=click.Choice(FORMATS), default="text", show_default=True, help="How to report."
)
output = click.option("--output", "-o", metavar="FILE", help="Write the report to a file instead of standard output.")
buildkit = click.option(
    "--buildkit", metavar="VERSION", callback=_version, help="Judge for this version only: v0.21.1; default: all."
)
tag = click.option("--tag", help="Which tag of a layout or repository to read.")
platform = click.option("--platform", metavar="OS/ARCH", help="Which platform of an image to read; default: all.")
names = click.option(
    "--names",
    metavar="FILE",
    help="What buildkitd --save-cache-debug serves at /debug/cache/all: names records by their steps.",
)
color = click.option("--no-color", is_flag=True, envvar="NO_COLOR", help="No colours, also with NO_COLOR set.")


def verbosity(command: click.decorators.FC) -> click.decorators.FC:
    """The options -q and -v."""
    quiet = click.option("--quiet", "-q", is_flag=True, help="The verdict and the findings alone, and no progress.")
    verbose = click.option("--verbose", "-v", is_flag=True, help="Every detail.")
    return quiet(verbose(command))


def registry(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say how a registry is reached; the command gets them as one `access`."""

    @functools.wraps(command)
    def with_access(*, plain_http: bool | None, ca_file: str | None, timeout: float, **given: object) -> None:
        command(access=Access(plain_http, ca_file or None, timeout), **given)

    plain = click.option(
        "--plain-http/--no-plain-http",
        default=None,
        help="Reach registries by HTTP; default: only on this machine, without --ca-file.",
    )
    ca_file = click.option("--ca-file", metavar="FILE", help="Certificates to trust instead of the usual ones.")
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True, max=3600),
        callback=_number,
        default=20,
        show_default=True,
        metavar="SECONDS",
        help="How long one request to a registry may take.",
    )
    return plain(ca_file(timeout(with_access)))


def size(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """A number of bytes, with a unit or without: `1048576`, `1MiB`, `1 MB`."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(?:([kmg]i?)b?)?", text, re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"{text!r} is no size such as 1048576, 1MiB or 500kB")
    number = int(float(match[1]) * _UNITS[(match[2] or "").lower()])
    if number >= 1 << 63:
        raise click.BadParameter(f"{text!r} is no size below 2⁶³ bytes")
    return number


def stdin() -> BinaryIO:
    """Standard input; one that is closed has nothing in it."""
    return sys.stdin.buffer if sys.stdin else BytesIO()


def documents(
    sources: Sequence[str],
    tag: str | None,
    platform: str | None,
    access: Access,
    told: Callable[[str], None],
    absent: list[InputError] | None = None,
) -> list[CacheDocument]:
    """What the sources hold, in their order; what is not there goes into `absent` where that is a list.

    Raises `InputError`.
    """
    found = []
    for source in sources:
        told(f"reading {source}")
        try:
            read = load(source, tag=tag or None, platform=platform or None, stdin=stdin(), access=access)
        except InputError as error:
            if absent is None or not error.missing:
                raise
            absent.append(error)
            continue
        if platform and not any(document.platform for document in read):
            warn(f"{source}: --platform tells nothing here: its cache is for no platform in particular")
        if tag and all(document.kind == "cache-config" for document in read):
            warn(f"{source}: --tag tells nothing here: a cache config has no tags")
        found += read
    return found


def labels(path: str | None) -> Mapping[str, str]:
    """What records are called, by digest. Raises `InputError`."""
    if not path:
        return {}
    return load_names(path)
