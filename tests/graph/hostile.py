"""Random documents, most of them such as no exporter writes: fast to make, by the thousand, from a seed."""

from __future__ import annotations

import copy
import random
from typing import Any

from tests.graph.reference import Document

ODDITIES = ("empty", "trailing", "arities", "repeats", "cycles", "outside", "nulls", "random", "layers")
"""What a document may have that no exporter writes; each is in about a quarter of them."""


class Maker:
    """Makes small documents that merge a lot."""

    def __init__(self, seed: int, oddities: tuple[str, ...] = ODDITIES) -> None:
        self._choose = random.Random(seed)
        self._odd = {oddity for oddity in oddities if not self._choose.randrange(4)}

    def documents(self) -> list[Document]:
        """One to three documents, of which later ones may resemble the first."""
        made = [self._document() for _ in range(self._choose.choice((1, 1, 2, 3)))]
        for index in range(1, len(made)):
            if self._choose.randrange(3):
                made[index] = self._changed(made[0])
        return made

    def _document(self) -> Document:
        choose = self._choose
        count = choose.randint(1, 9)
        letters = "abcdefgh"[: choose.choice((1, 2, 4, 8))]
        selectors = ["", "s", "t"][: choose.randint(1, 3)]
        place = list(range(count))
        choose.shuffle(place)
        records: list[Any] = [None] * count
        for rank in range(count):
            number = 0 if rank == 0 else choose.choice((0, 1, 1, 1, 2, 2, 3))
            inputs = [self._input(rank, place, selectors) for _ in range(number)]
            if "trailing" in self._odd and self._often(3):
                inputs += [[]] * choose.randint(1, 2)
            digest = choose.choice(letters) + ("" if "arities" in self._odd else str(len(inputs)))
            if "random" in self._odd and self._often(5):
                digest = f"random:{digest}"
            written: Document = {"digest": digest, "inputs": inputs}
            if "layers" in self._odd and self._often(2):
                written["layers"] = [{"layer": choose.randint(0, 3)}]
            if "layers" in self._odd and self._often(4):
                written["chains"] = [{"layers": [choose.randint(0, 3) for _ in range(choose.randint(0, 3))]}]
            records[place[rank]] = self._with_nulls(written)
        document: Document = {"records": records}
        if "layers" in self._odd:
            parents = [choose.choice((-1, -1, index - 1, choose.randint(-1, 4))) for index in range(4)]
            document["layers"] = [{"blob": f"blob {index}", "parent": parent} for index, parent in enumerate(parents)]
        return document

    def _often(self, one_in: int) -> bool:
        return not self._choose.randrange(one_in)

    def _input(self, rank: int, place: list[int], selectors: list[str]) -> Any:
        choose = self._choose
        if "empty" in self._odd and self._often(6):
            return [] if self._often(2) else None
        links = []
        for _ in range(choose.choice((1, 1, 2, 3))):
            back = "cycles" in self._odd and self._often(8)
            source = place[choose.randrange(len(place) if back else rank)]
            if "outside" in self._odd and self._often(20):
                source = choose.choice((-1, len(place), 10**9))
            links.append({"selector": choose.choice(selectors), "link": source})
        if "repeats" in self._odd:
            links += choose.choices(links, k=choose.randrange(3))
        return links

    def _with_nulls(self, record: Document) -> Any:
        """The same with zero values left out, and some of them, or anything else, replaced by `null`."""
        if not record["inputs"]:
            del record["inputs"]
        if "nulls" not in self._odd:
            return record
        if self._often(30):
            return None
        for links in record.get("inputs") or []:
            for position, link in enumerate(links or []):
                if not link["link"]:
                    links[position] = {"link": None} if self._often(2) else {"selector": link["selector"]}
                if self._often(20):
                    links[position] = None
        if self._often(15):
            record["digest"] = None
        return record

    def _changed(self, document: Document) -> Document:
        """A copy with a record or two replaced by others of the same document."""
        changed = copy.deepcopy(document)
        records = changed["records"]
        for _ in range(self._choose.randrange(3)):
            record = self._choose.choice(records)
            if record and record.get("inputs") and record["inputs"][-1]:
                record["inputs"][-1].pop()
                if not record["inputs"][-1] and not self._odd & {"empty", "trailing"}:
                    record["inputs"].pop()
        return changed
