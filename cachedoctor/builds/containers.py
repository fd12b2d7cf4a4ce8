"""Records of builds in all forms that they come in, detected from the content."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from cachedoctor.builds.build import Build
from cachedoctor.builds.documents import EXPECTED, MOST_RECORD_BYTES, parsed_builds
from cachedoctor.errors import InputError, reading, reason
from cachedoctor.io.files import is_folder, opened
from cachedoctor.io.streams import HEAD, Readable, encoding_of, read_all, unpack
from cachedoctor.sources import parse as parse_source
from cachedoctor.sources.document import Access
from cachedoctor.sources.json import parse

if TYPE_CHECKING:
    from cachedoctor.sources.document import Location

MOST_ZIP_BYTES = 256 << 20
"""Bytes of a zip archive, and of what is in it."""
MOST_MEMBERS = 1_000
"""Files in a zip archive, and platforms of a local export."""

_ZIP = b"PK\x03\x04"
_PROVENANCE = "provenance.json"
"""What a local export is given beside its files."""


def load(source: str, *, stdin: BinaryIO | None = None, access: Access | None = None) -> list[Build]:
    """The builds that a source records, one for each platform and target.

    `source` is a file, `-` for `stdin` (by default the process's own), the folder of an OCI layout or of a local
    export, `oci:DIR[:TAG]`, or `docker://HOST[:PORT]/REPO[:TAG|@DIGEST]` of an image with an attestation. What a file
    is, is detected from its content. `access` says how to reach a registry.

    Raises `InputError` for whatever cannot be read, in bounded time and memory; it is `missing` if there is nothing of
    that name.
    """
    location = parse_source(source)
    with reading(source):
        try:
            builds = _read(location, stdin, access or Access())
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise InputError(f"cannot read it: {reason(error)}", missing=missing) from error
    return [replace(build, source=source) for build in builds]


def _read(location: Location, stdin: BinaryIO | None, access: Access) -> list[Build]:
    from cachedoctor.sources.schemes.docker import DockerLocation
    from cachedoctor.sources.schemes.file import STDIN

    if isinstance(location, DockerLocation):
        from cachedoctor.builds.attestations import registry_builds

        return registry_builds(location.reference, access)
    if location.text == STDIN:
        import sys

        return _of_stream(stdin or sys.stdin.buffer, can_seek=False)
    if location.local is None:
        raise InputError(f"no place for records of builds; {EXPECTED}")
    path = str(location.local)
    if not is_folder(path):
        with opened(path, hint="; pass - to read a pipe") as file:
            return _of_stream(file, can_seek=True)
    return _of_folder(path, location.tag)


def _of_folder(folder: str, tag: str | None) -> list[Build]:
    """A layout, or what `--output type=local` wrote: provenance in it, or in a folder for each platform."""
    from itertools import islice
    from pathlib import Path

    if Path(folder, "index.json").exists():
        from cachedoctor.builds.attestations import folder_builds

        return folder_builds(folder, tag)
    paths = [Path(folder, _PROVENANCE), *sorted(islice(Path(folder).glob(f"*/{_PROVENANCE}"), MOST_MEMBERS))]
    builds = []
    for path in paths:
        if path.exists():
            with reading(where=str(path.relative_to(folder))), opened(path) as file:
                builds += _of_stream(file, can_seek=True)
    if not builds:
        raise InputError(f"a folder without index.json or {_PROVENANCE}; {EXPECTED}")
    return builds


def _of_stream(stream: BinaryIO, *, can_seek: bool, zipped: bool = False) -> list[Build]:
    head, whole, compressed = unpack(stream)
    if head.startswith(_ZIP) and not zipped:
        return _of_zip(read_all(whole, MOST_ZIP_BYTES))
    is_json = head.lstrip().startswith((b"{", b"["))
    if len(head) == HEAD and not is_json:
        from cachedoctor.sources.archive import is_tar

        if is_tar(head):
            from cachedoctor.builds.attestations import archive_builds

            if can_seek and not compressed:
                stream.seek(0)
                return archive_builds(stream, stream)
            return archive_builds(whole, None)
    encoding = encoding_of(head)
    if not is_json and not encoding:
        raise InputError(f"{'not JSON' if head.strip() else 'empty'}; {EXPECTED}")
    return _of_text(whole, encoding)


def _of_text(stream: Readable, encoding: str | None) -> list[Build]:
    data = read_all(stream, MOST_RECORD_BYTES)
    if encoding:
        try:
            data = data.decode(encoding).encode()
        except UnicodeDecodeError as error:
            raise InputError(f"not {encoding.upper()}, which its byte order mark stands for") from error
    return parsed_builds(parse(data))


def _of_zip(data: bytes) -> list[Build]:
    """The records in a zip, as GitHub hands out artifacts; other files in it are ignored."""
    import io
    import zipfile
    import zlib

    builds: list[Build] = []
    problem: InputError | None = None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > MOST_ZIP_BYTES:
                raise InputError(f"more than {MOST_MEMBERS:,} files or {MOST_ZIP_BYTES:,} bytes in a zip archive")
            for member in members:
                with archive.open(member) as file:
                    try:
                        with reading(where=member.filename):
                            # It has all methods of a binary file that are used.
                            builds += _of_stream(file, can_seek=False, zipped=True)  # type: ignore[arg-type]
                    except InputError as error:
                        problem = problem or error
    # A damaged archive fails in whatever zipfile does with it; an encrypted one is a RuntimeError.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, LookupError, OSError) as error:
        raise InputError("a damaged or encrypted zip archive") from error
    if not builds:
        raise problem or InputError(f"an empty zip archive; {EXPECTED}")
    return builds
