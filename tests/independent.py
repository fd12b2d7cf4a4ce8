"""An independent importer: it shares no code with the package, and implements only what BuildKit requires."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from random import Random
from typing import Any

Document = dict[str, Any]


def refusals(document: Document) -> list[str]:
    """The faults for which BuildKit would refuse a document."""
    faults = []
    layers, records = document.get("layers", []), document.get("records", [])
    for layer in layers:
        seen, at = set(), layers.index(layer)
        while at != -1:
            if not 0 <= at < len(layers) or at in seen:
                faults.append("layer")
                break
            seen.add(at)
            at = layers[at].get("parent", 0)
    for record in records:
        for alternatives in record.get("inputs", []):
            if not alternatives:
                faults.append("empty input")
            faults += ["link" for link in alternatives if not 0 <= link["link"] < len(records)]
        faults += ["result" for result in record.get("layers", []) if not 0 <= result["layer"] < len(layers)]
    return faults


def derivable(document: Document) -> set[int]:
    """The records that can be derived, found by sweeping until a sweep adds nothing."""
    records = document.get("records", [])
    reached: set[int] = set()
    grown = True
    while grown:
        grown = False
        for index, record in enumerate(records):
            inputs = record.get("inputs") or []
            if index not in reached and all(any(link["link"] in reached for link in links or []) for links in inputs):
                reached.add(index)
                grown = True
    return reached


def has_loop(document: Document) -> bool:
    """Whether a loop remains once records without parents are removed, again and again."""
    left = {
        index: {link["link"] for links in record.get("inputs") or [] for link in links or []}
        for index, record in enumerate(document.get("records", []))
    }
    while True:
        free = [index for index, parents in left.items() if not parents & left.keys()]
        if not free:
            return bool(left)
        for index in free:
            del left[index]


def merged(documents: list[Document]) -> tuple[Document, list[list[int]]]:
    """Join documents and merge derivable records pair by pair; returns the joined document and the classes."""
    records: list[dict[str, Any]] = []
    for document in documents:
        base = len(records)
        for record in document.get("records", []):
            inputs = [
                [
                    (link["link"] + base, link.get("selector", ""))
                    for link in links or []
                    if 0 <= link["link"] < len(document["records"])
                ]
                for links in record.get("inputs") or []
            ]
            records.append({"digest": record["digest"], "inputs": inputs})
    whole = {
        "records": [
            {"inputs": [[{"link": parent} for parent, _ in links] for links in record["inputs"]]} for record in records
        ]
    }
    alive = sorted(derivable(whole))
    group = {record: record for record in alive}
    grown = True
    while grown:
        grown = False
        classes: dict[int, list[int]] = {}
        for record in alive:
            classes.setdefault(group[record], []).append(record)
        shown = {
            name: [
                {
                    (group[parent], selector)
                    for member in members
                    for parent, selector in records[member]["inputs"][number]
                    if parent in group
                }
                for number in range(len(records[name]["inputs"]))
            ]
            for name, members in classes.items()
        }
        for first in classes:
            for second in classes:
                same = records[first]["digest"] == records[second]["digest"] and len(shown[first]) == len(shown[second])
                if first < second and same and all(a & b for a, b in zip(shown[first], shown[second], strict=True)):
                    old, new = group[second], group[first]
                    group = {record: new if name == old else name for record, name in group.items()}
                    grown |= old != new
    return {"records": records}, list(classes.values())


def blobs_of(document: Document, layer: int) -> tuple[str, ...]:
    """The blobs of a layer and of all its parents."""
    chain: list[str] = []
    while layer != -1:
        chain.append(document["layers"][layer]["blob"])
        layer = document["layers"][layer].get("parent", 0)
    return tuple(chain)


def contents(documents: list[Document]) -> tuple[Counter[str], Counter[tuple[str, tuple[str, ...]]]]:
    """After merging: how many derivable records have each digest, and how many distinct results."""
    joined, classes = merged(documents)
    where = [(document, index) for document in documents for index in range(len(document.get("records", [])))]
    records: Counter[str] = Counter()
    results: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for members in classes:
        digest = joined["records"][members[0]]["digest"]
        records[digest] += 1
        chains = {
            blobs_of(document, result["layer"])
            for document, index in (where[member] for member in members)
            for result in document["records"][index].get("layers") or []
        }
        results.update((digest, chain) for chain in chains)
    return records, results


def parse(data: bytes) -> Document:
    """The document, read by a plain JSON parser."""
    parsed = json.loads(data)
    assert isinstance(parsed, dict)
    return parsed


def leaves(document: Document) -> list[int]:
    """The records that no other links to."""
    records = document.get("records", [])
    linked = {link["link"] for record in records for links in record.get("inputs") or [] for link in links or []}
    return [index for index in range(len(records)) if index not in linked]


def joining(document: Document) -> dict[str, Any] | None:
    """The last record, if all that it does is to join records without selectors; its digest is made from theirs."""
    *others, last = document.get("records", [])
    inputs = last.get("inputs", [])
    if set(last) != {"digest", "inputs"} or len(inputs) != 1 or any(set(link) != {"link"} for link in inputs[0] or []):
        return None
    if not all(0 <= link["link"] < len(others) for link in inputs[0] or []):
        return None
    digests = sorted(others[link["link"]]["digest"] for link in inputs[0] or [])
    text = "\n".join(["cachedoctor: a record that joins these leaves", *digests])
    return last if last["digest"] == f"sha256:{sha256(text.encode()).hexdigest()}" else None


def without_joining(document: Document) -> Document:
    """The document without its joining record, and without those before it that somebody may have made like it."""
    while document.get("records") and joining(document) is not None:
        document = {**document, "records": document["records"][:-1]}
    return document


def lost_on_import(document: Document, chance: Random) -> int:
    """How many links the importer of BuildKit v0.25 to v0.32 drops in one order of leaves and alternatives.

    The document must have no duplicates, which that importer merges first. It walks from leaf to leaf, from each record
    to its sources. A record that an earlier walk stored is taken the first time that a walk comes to it, and dropped
    when the same walk comes to it again.
    """
    records = document.get("records", [])
    stored: set[int] = set()
    lost = 0
    for leaf in _shuffled(leaves(document), chance):
        seen: set[int] = set()
        new: set[int] = set()
        todo = [iter([leaf])]
        while todo:
            source = next(todo[-1], None)
            if source is None:
                todo.pop()
                continue
            if source in stored:
                lost += source in seen
                seen.add(source)
            elif source not in new:
                new.add(source)
                inputs = (_shuffled(links, chance) for links in records[source].get("inputs", []))
                todo.append(iter([link["link"] for links in inputs for link in links]))
        stored |= new
    assert stored == set(range(len(records)))
    return lost


def _shuffled(values: list[Any], chance: Random) -> list[Any]:
    return chance.sample(values, len(values))
