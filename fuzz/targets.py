"""The fuzz targets: each takes any bytes, and its docstring says what must hold for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fuzz import builds, caches, profiles, seeds
from fuzz.mutators import json, lines, wire

Mutate = Callable[[bytes, random.Random], bytes | None]
Cross = Callable[[bytes, bytes, random.Random], bytes | None]


@dataclass(frozen=True, slots=True)
class Target:
    """A function that takes any bytes and must not raise anything."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    """The inputs that the fuzzer starts with."""
    mutate: Mutate | None = None
    """Changes an input so that it still parses; `None` if any bytes do."""
    cross: Cross | None = None


TARGETS: Mapping[str, Target] = {
    "config": Target(caches.config, seeds.configs, json.mutate, json.cross),
    "container": Target(caches.container, seeds.layouts, json.mutate, json.cross),
    "repaired": Target(caches.repaired, seeds.several_configs, json.mutate, json.cross),
    "shaped": Target(caches.shaped, seeds.shapes),
    "record": Target(builds.record, seeds.records, json.mutate, json.cross),
    "decode": Target(profiles.decode, seeds.profiles, wire.mutate),
    "goroutines": Target(profiles.goroutines, seeds.dumps, lines.mutate),
    "table": Target(profiles.table, seeds.tables, lines.mutate),
}
