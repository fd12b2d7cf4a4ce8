"""Flame graphs are well-formed for any text, exact, bounded, and the same for the same samples."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cachedoctor.report.formats import svg as flamegraph
from cachedoctor.report.formats.svg import Layout, family, fit, layout, svg

NS = "{http://www.w3.org/2000/svg}"
ELEMENTS = {NS + tag for tag in ("svg", "title", "style", "rect", "g", "text", "script")}
ATTRIBUTES = {
    *("class", "width", "height", "viewBox", "preserveAspectRatio", "x", "y", "text-anchor", "data-depth"),
}
Samples = list[tuple[Sequence[str], int]]

ANY_TEXT = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=())),
    st.sampled_from(["]]>", "<script>alert(1)</script>", '" onload="x', "&amp;", "\x00\x1b\ud800\ufffe", "<![CDATA["]),
)
NAMES = st.one_of(st.sampled_from("abc"), ANY_TEXT)
SAMPLES = st.lists(st.tuples(st.lists(NAMES, max_size=6), st.integers(-2, 10**20)), max_size=20)


def draw(samples: Samples, total: int | None = None, title: str = "CPU") -> str:
    whole = sum(amount for _, amount in samples if amount > 0) if total is None else total
    return svg(samples, title=title, value=lambda amount: f"{amount} ns", total=whole)


def boxes(text: str) -> list[tuple[str, int, Decimal, Decimal]]:
    """The name, the depth, the left edge and the width of each frame, in the order of the document."""
    frames = []
    for group in ElementTree.fromstring(text).iter(NS + "g"):
        if (group.get("class") or "").startswith("frame "):
            name = (group.findtext(NS + "title") or "").partition("\n")[0]
            rect = group.find(NS + "rect")
            assert rect is not None
            x, width = Decimal(rect.attrib["x"]), Decimal(rect.attrib["width"])
            frames.append((name, int(group.attrib["data-depth"]), x, width))
    return frames


def tooltips(text: str) -> list[str]:
    return [
        group.findtext(NS + "title") or ""
        for group in ElementTree.fromstring(text).iter(NS + "g")
        if group.get("data-depth")
    ]


def notes(text: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(text).iter(NS + "text") if node.get("class") == "note"]


@given(SAMPLES, ANY_TEXT, ANY_TEXT)
@example([(["]]>", "<script>", "\ud800\x00\ufffe"], 3)], "]]>", "<b>")
def test_any_text_is_data(samples: Samples, title: str, value: str) -> None:
    text = svg(samples, title=title, value=lambda _: value, total=0)
    root = ElementTree.fromstring(text.encode())
    plain = ElementTree.fromstring(svg([], title="", value=str, total=0))
    assert {node.tag for node in root.iter()} <= ELEMENTS
    assert {key for node in root.iter() for key in node.attrib} <= ATTRIBUTES
    assert root.findtext(NS + "script") == plain.findtext(NS + "script")
    assert root.findtext(NS + "style") == plain.findtext(NS + "style")
    assert sum(node.tag == NS + "script" for node in root.iter()) == 1


@given(SAMPLES)
def test_children_fit_in_their_parent(samples: Samples) -> None:
    path: list[tuple[Decimal, Decimal]] = []
    sums: list[Decimal] = []
    for _, depth, x, width in boxes(draw(samples)):
        assert depth <= len(path)
        del path[depth:], sums[depth + 1 :]
        if depth:
            left, room = path[-1]
            sums[depth] = sums[depth] + width if depth < len(sums) else width
            assert left <= x
            assert x + width <= left + room
            assert sums[depth] <= room
        path.append((x, width))
        sums += [Decimal(0)] * (depth + 2 - len(sums))


@given(SAMPLES, st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(samples: Samples, order: random.Random) -> None:
    shuffled = samples.copy()
    order.shuffle(shuffled)
    assert draw(samples) == draw(samples) == draw(shuffled)


@given(SAMPLES)
def test_values_are_exact(samples: Samples) -> None:
    kept = [(tuple(frames), amount) for frames, amount in samples if amount > 0]
    plan = layout(samples, 0)
    assert plan.whole == sum(amount for _, amount in kept)
    path: list[str] = []
    for frame in plan.frames:
        del path[max(0, frame.depth - 1) :]
        if frame.depth:
            path.append(frame.name)
        prefix = tuple(path)
        assert frame.value == sum(amount for frames, amount in kept if frames[: frame.depth] == prefix)


def test_merges_and_sorts() -> None:
    text = draw([(["main", "b"], 1), (["main", "a"], 2), (["main", "b"], 3), (["main"], 4), (["x"], 0), (["y"], -7)])
    assert tooltips(text) == [
        "all\n10 ns, 100.00%",
        "main\n10 ns, 100.00%",
        "a\n2 ns, 20.00%",
        "b\n4 ns, 40.00%",
    ]
    assert [(x, width) for _, _, x, width in boxes(text)] == [
        (Decimal(10), Decimal(1180)),
        (Decimal(10), Decimal(1180)),
        (Decimal(10), Decimal(236)),
        (Decimal(246), Decimal(472)),
    ]
    assert notes(text) == []


def test_shares_are_of_the_total() -> None:
    assert tooltips(draw([(["f"], 1)], total=8)) == ["all\n8 ns, 100.00%", "f\n1 ns, 12.50%"]
    assert tooltips(draw([(["f"], 8)], total=1)) == ["all\n8 ns, 100.00%", "f\n8 ns, 100.00%"]


@pytest.mark.parametrize("samples", [[], [(["f"], 0)], [(["f"], -1)]])
def test_no_samples(samples: Samples) -> None:
    text = draw(samples)
    assert boxes(text) == []
    assert "No samples." in text


def test_deep_stack() -> None:
    text = draw([([f"f{depth}" for depth in range(10_000)], 5)])
    assert len(boxes(text)) == flamegraph.LEVELS + 1
    assert notes(text) == ["Drawn are the lowest 256 levels; the deepest stack has 10,000."]


@pytest.mark.slow
def test_many_stacks() -> None:
    rng = random.Random(7)
    samples: Samples = [
        ([f"package{rng.randrange(9)}.function{level}" for level in range(40)], rng.randrange(1, 1000))
        for _ in range(100_000)
    ]
    begin = time.process_time()
    text = draw(samples)
    assert time.process_time() - begin < 20
    assert 700 < len(boxes(text)) < 1200


def test_narrow_frames_are_left_out() -> None:
    plan = layout([(["wide"], 998), (["edge"], 1), (["wide", "f"], 1)], 0)
    assert [frame.name for frame in plan.frames] == ["all", "edge", "wide", "f"]
    assert not plan.narrow
    text = draw([(["wide"], 999), (["edge"], 1), (["wide", "f"], 1)])
    assert [name for name, *_ in boxes(text)] == ["all", "wide"]
    assert notes(text) == ["Frames under 0.1% of the total are left out."]


@pytest.mark.slow
def test_number_of_frames_is_bounded() -> None:
    samples: Samples = [([f"g{column}.f{level}" for level in range(300)], 1) for column in range(900)]
    text = draw(samples)
    frames = boxes(text)
    assert len(frames) == flamegraph.MOST
    assert notes(text) == [
        "Drawn are the lowest 256 levels; the deepest stack has 300.",
        "Drawn are the widest 20,000 frames.",
    ]
    assert len(text) < 6_000_000


def test_widest_frames_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flamegraph, "MOST", 4)
    plan: Layout = layout([(["a", "b", "c"], 5), (["d"], 2), (["e"], 6)], 0)
    assert [(frame.name, frame.depth) for frame in plan.frames] == [("all", 0), ("a", 1), ("b", 2), ("e", 1)]
    assert plan.crowded


def test_long_name_is_bounded() -> None:
    name = tooltips(draw([(["x" * 1_000_000], 1)]))[1].partition("\n")[0]
    assert name == "x" * flamegraph.LONGEST + "…"


def test_self_contained() -> None:
    text = draw([(["f"], 1)])
    assert text.count("http") == 2  # the names of two namespaces
    assert "url(" not in text
    assert "@import" not in text
    assert "innerHTML" not in text
    assert text.count("]]>") == 2


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("github.com/moby/buildkit/solver.(*edge).unpark", "b"),
        ("github.com/moby/buildkit/vendor/google.golang.org/grpc.Dial", "o"),
        ("github.com/moby/buildkitten/x.F", "o"),
        ("runtime.mallocgc", "r"),
        ("runtime/pprof.(*profMap).lookup", "r"),
        ("internal/poll.(*FD).Read", "r"),
        ("type:.eq.github.com/moby/buildkit/solver.Edge", "r"),
        ("net/http.(*conn).serve", "s"),
        ("sync.(*Mutex).Lock", "s"),
        ("slices.SortFunc[go.shape.[]github.com/moby/buildkit/solver.Vertex]", "s"),
        ("vendor/golang.org/x/net/http2/hpack.(*Encoder).WriteField", "s"),
        ("google.golang.org/grpc.(*Server).serveStreams", "o"),
        ("golang.org/x/sync/errgroup.(*Group).Go.func1", "o"),
        ("gopkg.in/yaml%2ev3.Marshal", "o"),
        ("main.main", "o"),
        ("__libc_start_main", "o"),
        ("", "o"),
    ],
)
def test_family(name: str, key: str) -> None:
    assert family(name) == key


@pytest.mark.parametrize(
    ("name", "room", "shown"),
    [
        ("github.com/a/b.F", 16, "github.com/a/b.F"),
        ("github.com/a/b.F", 15.9, "b.F"),
        ("github.com/a/b.Func", 5.5, "b.Fu…"),
        ("b.F[github.com/a/c.T]", 8, "b.F[git…"),
        ("abcdef", 2.9, ""),
        ("名前名前", 8, "名前名前"),
        ("名前名前", 7, "名前名…"),
    ],
)
def test_fit(name: str, room: float, shown: str) -> None:
    assert fit(name, room) == shown
