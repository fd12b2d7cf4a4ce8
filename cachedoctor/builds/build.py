"""A build as its record tells it: steps, the digests of their cache keys, and the lines that made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple


class Location(NamedTuple):
    """Where an instruction is written."""

    file: str
    """The path of the Dockerfile in its repository if that is known, otherwise its name."""
    line: int
    """The first line, from 1."""
    end_line: int
    text: str
    """The instruction in one line; `ARG` and `ENV` without values."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a step."""

    step: int
    """The step that makes it, by its index in `Build.steps`."""
    output: int
    """Which output of that step it is."""
    selector: str
    """The digest of `paths`, empty if the whole input is looked at (v0.32: `CacheMap.Deps[i].Selector`)."""
    paths: tuple[str, ...]
    """What the step takes from it, such as `/app`, in the order of the operation; empty if that is not known. Values of
    build arguments are written as `${NAME}`, so `selector` may not be the digest of what stands here."""
    by_content: bool
    """Whether a content root may stand for it: BuildKit checksums `paths`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a build."""

    id: str
    """Its name in the record, such as `step7`."""
    kind: str
    """`exec`, `file`, `source`, `merge`, `diff`, `build`, `passthrough`, or empty if it is not known."""
    digests: tuple[str, ...]
    """What its op digest can be, most likely first; empty if that cannot be computed, as for a local source."""
    inputs: tuple[Input, ...]
    locations: tuple[Location, ...]
    """The lines that made it; empty for steps without a place, such as the build context."""
    label: str
    """What it is in a few words, such as `COPY --from=deps /deps /app/deps` or `build context`; never a value."""
    vertex: str = ""
    """The digest by which logs name it, empty if that is not known."""
    facts: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Fingerprints of what decides its digest, by name: `command`, `environment variable NAME`, `mount /cache`, `user`,
    `platform`, `base image`, `files` and so on. They can only be compared with those of other builds that the same
    process read: values are never kept. Those that begin with `order of` also differ if something is added."""
    results: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Its first result as `chain_digest`s, in each form that the record of the build has; some forms of a record have
    fewer."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build for one platform."""

    source: str
    """As the user named it."""
    kind: str
    """What it was read from: `dockerbuild`, `predicate`, `statement`, `imagetools`, `metadata`, `attestation`, or
    `cache-debug`, which has no lines and whose steps seem to have no inputs, since that list does not name them."""
    target: str
    """The stage that was built, empty for the last one."""
    platform: str
    """Such as `linux/amd64`; empty if it is not known."""
    dockerfile: str
    """The path of the Dockerfile, as in `Location.file`."""
    steps: tuple[Step, ...]
    """Each after the steps that it needs."""


def record_digest(op_digest: str, output: int) -> str:
    """The digest of the record of an output of an operation (v0.8 to v0.32: `solver.rootKey`)."""
    return f"sha256:{sha256(f'{op_digest}@{output}'.encode()).hexdigest()}"


def chain_digest(blobs: Iterable[str], parent: str = "") -> str:
    """A digest of layers, the lowest first: equal for equal layers. `parent` is that of the layers below them."""
    for blob in blobs:
        parent = sha256(f"{parent} {blob}".encode("utf-8", "surrogatepass")).hexdigest()
    return parent
