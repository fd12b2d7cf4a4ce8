"""What the sources of one run share at registries."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from threading import Barrier, Event, Thread

import pytest

from cachedoctor.errors import InputError
from cachedoctor.sources.registry.connections import RegistryError, Unanswered, Unreachable
from cachedoctor.sources.registry.session import MOST_FAILURES, Session


def test_one_makes_it_and_the_others_wait() -> None:
    session, ready, made = Session(), Barrier(6), []
    got: list[object] = []

    def make() -> object:
        made.append(1)
        return object()

    def ask() -> None:
        ready.wait()
        got.append(session.once(("x",), make))

    threads = [Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(got) == 6
    assert len(set(map(id, got))) == 1


def test_an_error_is_raised_anew_for_each() -> None:
    session = Session()

    def fail() -> None:
        raise Unanswered("too late", "here", missing=True)

    errors = []
    for _ in range(2):
        with pytest.raises(Unanswered) as caught:
            session.once(("x",), fail)
        errors.append(caught.value)
    first, second = errors
    first.source = "a"
    assert str(second) == "here: too late"
    assert second.missing


def test_what_is_not_an_input_error_is_kept_as_it_is() -> None:
    session = Session()
    with pytest.raises(ZeroDivisionError):
        session.once(("x",), lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        session.once(("x",), lambda: 1)


def test_what_found_no_memory_is_made_again() -> None:
    def fail() -> int:
        raise MemoryError

    session = Session()
    with pytest.raises(MemoryError):
        session.once(("x",), fail)
    assert session.once(("x",), lambda: 1) == 1
    assert session.once(("x",), fail) == 1


def test_closing_raises_nothing_and_never_waits(tmp_path: Path) -> None:
    Session().close()
    session, opening, ready = Session(), Event(), Event()
    with pytest.raises(InputError):
        session.connections(str(tmp_path / "none"))
    session.close()

    def make() -> None:
        opening.set()
        ready.wait()

    session = Session()
    thread = Thread(target=session.once, args=(("connections",), make))
    thread.start()
    opening.wait()
    closing = Thread(target=session.close, daemon=True)
    closing.start()
    closing.join(30)
    waits = closing.is_alive()
    ready.set()
    thread.join()
    assert not waits


def ask(session: Session, host: str, error: InputError | None = None) -> None:
    with session.asking(host):
        if error:
            raise error


@pytest.mark.parametrize("error", [Unanswered("x"), Unreachable("x")])
def test_a_host_that_never_answers_is_given_up(error: InputError) -> None:
    session = Session()
    for _ in range(MOST_FAILURES):
        with pytest.raises(type(error), match=r"^x$"):
            ask(session, "a", error)
    with pytest.raises(RegistryError, match=r"^not asked, since"):
        ask(session, "a")
    ask(session, "b")


def test_an_answer_in_between_counts() -> None:
    session = Session()
    for answer in (None, RegistryError("denied")):
        for _ in range(MOST_FAILURES - 1):
            with pytest.raises(Unanswered):
                ask(session, "a", Unanswered("x"))
        with nullcontext() if answer is None else pytest.raises(RegistryError, match=r"^denied$"):
            ask(session, "a", answer)
    ask(session, "a")


def test_a_refusal_is_an_answer() -> None:
    session = Session()
    for _ in range(MOST_FAILURES + 1):
        with pytest.raises(RegistryError, match=r"^denied$"):
            ask(session, "a", RegistryError("denied"))
