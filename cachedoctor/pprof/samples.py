"""Samples as columns: the location ids and values of all of them, without an object for each.

All fields of a `Sample` are varints, or packed varints behind a length, which is a varint too. So the bytes of many
samples together are one run of varints, which numpy decodes at once; then one step looks at the first field of every
sample, the next at the second, and so on. A sample of any other form is left to the protobuf runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from cachedoctor.pprof.profile import Ints, Nodes
from cachedoctor.pprof.profile_pb2 import Sample

Places = Callable[[npt.NDArray[np.uint64]], Nodes]
"""From the ids of locations to their places; raises `MalformedSampleError` where one is not known."""

MOST_FIELDS = 16
"""Fields of a sample that are looked at here: writers that do not pack have one for each value and label."""
CHUNK = 1 << 13
"""Samples that are decoded together, so that their columns stay in the processor's cache."""
LONGEST_VARINT = 10
"""Bytes of a varint."""
LARGEST_SAMPLE = 1 << 20
"""Bytes of one sample: Go cuts stacks off at 128 locations."""
LARGEST_CHUNK = 16 << 20
"""Bytes that are decoded together at the most."""

_LOCATIONS, _LOCATION, _VALUES, _VALUE, _LABEL = 0x0A, 0x08, 0x12, 0x10, 0x1A


class MalformedSampleError(Exception):
    """A sample that is no `Sample`, or has another number of values than the profile has sample types."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Columns of n samples."""

    locations: Nodes
    """The places of the locations of all samples, each leaf first, one sample after the other."""
    starts: Ints
    """n + 1 places in `locations`: where each sample begins, and the end."""
    values: Ints
    """n × sample types."""
    labels: frozenset[bytes]
    """All distinct labels, encoded."""


def columns(raw: Sequence[bytes], types: int, places: Places) -> Samples:
    """The columns of encoded samples, of which each has `types` values; their order is not kept.

    Raises `MalformedSampleError`. Source: profile.proto of google/pprof, message `Sample`; packed or not, as
    runtime/pprof of Go 1.24 writes both (`protobuf.uint64s`).
    """
    parts = [_Chunk(part, types).decode(places) for part in _chunks(raw)]
    sizes = [np.diff(part.starts) for part in parts]
    return Samples(
        np.concatenate([part.locations for part in parts] or [np.empty(0, np.int32)]),
        np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(sizes or [np.empty(0, np.int64)]))]),
        np.concatenate([part.values for part in parts] or [np.empty((0, types), np.int64)]),
        frozenset().union(*(part.labels for part in parts)),
    )


def _chunks(raw: Sequence[bytes]) -> list[list[bytes]]:
    chunks = []
    for at in range(0, len(raw), CHUNK):
        chunk = list(raw[at : at + CHUNK])
        if max(map(len, chunk)) > LARGEST_SAMPLE:
            raise MalformedSampleError(f"it has more than {LARGEST_SAMPLE:,} bytes")
        if sum(map(len, chunk)) <= LARGEST_CHUNK:
            chunks.append(chunk)
            continue
        part: list[bytes] = []
        size = 0
        for one in chunk:
            if part and size + len(one) > LARGEST_CHUNK:
                chunks.append(part)
                part, size = [], 0
            part.append(one)
            size += len(one)
        chunks.append(part)
    return chunks


class _Chunk:
    """Some samples as one run of varints."""

    def __init__(self, raw: list[bytes], types: int) -> None:
        self.raw = raw
        self.types = types
        self.bytes = np.frombuffer(b"".join(raw), np.uint8)
        sizes = np.fromiter(map(len, raw), np.int64, len(raw))
        self.byte_ends = np.cumsum(sizes)
        self.last = np.flatnonzero(self.bytes < 0x80)
        """The last byte of each varint."""
        self.ends = np.searchsorted(self.last, self.byte_ends)
        """Where the varints of each sample end."""
        self.odd = np.zeros(len(raw), np.bool_)
        """Samples that are left to the runtime."""
        whole = self.byte_ends > 0
        self.odd[whole] = self.bytes[self.byte_ends[whole] - 1] >= 0x80
        self.varints = self._varints()
        self.labels: set[bytes] = set()

    def _varints(self) -> npt.NDArray[np.uint64]:
        padded = np.concatenate([np.zeros(LONGEST_VARINT, np.uint8), self.bytes])
        ends = self.last + LONGEST_VARINT
        values = padded[ends].astype(np.uint64)
        before = padded[ends - 1]
        more = before >= 0x80
        values = np.where(more, values << np.uint64(7) | before & 0x7F, values)
        longer = np.flatnonzero(more)
        for back in range(2, LONGEST_VARINT + 1):
            before = padded[ends[longer] - back]
            more = before >= 0x80
            longer = longer[more]
            if not longer.size:
                break
            values[longer] = values[longer] << np.uint64(7) | before[more] & 0x7F
        self.odd[np.searchsorted(self.ends, longer, "right")] = True
        return values

    def decode(self, places: Places) -> Samples:
        """The columns of these samples."""
        at = np.concatenate([np.zeros(1, np.int64), self.ends[:-1]])
        locations: list[tuple[Ints, Ints, Ints]] = []
        values: list[tuple[Ints, Ints, Ints]] = []
        for _ in range(MOST_FIELDS):
            active = np.flatnonzero((at < self.ends) & ~self.odd)
            if not active.size:
                break
            begins, ends = self._fields(active, at)
            tags = self.varints[at[active]]
            for found, single, packed in ((locations, _LOCATION, _LOCATIONS), (values, _VALUE, _VALUES)):
                chosen = (tags == single) | (tags == packed)
                found.append((active[chosen], begins[chosen], ends[chosen]))
            labels = np.flatnonzero((tags == _LABEL) & ~self.odd[active])
            self._keep_labels(begins[labels], ends[labels])
            at[active] = ends
        self.odd |= at < self.ends
        counted, _, value_tokens = self._gather(values)
        self.odd |= counted != self.types
        return self._with_odd(locations, value_tokens, counted, places)

    def _fields(self, active: Ints, at: Ints) -> tuple[Ints, Ints]:
        """Where the content of the next field of each active sample begins and ends; what is none is odd."""
        here = at[active]
        tags = self.varints[here]
        begins, ends = here + 1, here + 2
        packed = np.flatnonzero((tags == _LOCATIONS) | (tags == _VALUES) | (tags == _LABEL))
        known = (tags == _LOCATION) | (tags == _VALUE)
        known[packed] = True
        known &= begins < self.ends[active]
        packed = packed[known[packed]]
        if packed.size:
            lengths = self.varints[begins[packed]]
            byte_begins = self.last[begins[packed]] + 1
            room = self.byte_ends[active[packed]] - byte_begins
            fits = lengths <= room.astype(np.uint64)
            byte_ends = byte_begins + np.where(fits, lengths, 0).astype(np.int64)
            fits &= self.bytes[byte_ends - 1] < 0x80
            known[packed] = fits
            begins[packed] += 1
            ends[packed] = np.searchsorted(self.last, byte_ends)
        self.odd[active[~known]] = True
        return begins, np.where(known, ends, here)

    def _keep_labels(self, begins: Ints, ends: Ints) -> None:
        firsts, lasts = self.last[begins - 1] + 1, self.last[ends - 1] + 1
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            self.labels.add(self.bytes[first:last].tobytes())

    def _gather(self, fields: list[tuple[Ints, Ints, Ints]]) -> tuple[Ints, Ints, Ints]:
        """How many varints each sample has in these fields, the samples of the varints, and their places, in order."""
        owners, begins, ends = (
            np.concatenate([field[part] for field in fields] or [np.empty(0, np.int64)]) for part in range(3)
        )
        if len(fields) > 1 and sum(field[0].size > 0 for field in fields) > 1:
            order = np.argsort(owners, kind="stable")
            owners, begins, ends = owners[order], begins[order], ends[order]
        sizes = np.where(self.odd[owners], 0, ends - begins)
        counts = np.zeros(len(self.raw), np.int64)
        np.add.at(counts, owners, sizes)
        before = np.cumsum(sizes) - sizes
        places = np.arange(sizes.sum(), dtype=np.int64) + np.repeat(begins - before, sizes)
        return counts, np.repeat(owners, sizes), places

    def _with_odd(
        self, locations: list[tuple[Ints, Ints, Ints]], values: Ints, counted: Ints, places: Places
    ) -> Samples:
        """The columns; samples that are odd come last, as the runtime decodes them."""
        plain = ~self.odd
        kept = np.repeat(plain, counted)
        table = self.varints[values[kept]].view(np.int64).reshape(-1, self.types)
        counts, _, tokens = self._gather(locations)
        parsed = [self._parse(self.raw[index]) for index in np.flatnonzero(self.odd)]
        self.labels.update(label.SerializeToString() for one in parsed for label in one.label)
        sizes = np.concatenate([counts[plain], np.array([len(one.location_id) for one in parsed], np.int64)])
        return Samples(
            places(np.concatenate([self.varints[tokens], *(np.array(one.location_id, np.uint64) for one in parsed)])),
            np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]),
            np.concatenate([table, np.array([list(one.value) for one in parsed], np.int64).reshape(-1, self.types)]),
            frozenset(self.labels),
        )

    def _parse(self, raw: bytes) -> Sample:
        try:
            sample = Sample.FromString(raw)
        except DecodeError as error:
            raise MalformedSampleError("it cannot be decoded") from error
        if len(sample.value) != self.types:
            raise MalformedSampleError(f"it has {len(sample.value)} values for {self.types} sample types")
        return sample
