"""What decides the digest of an operation, by name, and so that no value can be found out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

from msgspec.json import encode

from cachedoctor.builds.messages import Copy, Exec, File, MakeFile, MakeFolder, Message, Op, Source
from cachedoctor.builds.operations import hashed_mount, normalized
from cachedoctor.builds.origins import Materials, image_digests, origin_of

_KEY = os.urandom(16)
_BYTES = 12
_NO_OPTIONS = frozenset({"src", "path", "dest", "owner", "mode", "mode_str", "data", "timestamp"})
"""Fields of actions that are facts of their own."""


def facts(op: Op, materials: Materials, shown: Callable[[str], str]) -> dict[str, str]:
    """Fingerprints of what decides the digest of an operation, by name.

    They are keyed with a random key of this process, so that nobody can guess a value and compare. `shown` takes values
    out of the paths that become names of facts. Facts that are called `order of …` also differ if their parts do.
    """
    known = op.known
    if isinstance(known, Exec):
        named = _exec(known, op, shown)
    elif isinstance(known, File):
        named = _file(known)
    elif isinstance(known, Source):
        named = _source(known, op, materials)
    else:
        named = iter([("inputs", known)])
    return {name: _fingerprint(value) for name, value in named}


def _fingerprint(value: Any) -> str:
    return blake2b(encode(value), key=_KEY, digest_size=_BYTES).hexdigest()


def _exec(exec: Exec, op: Op, shown: Callable[[str], str]) -> Iterator[tuple[str, Any]]:
    from msgspec.structs import replace

    if exec.meta is not None:
        meta = exec.meta
        yield "command", meta.args
        yield "user", meta.user
        yield "working directory", meta.cwd
        yield "host name", meta.hostname
        yield "control group", meta.cgroup_parent
        yield "accepted exit codes", meta.valid_exit_codes
        yield "mount stubs", meta.remove_mount_stubs_recursive
        names = [variable.partition("=")[0] for variable in meta.env]
        for name, variable in zip(names, meta.env, strict=True):
            yield f"environment variable {name}", variable
        yield "order of environment variables", names
        for host in meta.extra_hosts:
            yield f"host {host.host}", host.host
        for limit in meta.ulimit:
            yield f"limit {limit.name}", limit
    yield "platform", normalized(op.platform)
    yield "network", exec.network
    yield "security", exec.security
    for mount in exec.mounts:
        yield f"mount {shown(mount.dest)}", replace(hashed_mount(mount), input=0, output=0)
    yield "order of mounts", [[mount.dest, mount.input, mount.output] for mount in exec.mounts]
    for secret in exec.secretenv:
        yield f"secret {secret.name}", secret
    for device in exec.cdi_devices:
        yield f"device {device.name}", device


def _file(file: File) -> Iterator[tuple[str, Any]]:
    """Each fact is about all actions, since one instruction can have several."""
    actions = [known for action in file.actions if (known := action.action.known)]
    yield "files", [known.src if isinstance(known, Copy) else known.path for known in actions]
    yield "destination", [known.dest for known in actions if isinstance(known, Copy)]
    owned = [known for known in actions if isinstance(known, Copy | MakeFile | MakeFolder)]
    yield "owner", [known.owner for known in owned]
    yield "mode", [[known.mode, known.mode_str if isinstance(known, Copy) else ""] for known in owned]
    yield "time", [known.timestamp for known in owned]
    yield "content of the file", [known.data for known in actions if isinstance(known, MakeFile)]
    yield "options", [_options(known) for known in actions]


def _options(action: Message) -> dict[str, Any]:
    names = [name for name in action.__struct_fields__ if name not in _NO_OPTIONS]
    return {"kind": type(action).__name__} | {name: getattr(action, name) for name in names}


def _source(source: Source, op: Op, materials: Materials) -> Iterator[tuple[str, Any]]:
    origin = origin_of(source)
    if origin.scheme in ("docker-image", "oci-layout"):
        yield "base image", image_digests(origin.name, materials) or origin.name
        yield "platform", normalized(op.platform)
    elif origin.scheme == "git":
        yield "commit", materials.of_commit(source.attrs.get("git.fullurl", ""), origin.name.partition("#")[2])
        yield "repository", origin.name
        yield "options", dict(sorted(source.attrs.items()))
    elif origin.scheme in ("http", "https"):
        options = dict(sorted(source.attrs.items()))
        yield "checksum", options.pop("http.checksum", "") or materials.of_url(source.identifier)
        yield "address", source.identifier
        yield "options", options
