"""The op digests of operations, recomputed: the text that BuildKit hashes, byte for byte (v0.9 to v0.32).

Each kind of operation gives one text for each way in which releases write it, the newest first; they are the same for
most operations (v0.32: `CacheMap` in `solver/llbsolver/ops`).
"""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from cachedoctor.builds.messages import (
    Action,
    CacheOpt,
    Copy,
    Diff,
    Exec,
    File,
    Merge,
    Message,
    Mount,
    Op,
    Passthrough,
    Platform,
)

Tree = dict[str, Any]

BIND, SECRET, SSH, TMPFS = 0, 1, 2, 4
"""Types of mounts (`pb.MountType`)."""
NO_INPUT = -1
"""The number of an input that is not there (`pb.Empty`)."""

# encoding/json escapes these in strings, and they are nowhere else in JSON.
_ESCAPED = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    b"\xe2\x80\xa8": b"\\u2028",
    b"\xe2\x80\xa9": b"\\u2029",
}

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "armhf": "arm",
    "armel": "arm",
}
_VARIANTS = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"},
    "arm": {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"},
}


def digest(text: bytes) -> str:
    """The op digest of a text that is hashed."""
    return f"sha256:{sha256(text).hexdigest()}"


def go_json(value: Any) -> bytes:
    """JSON as Go's `encoding/json` writes it (Go 1.22 and later), from messages and from dictionaries in Go's order."""
    from msgspec.json import encode

    text = encode(value)
    for letter, escaped in _ESCAPED.items():
        text = text.replace(letter, escaped)
    return text


def texts(op: Op, inputs: int) -> list[bytes]:
    """What is hashed for an operation with so many inputs, the most likely first.

    Nothing for sources, which `origins` knows, and for operations that cannot be computed: builds inside builds,
    unknown ones, and symbolic links, which provenance loses.
    """
    known = op.known
    if isinstance(known, Exec):
        trees = _exec(known, normalized(op.platform))
    elif isinstance(known, File):
        trees = _file(known, inputs)
    elif isinstance(known, Merge):
        trees = _merge(known)
    elif isinstance(known, Diff):
        trees = _diff(known)
    elif isinstance(known, Passthrough):
        trees = iter([{"Type": "buildkit.passthrough.v0", "Passthrough": known}])
    else:
        trees = iter(())
    return list(dict.fromkeys(map(go_json, trees)))


def normalized(platform: Platform | None) -> Platform:
    """A platform as BuildKit compares it (containerd `platforms.Normalize`)."""
    given = platform or Platform()
    os, named, variant = given.os.lower(), given.architecture.lower(), given.variant.lower()
    architecture = _ARCHITECTURES.get(named, named)
    if named in ("i386", "armhf", "armel"):
        variant = {"armhf": "v7", "armel": "v6"}.get(named, "")
    variant = _VARIANTS.get(architecture, {}).get(variant, variant)
    features = sorted(set(given.os_features))
    return Platform(architecture, "darwin" if os == "macos" else os, variant, given.os_version, features)


def platform_fields(platform: Platform) -> Tree:
    """A normalized platform as it is hashed."""
    optional = {"Variant": platform.variant, "OSVersion": platform.os_version, "OSFeatures": platform.os_features}
    filled = {name: value for name, value in optional.items() if value}
    return {"OS": platform.os, "Arch": platform.architecture} | filled


def _exec(exec: Exec, platform: Platform) -> Iterator[Tree]:
    """v0.32: `ops.(*ExecOp).CacheMap`.

    v0.16 and earlier write the input and output of each mount even if it is 0; v0.12 and earlier also hash the ids of
    cache mounts, and not the version of the system.
    """
    run = _tree(exec)
    for host in run.get("meta", {}).get("extraHosts", ()):
        host.pop("IP", None)
    mounts = [] if _is_plain(exec.mounts) else exec.mounts
    fields = platform_fields(platform)
    oldest = {name: value for name, value in fields.items() if name not in ("OSVersion", "OSFeatures")}
    # The mounts come second.
    rest = {name: value for name, value in run.items() if name not in ("meta", "mounts")}
    meta = {"meta": run["meta"]} if "meta" in run else {}
    for written, below in (
        ([_tree(hashed_mount(mount)) for mount in mounts], fields),
        ([_old_mount(_tree(hashed_mount(mount))) for mount in mounts], fields),
        ([_old_mount(_without_selector(mount)) for mount in mounts], oldest),
    ):
        listed = {"mounts": written} if written else {}
        yield {"Type": "buildkit.exec.v0", "Exec": meta | listed | rest} | below


def _is_plain(mounts: list[Mount]) -> bool:
    """Whether there is nothing but the file system of a `RUN`: then the mounts are not hashed."""
    if len(mounts) != 1:
        return False
    (mount,) = mounts
    options = (mount.cache_opt, mount.secret_opt, mount.ssh_opt)
    plain = mount.dest == "/" and not mount.readonly and mount.mount_type == BIND and not mount.result_id
    return plain and all(option is None for option in options)


def hashed_mount(mount: Mount) -> Mount:
    """A mount without what may differ (v0.32: `ops.checkShouldClearCacheOpts`)."""
    from msgspec.structs import replace

    cache = mount.cache_opt
    if cache:
        default = mount.dest in (cache.id, cache.id.partition("/")[2]) and cache.sharing == 0
        cache = cache if default else CacheOpt()
    return replace(mount, selector="", cache_opt=cache)


def _without_selector(mount: Mount) -> Tree:
    tree = _tree(mount)
    tree.pop("selector", None)
    return tree


def _old_mount(mount: Tree) -> Tree:
    dest = {"dest": mount["dest"]} if "dest" in mount else {}
    return {"input": mount.get("input", 0), **dest, "output": mount.get("output", 0), **mount}


def _file(file: File, inputs: int) -> Iterator[Tree]:
    """v0.32: `ops.(*fileOp).CacheMap`. Older releases write owners differently."""
    if any(action.action.known is None for action in file.actions):
        return
    for rename in (dict, _owners_0_17, _owners_0_16):
        actions = [
            base64.b64encode(go_json(rename(_tree(_hashed_action(action, inputs))))).decode() for action in file.actions
        ]
        yield {"Type": "buildkit.file.v0", "Actions": actions} | _indexes(file.actions)


def _hashed_action(action: Action, inputs: int) -> Message:
    from msgspec.structs import replace

    known = action.action.known
    assert known is not None
    if isinstance(known, Copy) and reads_input(action, inputs):
        return replace(known, src=_base(known.src))
    return known


def reads_input(action: Action, inputs: int) -> bool:
    """Whether the files of an action come from an input of the operation, and not from an action before it."""
    return action.secondary_input != NO_INPUT and action.secondary_input < inputs


def _base(path: str) -> str:
    """Go's `path.Base`."""
    if not path:
        return "."
    return posixpath.basename(path.rstrip("/")) or "/"


def _indexes(actions: list[Action]) -> Tree:
    """The inputs and outputs of the actions, if they are not the usual ones (v0.32: `ops.isDefaultIndexes`)."""
    last = len(actions) - 1
    usual = bool(actions) and all(
        action.input == (0 if number == 0 else last + number)
        and action.secondary_input in (NO_INPUT, 1)
        and action.output == (0 if number == last else NO_INPUT)
        for number, action in enumerate(actions)
    )
    indexes = [[action.input, action.secondary_input, action.output] for action in actions]
    return {} if usual or not actions else {"indexes": indexes}


def _owners_0_17(action: Tree) -> Tree:
    """v0.17 writes Go's names, and numbers even if they are 0."""

    def user(user: Tree) -> Tree:
        return {"ByName": user["byName"]} if "byName" in user else {"ByID": user.get("byId", 0)}

    return _with_owners(action, user)


def _owners_0_16(action: Tree) -> Tree:
    """v0.16 and earlier write the input of each name, even if it is 0."""

    def user(user: Tree) -> Tree:
        if "byName" in user:
            return {"byName": user["byName"] | {"input": user["byName"].get("input", 0)}}
        return {"byID": user["byId"]} if "byId" in user else {}

    return _with_owners(action, user)


def _with_owners(action: Tree, user: Any) -> Tree:
    if "owner" not in action:
        return action
    owner = {name: {"User": user(who.get("User", {}))} for name, who in action["owner"].items()}
    return {name: owner if name == "owner" else value for name, value in action.items()}


def _merge(merge: Merge) -> Iterator[Tree]:
    """v0.32: `ops.(*mergeOp).CacheMap`. v0.16 and earlier write an input even if it is 0."""
    yield {"Type": "buildkit.merge.v0", "Merge": merge}
    inputs = [{"input": input.input} for input in merge.inputs]
    yield {"Type": "buildkit.merge.v0", "Merge": {"inputs": inputs} if inputs else {}}


def _diff(diff: Diff) -> Iterator[Tree]:
    """v0.32: `ops.(*diffOp).CacheMap`. v0.16 and earlier write an input even if it is 0."""
    yield {"Type": "buildkit.diff.v0", "Diff": diff}
    sides = {name: side for name in ("lower", "upper") if (side := getattr(diff, name)) is not None}
    yield {"Type": "buildkit.diff.v0", "Diff": {name: {"input": side.input} for name, side in sides.items()}}


def _tree(message: Message) -> Tree:
    """A message as dictionaries in Go's order."""
    from msgspec import to_builtins

    tree: Tree = to_builtins(message)
    return tree
