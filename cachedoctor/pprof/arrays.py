"""Samples as numpy arrays, for large profiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from cachedoctor.errors import InputError
from cachedoctor.pprof.profile_pb2 import Sample
from cachedoctor.pprof.samples import UNKNOWN_LOCATION, Edges, Lines, wrapped
from cachedoctor.pprof.wire import parse_sample, varint

Ints = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]
Ids = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

MARK = 0x7A5F3C2D1
"""Marks the end of the values of a sample; samples with this value are decoded one by one."""
LARGEST_SAMPLE = 1 << 20
"""Bytes of one sample: Go cuts stacks off at 128 locations."""
CHUNK = 1 << 13
"""Samples that are decoded together."""
CHUNK_BYTES = 16 << 20
"""Bytes that are decoded together."""
MOST_FRAMES = 1 << 26
"""Frames of all stacks together, inlined calls spelled out."""
LOCATIONS = 1 << 16
"""Locations of stacks that are spelled out together."""
FRAMES = 1 << 22
"""Frames whose edges are collected together."""
CELLS = 1 << 20
"""Cells of the table that finds repeated nodes."""


def read(
    raw: Sequence[bytes], types: int, chosen: int, ids: Sequence[int], lines: Lines
) -> tuple[ArraySamples, set[bytes]]:
    """The encoded samples, and their distinct labels.

    Each has `types` values, of which the one with the index `chosen` counts. `ids` are those of the locations, whose
    `lines` are in the same order. Raises `InputError`.
    """
    locations, starts, values, labels = _columns(raw, types, chosen, _index(ids))
    return ArraySamples(locations, starts, values, lines), labels


def _columns(
    raw: Sequence[bytes], types: int, chosen: int, index: Callable[[Ids], Nodes]
) -> tuple[Nodes, Ints, Ints, set[bytes]]:
    locations, sizes, values = [np.empty(0, np.int32)], [np.zeros(1, np.int64)], [np.empty(0, np.int64)]
    labels = set[bytes]()
    for chunk in _chunks(raw):
        columns = _joined(chunk, types, chosen) or _one_by_one(chunk, types, chosen)
        locations.append(index(columns.ids))
        sizes.append(columns.sizes)
        values.append(columns.values)
        labels |= columns.labels
    return np.concatenate(locations), np.cumsum(np.concatenate(sizes)), np.concatenate(values), labels


def _chunks(raw: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for at in range(0, len(raw), CHUNK):
        chunk = raw[at : at + CHUNK]
        if max(map(len, chunk)) > LARGEST_SAMPLE:
            raise InputError(f"a sample: it has more than {LARGEST_SAMPLE:,} bytes")
        few = CHUNK if sum(map(len, chunk)) <= CHUNK_BYTES else CHUNK_BYTES // LARGEST_SAMPLE
        yield from (chunk[begin : begin + few] for begin in range(0, len(chunk), few))


class _Columns(NamedTuple):
    ids: Ids
    """Of the locations of all samples."""
    sizes: Ints
    """How many locations each sample has."""
    values: Ints
    labels: set[bytes]


def _joined(raw: Sequence[bytes], types: int, chosen: int) -> _Columns | None:
    """Decode samples as one message, or return `None` if they have to be decoded one by one.

    Messages that follow each other are one message, with the elements of all of them in each repeated field. So after
    each sample comes a mark: a label that nobody can guess, the location 0, which no profile has, and a value. A
    damaged sample that runs on into its mark takes at least the first byte of it, so that this label is missing.
    """
    label = os.urandom(8)
    mark = Sample(label=[label]).SerializeToString() + b"\x08\x00" + Sample(value=[MARK]).SerializeToString()
    try:
        whole = Sample.FromString(mark.join(raw) + mark)
    except DecodeError:
        return None
    labels = list(whole.label)
    if labels.count(label) != len(raw):
        return None
    whole.ClearField("label")
    whole.DiscardUnknownFields()
    # The runtime writes all locations as one field, then all values as another.
    ids, rest = _packed(memoryview(whole.SerializeToString()), 0x0A)
    values = _packed(rest, 0x12)[0].view(np.int64)
    ends = np.flatnonzero(ids == 0)
    marks = np.arange(types, len(raw) * (types + 1), types + 1)
    if len(ends) != len(raw) or not np.array_equal(np.flatnonzero(values == MARK), marks):
        return None
    table = values.reshape(len(raw), types + 1)
    return _Columns(ids[ids != 0], np.diff(ends, prepend=-1) - 1, table[:, chosen].copy(), set(labels) - {label})


def _packed(message: memoryview, tag: int) -> tuple[Ids, memoryview]:
    """The numbers that the first field of an encoded message packs, and the rest of the message."""
    assert message[0] == tag
    length, begin = varint(message, 1)
    encoded = np.frombuffer(message[: begin + length], np.uint8)
    # The last byte of a number is the only one without its highest bit.
    ends = np.flatnonzero(encoded[begin:] < 0x80) + begin
    sizes = np.diff(ends, prepend=begin - 1)
    numbers = encoded[ends].astype(np.uint64)
    longer = np.flatnonzero(sizes > 1)
    back = 1
    while longer.size:
        numbers[longer] = numbers[longer] << np.uint64(7) | encoded[ends[longer] - back] & 0x7F
        back += 1
        longer = longer[sizes[longer] > back]
    return numbers, message[begin + length :]


def _one_by_one(raw: Sequence[bytes], types: int, chosen: int) -> _Columns:
    parsed = [parse_sample(encoded, types) for encoded in raw]
    return _Columns(
        np.fromiter(chain.from_iterable(sample.location_id for sample in parsed), np.uint64),
        np.array([len(sample.location_id) for sample in parsed], np.int64),
        np.array([sample.value[chosen] for sample in parsed], np.int64),
        {label for sample in parsed for label in sample.label},
    )


def _index(known: Sequence[int]) -> Callable[[Ids], Nodes]:
    """A function from ids to their indices among the known ones; it raises `InputError` for any other id."""
    table = np.array(known, np.uint64)
    highest = int(table.max()) if known else 0
    if highest <= 4 * len(known) + 1024:
        direct = np.full(highest + 2, -1, np.int32)
        direct[table] = np.arange(len(known))
        return lambda ids: _known(direct[np.minimum(ids, np.uint64(highest + 1))])
    order = np.argsort(table)
    ascending = table[order]

    def search(ids: Ids) -> Nodes:
        near = np.minimum(np.searchsorted(ascending, ids), len(known) - 1)
        return _known(np.where(ascending[near] == ids, order[near], -1).astype(np.int32))

    return search


def _known(indices: Nodes) -> Nodes:
    if indices.size and int(indices.min()) < 0:
        raise InputError(UNKNOWN_LOCATION)
    return indices


class ArraySamples:
    """Samples as arrays; see `samples.Samples`."""

    def __init__(self, locations: Nodes, starts: Ints, values: Ints, lines: Lines) -> None:
        """Take the locations of all stacks, one after the other, and the n + 1 indices where stacks begin and end.

        Raises `InputError` for more than `MOST_FRAMES` frames.
        """
        self.lines = lines
        self.locations = locations
        self.location_starts = starts
        self.values = values
        self.frames, self.inlined, self.starts = _spelled_out(lines, locations, starts)

    def __iter__(self) -> Iterator[tuple[Sequence[int], int]]:
        frames = self.frames.data
        for (begin, end), value in zip(pairwise(self.starts.tolist()), self.values.tolist(), strict=True):
            yield frames[begin:end], value

    def total(self) -> int:
        return int(np.abs(self.values).sum())

    def weights(self, nodes: int) -> tuple[list[int], list[int]]:
        flat, cum = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
        stacks = np.flatnonzero(np.diff(self.starts))
        np.add.at(flat, self.frames[self.starts[stacks]], self.values[stacks])
        for part, owners, first in _first_in_sample(self.frames, self.starts, nodes):
            np.add.at(cum, self.frames[part][first], self.values[owners[first]])
        return flat.tolist(), cum.tolist()

    def edges(self, kept: Sequence[bool], callees: Sequence[bool]) -> Edges:
        shown, called_nodes = np.array(kept, np.bool_), np.array(callees, np.bool_)
        edges: Edges = {}
        samples = np.searchsorted(self.starts, np.arange(0, len(self.frames), FRAMES))
        for low, high in pairwise([*sorted({0, *samples.tolist()}), len(self.values)]):
            self._add_edges(low, high, shown, called_nodes, edges)
        return edges

    def _add_edges(self, low: int, high: int, kept: Mask, callees: Mask, edges: Edges) -> None:
        """Add the edges of the samples from `low` to `high`."""
        bounds = self.starts[low : high + 1]
        part = slice(int(bounds[0]), int(bounds[-1]))
        owners = np.repeat(np.arange(high - low, dtype=np.int32), np.diff(bounds))
        shown = np.flatnonzero(kept[self.frames[part]] & (self.values[low:high] != 0)[owners])
        owners, nodes, inlined = owners[shown], self.frames[part][shown], self.inlined[part][shown]
        calls = np.flatnonzero(callees[nodes[:-1]] & (owners[:-1] == owners[1:]) & (nodes[:-1] != nodes[1:]))
        size = len(kept)
        keys = nodes[calls + 1].astype(np.int64) * size + nodes[calls]
        distinct, edge = np.unique(keys, return_inverse=True)
        edge = edge.astype(np.int32)
        sums = np.zeros(len(distinct), np.int64)
        called = np.zeros(len(distinct), np.bool_)
        starts = np.searchsorted(owners[calls], np.arange(high - low + 1))
        for block, samples, first in _first_in_sample(edge, starts, len(distinct)):
            new = edge[block][first]
            np.add.at(sums, new, self.values[low + samples[first]])
            called[new[~inlined[calls[block][first]]]] = True
        for key, value, is_called in zip(distinct.tolist(), sums.tolist(), called.tolist(), strict=True):
            weight, ever_called = edges.get(divmod(key, size), (0, False))
            edges[divmod(key, size)] = wrapped(weight + value), ever_called or is_called

    def by_label(self, *labels: Sequence[int]) -> dict[int, int]:
        of_samples = np.zeros(len(self.values), np.int64)
        for of_nodes in reversed([np.array(numbers, np.int64) + 1 for numbers in labels]):
            if of_nodes.any():
                labeled = np.flatnonzero((of_nodes > 0)[self.frames])
                at = np.searchsorted(labeled, self.starts)
                samples = np.flatnonzero(at[1:] > at[:-1])
                of_samples[samples] = of_nodes[self.frames[labeled[at[samples]]]]
        counts = np.bincount(of_samples)
        sums = np.zeros(len(counts), np.int64)
        np.add.at(sums, of_samples, np.abs(self.values))
        return {label - 1: int(sums[label]) for label in np.flatnonzero(counts).tolist()}

    def through(self, locations: Sequence[bool]) -> ArraySamples:
        matching = np.array(locations, np.bool_)
        hits = np.flatnonzero(matching[self.locations]) if len(matching) else np.empty(0, np.int64)
        at = np.searchsorted(hits, self.location_starts)
        samples = at[1:] > at[:-1]
        sizes = np.diff(self.location_starts)
        return ArraySamples(
            self.locations[np.repeat(samples, sizes)], _bounds(sizes[samples]), self.values[samples], self.lines
        )

    def cut(self, lines: Lines, cut: Callable[[list[int]], list[int]]) -> ArraySamples:
        bounds = pairwise(self.location_starts.tolist())
        parts = [np.array(cut(self.locations[begin:end].tolist()), np.int32) for begin, end in bounds]
        sizes = np.array(list(map(len, parts)), np.int64)
        return ArraySamples(np.concatenate([np.empty(0, np.int32), *parts]), _bounds(sizes), self.values, lines)


def _bounds(sizes: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def _spelled_out(lines: Lines, stacks: Nodes, starts: Ints) -> tuple[Nodes, Mask, Ints]:
    """The frames of all stacks with inlined calls, whether each is inlined, and where the stacks begin."""
    counts = np.fromiter(map(len, lines), np.int64, len(lines))
    flat = np.fromiter(chain.from_iterable(lines), np.int32, int(counts.sum()))
    if not len(counts) or counts.max() == 1:
        return flat[stacks], np.zeros(len(stacks), np.bool_), starts
    sizes = counts[stacks]
    total = int(sizes.sum())
    if total > MOST_FRAMES:
        raise InputError(f"{total:,} frames in all stacks together, which is refused")
    ends = np.cumsum(sizes)
    firsts = np.cumsum(counts) - counts
    frames, inlined = np.empty(total, np.int32), np.empty(total, np.bool_)
    for low in range(0, len(stacks), LOCATIONS):
        part = slice(low, low + LOCATIONS)
        frame_part = slice(int(ends[low] - sizes[low]), int(ends[part][-1]))
        within = np.arange(frame_part.start, frame_part.stop) - np.repeat(ends[part] - sizes[part], sizes[part])
        frames[frame_part] = flat[np.repeat(firsts[stacks[part]], sizes[part]) + within]
        inlined[frame_part] = within < np.repeat(sizes[part] - 1, sizes[part])
    return frames, inlined, np.concatenate([np.zeros(1, np.int64), ends])[starts]


def _first_in_sample(items: Nodes, starts: Ints, kinds: int) -> Iterator[tuple[slice, Nodes, Ints]]:
    """The items that are new in their sample, seen from its last item.

    `items` are numbers below `kinds`, and sample *n* has those from `starts[n]` to `starts[n + 1]`. Yields, for a few
    samples at a time, where their items are, the sample of each, and which of these items are new: of several items
    that are written to a cell of the table, which has one for each kind and sample, the last one stays.
    """
    together = max(1, CELLS // max(1, kinds))
    table = np.empty(together * max(1, kinds), np.int32)
    for low in range(0, len(starts) - 1, together):
        bounds = starts[low : low + together + 1]
        part = slice(int(bounds[0]), int(bounds[-1]))
        owners = np.repeat(np.arange(len(bounds) - 1, dtype=np.int32), np.diff(bounds))
        cells = owners * np.int32(kinds) + items[part]
        order = np.arange(len(cells), dtype=np.int32)
        table[cells] = order
        yield part, owners + np.int32(low), np.flatnonzero(table[cells] == order)
