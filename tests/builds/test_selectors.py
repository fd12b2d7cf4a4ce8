"""What operations take from their inputs."""

from hashlib import sha256
from typing import Any

import pytest

from cachedoctor.builds.messages import Op
from cachedoctor.builds.selectors import Selection, selections
from cachedoctor.errors import InputError
from cachedoctor.sources.json import typed


def taken(kind: str, known: Any, inputs: int) -> list[Selection]:
    return selections(typed({"Op": {kind: known}}, Op), inputs)


def hashed(*paths: str) -> str:
    return f"sha256:{sha256(chr(0).join(paths).encode()).hexdigest()}"


def test_paths_of_a_copy_are_hashed_in_descending_order() -> None:
    action = {
        "dest": "/d",
        "owner": {
            "user": {"User": {"byName": {"name": "a", "input": 1}}},
            "group": {"User": {"byName": {"name": "b", "input": 2}}},
        },
    }
    actions = [
        {"input": 0, "secondaryInput": 1, "output": -1, "Action": {"copy": action | {"src": "/a"}}},
        {"input": 3, "secondaryInput": 1, "output": 0, "Action": {"copy": {"src": "/é", "dest": "/d"}}},
    ]
    changed, copied, looked_up = taken("file", {"actions": actions}, 3)
    assert changed == Selection()
    assert copied == Selection(("/etc/passwd", "/a", "/é"), hashed("/é", "/etc/passwd", "/a"), True)
    assert looked_up == Selection(("/etc/group",), hashed("/etc/group"), True)


def test_what_is_changed_has_no_selector() -> None:
    action = {"input": 0, "secondaryInput": 0, "output": 0, "Action": {"copy": {"src": "/a", "dest": "/d"}}}
    assert taken("file", {"actions": [action]}, 1) == [Selection()]


def test_mounts_are_hashed_in_their_order() -> None:
    mounts = [
        {"dest": "/", "selector": "a/../b"},
        {"dest": "/m", "selector": "//a", "readonly": True},
        {"dest": "/s", "mountType": 1, "input": 5},
        {"dest": "/n", "input": -1},
    ]
    assert taken("exec", {"mounts": mounts}, 1) == [Selection(("/b", "/a"), hashed("/b", "/a"), True)]


@pytest.mark.parametrize(
    ("mount", "by_content"),
    [
        ({"dest": "/"}, False),
        ({"dest": "/", "contentCache": 1}, True),
        ({"dest": "/m"}, True),
        ({"dest": "/m", "selector": "/x"}, False),
        ({"dest": "/m", "selector": "/x", "readonly": True}, True),
        ({"dest": "/m", "selector": "/x", "output": -1}, True),
        ({"dest": "/m", "output": -1, "contentCache": 2}, False),
        ({"dest": "/", "readonly": True}, False),
    ],
)
def test_content_counts_where_nothing_else_can_be_read(mount: dict[str, Any], by_content: bool) -> None:
    (selection,) = taken("exec", {"mounts": [mount]}, 1)
    assert selection.by_content is by_content


def test_the_last_mount_of_an_input_decides() -> None:
    mounts = [{"dest": "/m"}, {"dest": "/n", "selector": "/x"}]
    assert not taken("exec", {"mounts": mounts}, 1)[0].by_content
    assert taken("exec", {"mounts": mounts[::-1]}, 1)[0].by_content


@pytest.mark.parametrize("kind", ["merge", "diff", "build", "passthrough", "later"])
def test_other_operations_take_all(kind: str) -> None:
    assert taken(kind, {}, 2) == [Selection(), Selection()]


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("exec", {"mounts": [{"dest": "/", "input": 2}]}),
        ("exec", {"mounts": [{"dest": "/", "input": -2}]}),
        ("file", {"actions": [{"secondaryInput": -2, "Action": {"copy": {"src": "/a"}}}]}),
        (
            "file",
            {
                "actions": [
                    {"secondaryInput": -1, "Action": {"mkdir": {"owner": {"user": {"User": {"byName": {"input": 9}}}}}}}
                ]
            },
        ),
    ],
)
def test_refuses_inputs_that_are_not_there(kind: str, known: Any) -> None:
    with pytest.raises(InputError, match="of an operation with 2 inputs"):
        taken(kind, known, 2)
