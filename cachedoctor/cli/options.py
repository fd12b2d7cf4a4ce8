"""Options that several commands share.

Whatever takes time to import is imported when a value is converted, since `--help` needs only the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cachedoctor.buildkit import Release
    from cachedoctor.report import Part

SETTINGS = "cachedoctor.settings"
"""The key under which a context keeps the settings file in effect."""
NumberOrAuto = int | Literal["auto"] | None
_UNITS = {"": 1, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "k": 10**3, "m": 10**6, "g": 10**9}


def _standard_input_once(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    if given.count("-") > 1:
        raise click.BadParameter("standard input can be read only once")
    return given


def _given(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """The values of an option that can be repeated; an empty one undoes the settings."""
    return tuple(filter(None, given))


def _release(context: click.Context, parameter: click.Parameter, text: str | None) -> Release | None:
    from cachedoctor.buildkit import parse_release

    try:
        return None if text is None else parse_release(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _settings(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """Make the settings of a file the defaults of all options: what is given on the command line wins."""
    from pathlib import Path

    from cachedoctor.cli.output import fail
    from cachedoctor.cli.settings import find, read
    from cachedoctor.errors import InputError

    if context.resilient_parsing:
        return path
    try:
        current = read(Path(path)) if path else find(Path())
    except InputError as error:
        fail(str(error))
    defaults = {key.replace("-", "_"): value for key, value in current.values.items()}
    for option in context.command.params:
        if option.name in defaults:
            given = defaults[option.name]
            value = given if isinstance(given, list) else str(given)
            try:
                option.process_value(context, value)
            except click.BadParameter as error:
                fail(f"{current.path}: {option.name.replace('_', '-')}: {error.message}")
            defaults[option.name] = value
    context.default_map = defaults
    context.meta[SETTINGS] = current.path
    return path


class CacheCommand(click.Command):
    """A command that takes caches: its help lists how to name them, one line for each kind of place."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from cachedoctor.sources.schemes import kinds

        writes = any(parameter.metavar == "DEST" for parameter in self.params)
        usages = {"SOURCE": [kind.usage for kind in kinds()]}
        usages |= {"DEST": [kind.target_usage for kind in kinds() if kind.target_usage]} if writes else {}
        for name, lines in usages.items():
            with formatter.section(name):
                for line in lines:
                    formatter.write_text(line)
        super().format_epilog(ctx, formatter)


class _Format(click.ParamType[str]):
    """The formats that fit the page of a command, looked up only when somebody asks for them."""

    name = "format"

    def __init__(self, parts: Collection[Part]) -> None:
        self._parts = parts

    def _names(self) -> list[str]:
        from cachedoctor.report import formats

        return formats.names(self._parts)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from cachedoctor.report import formats

        if formats.fits(value, self._parts):
            return str(value)
        from cachedoctor.suggest import meant

        problem = f"{value!r} is not a format of this command; {meant(str(value), self._names())}"
        raise click.BadParameter(problem, ctx=ctx, param=param)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join(self._names())}]"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in self._names() if name.startswith(incomplete)]


def format(*parts: Part) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """The option --format of a command whose page has these parts."""
    return click.option(
        "--format", "-f", type=_Format(parts), default="text", show_default=True, help="Format of the report."
    )


settings = click.option(
    "--config",
    metavar="FILE",
    is_eager=True,
    callback=_settings,
    help="Settings file; default: .cachedoctor.toml, or [tool.cachedoctor] in pyproject.toml.",
)


def sources(*, required: bool = True) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """The argument SOURCE..., of which there may be none if they can be named in another way."""
    return click.argument("sources", metavar="SOURCE...", nargs=-1, required=required, callback=_standard_input_once)


output = click.option("--output", "-o", metavar="FILE", help="Write the report to a file instead of standard output.")
buildkit = click.option(
    "--buildkit",
    metavar="RELEASE",
    callback=_release,
    help="Judge for this release only: v0.21.1, or docker-28.2 for that of a Docker Engine; default: all.",
)
tag = click.option("--tag", help="Which tag of a layout or repository to read.")
platform = click.option("--platform", metavar="OS/ARCH", help="Which platform of an image to read; default: all.")
verify_blobs = click.option(
    "--verify-blobs",
    is_flag=True,
    help="Ask the registry whether it still has each layer; in folders and archives this is always looked up.",
)
build = click.option(
    "--build",
    "--names",
    "build",
    metavar="FILE|IMAGE",
    multiple=True,
    callback=_given,
    help="The record of a build (.dockerbuild, provenance, an image with an attestation, /debug/cache/all): names its "
    "steps by the lines of the Dockerfile. Can be repeated. --names is the same.",
)
before = click.option(
    "--before",
    metavar="FILE",
    multiple=True,
    callback=_given,
    help="The record of the build that wrote the cache: says what has changed since. Can be repeated.",
)
dockerfile = click.option(
    "--dockerfile",
    metavar="PATH",
    help="Path of the Dockerfile in its repository, for annotations; a record may only have its name.",
)
color = click.option("--no-color", is_flag=True, envvar="NO_COLOR", help="No colors; the same as setting NO_COLOR.")


def verbosity(command: click.decorators.FC) -> click.decorators.FC:
    """The options -q and -v."""
    quiet = click.option("--quiet", "-q", is_flag=True, help="Only the verdict and the findings, and no progress.")
    verbose = click.option("--verbose", "-v", is_flag=True, help="Every detail.")
    return quiet(verbose(command))


def registry(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say how to reach a registry; the command gets them as one `access`, with `verify_blobs`."""
    import functools

    @functools.wraps(command)
    def with_access(
        *, plain_http: bool | None, ca_file: str | None, timeout: float, verify_blobs: bool = False, **given: object
    ) -> None:
        from cachedoctor.sources import Access

        command(access=Access(plain_http, ca_file or None, timeout, verify_blobs), **given)

    plain = click.option(
        "--plain-http/--no-plain-http",
        default=None,
        help="Use HTTP for registries; default: only on this machine, and not with --ca-file.",
    )
    ca_file = click.option("--ca-file", metavar="FILE", help="Certificates to trust instead of the usual ones.")
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True, max=3600),
        callback=_not_nan,
        default=20,
        show_default=True,
        metavar="SECONDS",
        help="How long one request to a registry may take.",
    )
    return plain(ca_file(timeout(with_access)))


def _not_nan(context: click.Context, parameter: click.Parameter, given: float) -> float:
    if given != given:
        raise click.BadParameter("expected a number of seconds")
    return given


def size(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """A number of bytes, with or without a unit: `1048576`, `1MiB`, `1 MB`."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(?:([kmg]i?)b?)?", text, re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a size such as 1048576, 1MiB or 500kB")
    number = int(float(match[1]) * _UNITS[(match[2] or "").lower()])
    if number >= 1 << 63:
        raise click.BadParameter(f"{text!r} is not a size below 2⁶³ bytes")
    return number


def size_or_auto(context: click.Context, parameter: click.Parameter, text: str | None) -> NumberOrAuto:
    """The same, or `auto`."""
    return "auto" if text == "auto" else size(context, parameter, text)


def number_or_auto(context: click.Context, parameter: click.Parameter, text: str | None) -> NumberOrAuto:
    """A whole number from 1 on, or `auto`."""
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not re.fullmatch("[0-9]{1,4000}", text) or not int(text):
        raise click.BadParameter(f"{text!r} is not a number from 1 on, or auto")
    return int(text)


def percentage(most: int) -> Callable[[click.Context, click.Parameter, str | None], float | None]:
    """A callback for a percentage from 0 to `most`: `10%`, or `10`."""

    def convert(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
        if text is None:
            return None
        match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%?", text)
        if match is None or float(match[1]) > most:
            raise click.BadParameter(f"{text!r} is not a percentage from 0 to {most}, such as 10%")
        return float(match[1])

    return convert
