"""An importer that shares no code with the package: only what BuildKit demands of a cache config."""

from __future__ import annotations

import json
from collections import Counter
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
    """The records that can be derived, faults by sweeping until nothing new is reached."""
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
    """Whether records are left after removing those without sources again and again."""
    left = {
        index: {link["link"] for links in record.get("inputs") or [] for link in links or []}
        for index, record in enumerate(document.get("records", []))
    }
    while True:
        free = [index for index, sources in left.items() if not sources & left.keys()]
        if not free:
            return bool(left)
        for index in free:
            del left[index]


def merged(documents: list[Document]) -> tuple[Document, list[list[int]]]:
    """Join documents, and merge derivable records pair by pair until nothing merges. Also returns the classes."""
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
            {"inputs": [[{"link": source} for source, _ in links] for links in record["inputs"]]} for record in records
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
                    (group[source], selector)
                    for member in members
                    for source, selector in records[member]["inputs"][number]
                    if source in group
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
    """The blobs of a layer and all its ancestors."""
    chain: list[str] = []
    while layer != -1:
        chain.append(document["layers"][layer]["blob"])
        layer = document["layers"][layer].get("parent", 0)
    return tuple(chain)


def contents(documents: list[Document]) -> tuple[Counter[str], Counter[tuple[str, tuple[str, ...]]]]:
    """The digests of derivable records after merging, and their distinct results."""
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
    """The parsed document."""
    parsed = json.loads(data)
    assert isinstance(parsed, dict)
    return parsed
