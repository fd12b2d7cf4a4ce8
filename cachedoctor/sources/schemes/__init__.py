"""The kinds of places that caches are read from and written to: one module each, found by listing this folder.

A module has one subclass of `sources.document.Location`, and its docstring is its documentation for users. To add a
kind of place, add a module. Modules are imported to list them in `--help`, so they import what takes time (a client, a
reader) in their methods, and nothing at the top.

A minimal one, for references such as `toy://NAME`:

    class ToyLocation(Location):
        prefix = "toy://"
        usage = target_usage = "toy://NAME"

        def documents(self, platform, stdin, access):
            from cachedoctor.sources.content import stream_documents
            from cachedoctor.sources.layout import NowhereStore

            return stream_documents(toys.open(self.name), NowhereStore, self.tag, platform, can_seek=False)

        def writer(self, documents, *, force=False, access=None):
            return ToyWriter(self)   # a subclass of Writer with the method `put`
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from cachedoctor.errors import reading
from cachedoctor.sources.document import Location


@cache
def kinds() -> tuple[type[Location], ...]:
    """All kinds of places: in the order of their names, and the one without a prefix last."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    locations = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Location) and value.__module__ == module.__name__
    ]
    return tuple(sorted(locations, key=lambda kind: (not kind.prefix, kind.prefix)))


def parse(text: str, tag: str | None = None) -> Location:
    """The place that a reference names; `tag` is the one to use if the reference names none.

    What a reference means depends on what exists: `oci:x` may be a file of that name. Raises `InputError` for
    malformed references; its `source` never has credentials in it.
    """
    with reading(text):
        for kind in kinds():
            if kind.claims(text):
                return kind(text, tag)
        kind = next((kind for kind in kinds() if kind.recognizes(text)), kinds()[-1])
        return kind(text, tag)


def usages() -> list[str]:
    """How to write a reference of each kind, for messages and help."""
    return [kind.usage for kind in kinds()]
