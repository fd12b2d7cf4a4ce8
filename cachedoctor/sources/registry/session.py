"""What the sources of one run share at registries: connections, credentials, and which hosts do not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from cachedoctor.errors import InputError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cachedoctor.sources.registry.connections import Connections

MOST_FAILURES = 4
"""Requests in a row that a host does not answer; after that it is not asked any more."""

T = TypeVar("T")
Key = tuple[object, ...]


class Session:
    """One for all sources that are read at the same time, from any number of threads."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        """What nobody may see, of whatever registry it is."""
        self._lock = Lock()
        self._kept: dict[Key, Future[Any]] = {}
        self._failures: dict[object, int] = {}

    def once(self, key: Key, make: Callable[[], T]) -> T:
        """What `make` returned or raised when it was first called for this key; others wait for that.

        An `InputError` is raised anew for each of them, since each adds the name of its own source. What found no
        memory is made again by the next that calls this.
        """
        from concurrent.futures import Future

        with self._lock:
            first = key not in self._kept
            kept: Future[T] = self._kept.setdefault(key, Future())
        if first:
            try:
                kept.set_result(make())
            except InputError as error:
                kept.set_exception(_copy(error))
            except BaseException as error:
                if isinstance(error, MemoryError):
                    with self._lock:
                        del self._kept[key]
                kept.set_exception(error)
        try:
            return kept.result()
        except InputError as error:
            raise _copy(error) from error

    def connections(self, ca_file: str | None) -> Connections:
        """The connections to all registries. Raises `InputError` if there are no certificates in the file."""
        from cachedoctor.sources.registry.connections import Connections

        return self.once(("connections",), lambda: Connections(ca_file))

    def close(self) -> None:
        """Close all connections. Never waits, and raises nothing of what happened when they were opened."""
        kept = self._kept.get(("connections",))
        if kept and kept.done() and not kept.exception():
            kept.result().close()

    @contextmanager
    def asking(self, host: object) -> Iterator[None]:
        """A request to a host. Raises `RegistryError` at once if the host did not answer the last ones."""
        from cachedoctor.sources.registry.connections import RegistryError, Unanswered, Unreachable

        if self._failures.get(host, 0) >= MOST_FAILURES:
            raise RegistryError("not asked, since the registry did not answer for other sources")
        answered = True
        try:
            yield
        except (Unanswered, Unreachable):
            answered = False
            raise
        finally:
            with self._lock:
                self._failures[host] = 0 if answered else self._failures.get(host, 0) + 1


def _copy(error: InputError) -> InputError:
    return type(error)(error.problem, error.where, source=error.source, missing=error.missing)
