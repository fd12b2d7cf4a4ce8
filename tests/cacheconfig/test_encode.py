"""What BuildKit would write; documents as it wrote them are in tests/repairs/test_repair.py."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.cacheconfig import decode, encode


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"layers":[{"blob":"a","parent":-1},{"blob":"b"}]}',
        b'{"layers":[{}]}',
        b'{"records":[{"digest":"a"}]}',
        b'{"records":[{}]}',
    ],
)
def test_empty_fields_are_left_out(data: bytes) -> None:
    assert encode(decode(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b'{"layers":[{"blob":"a","parent":-1,"annotations":{"size":5}}]}',
        b'{"layers":[{"annotations":{}},{"blob":"b","x":1.5e+300,"y":[null,true,"\\n"]}]}',
        b'{"layers":[{"parent":2,"z":0,"a":18446744073709551615}]}',
    ],
)
def test_fields_of_layers_are_kept_behind_those_that_buildkit_knows(data: bytes) -> None:
    assert encode(decode(data)) == data


def test_fields_have_the_order_of_the_go_structs() -> None:
    created = "2026-11-24T08:14:45.5Z"
    link = {"link": 0, "selector": "s"}
    chain = {"createdAt": created, "layers": [0, 0]}
    record = {"inputs": [[link]], "digest": "d", "chains": [chain, {}], "layers": [{"createdAt": created, "layer": 0}]}
    document = {"records": [record], "layers": [{"parent": -1, "blob": "b"}]}
    assert encode(decode(json.dumps(document).encode())) == (
        b'{"layers":[{"blob":"b","parent":-1}],"records":[{"layers":[{"layer":0,"createdAt":"%s"}],'
        b'"chains":[{"layers":[0,0],"createdAt":"%s"},{}],"digest":"d","inputs":[[{"selector":"s","link":0}]]}]}'
        % (created.encode(), created.encode())
    )


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_text_is_escaped_as_go_does(text: str) -> None:
    """Only what JSON requires, and what could end a script in HTML."""
    written = orjson.dumps(text)
    for letter in "<>&\u2028\u2029":
        written = written.replace(letter.encode(), b"\\u%04x" % ord(letter))
    assert encode(decode(orjson.dumps({"records": [{"digest": text}]}))) == b'{"records":[{"digest":%s}]}' % written
