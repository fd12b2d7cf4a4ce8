"""What an operation takes from each of its inputs, and the selector digests that links have for it."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from cachedoctor.builds.messages import Copy, Exec, File, MakeFile, MakeFolder, Mount, Op, Owner
from cachedoctor.builds.operations import NO_INPUT, SECRET, SSH, TMPFS, reads_input
from cachedoctor.errors import InputError

ROOT = "/"
_NO_OUTPUT = -1
_BY_DEFAULT, _OFF = 0, 2
"""Values of `pb.MountContentCache`."""


class Selection(NamedTuple):
    """What is taken from one input."""

    paths: tuple[str, ...] = ()
    """In the order of the operation; empty if all is taken, or if nothing limits it."""
    digest: str = ""
    """The selector digest, empty if there is none."""
    by_content: bool = False
    """Whether a checksum of the paths may stand for the input."""


def selections(op: Op, inputs: int) -> list[Selection]:
    """What an operation takes from each of its inputs (v0.32: `Deps` of its `CacheMap`).

    Raises `InputError` if it names an input that it does not have.
    """
    known = op.known
    if isinstance(known, File):
        return _of_file(known, inputs)
    if isinstance(known, Exec):
        return _of_exec(known, inputs)
    return [Selection()] * inputs


def _of_file(file: File, inputs: int) -> list[Selection]:
    """v0.32: `ops.(*fileOp).CacheMap`. What an action changes is not selected from."""
    taken: dict[int, list[str]] = {}
    changed = {action.input for action in file.actions}
    for action in file.actions:
        known = action.action.known
        if isinstance(known, Copy | MakeFile | MakeFolder):
            _look_up(known.owner, taken)
        if isinstance(known, Copy) and reads_input(action, inputs):
            taken.setdefault(action.secondary_input, []).append(known.src)
    for number in taken:
        _check(number, inputs)
    return [
        Selection(tuple(paths), _digest(sorted(map(_bytes, paths), reverse=True)), True)
        if (paths := taken.get(number)) and number not in changed
        else Selection()
        for number in range(inputs)
    ]


def _look_up(owner: Owner | None, taken: dict[int, list[str]]) -> None:
    """Add the files in which the names of owners are looked up (v0.32: `ops.processOwner`)."""
    for who, path in ((owner and owner.user, "/etc/passwd"), (owner and owner.group, "/etc/group")):
        if who and (name := who.user.by_name):
            taken.setdefault(name.input, []).append(path)


def _of_exec(exec: Exec, inputs: int) -> list[Selection]:
    """v0.32: `ops.(*ExecOp).getMountDeps`. The last mount of an input says whether its content counts."""
    taken: dict[int, list[str]] = {}
    by_content: dict[int, bool] = {}
    for mount in exec.mounts:
        if mount.mount_type in (SECRET, SSH, TMPFS) or mount.input == NO_INPUT:
            continue
        _check(mount.input, inputs)
        path = _clean(mount.selector)
        taken.setdefault(mount.input, []).append(path)
        by_content[mount.input] = _counts_content(mount, path)
    return [
        Selection(tuple(paths), _digest(list(map(_bytes, paths))), by_content[number])
        if (paths := taken.get(number))
        else Selection()
        for number in range(inputs)
    ]


def _counts_content(mount: Mount, path: str) -> bool:
    safe = mount.output == _NO_OUTPUT or mount.readonly or path == ROOT
    if mount.content_cache == _OFF or (mount.content_cache == _BY_DEFAULT and mount.dest == ROOT):
        return False
    return safe


def _clean(path: str) -> str:
    """Go's `path.Join("/", path)`."""
    from posixpath import normpath

    return normpath("/" + path.lstrip("/"))


def _check(number: int, inputs: int) -> None:
    if not 0 <= number < inputs:
        raise InputError(f"uses input {number} of an operation with {inputs:,} inputs")


def _bytes(path: str) -> bytes:
    return path.encode()


def _digest(paths: list[bytes]) -> str:
    return f"sha256:{sha256(bytes(1).join(paths)).hexdigest()}"
