"""What a step without a line in the Dockerfile is called: in a few words that hold no value."""

from __future__ import annotations

from cachedoctor.builds.messages import File, MakeFile, MakeFolder, Op, Source
from cachedoctor.builds.origins import origin_of

_SOURCES = {
    "docker-image": "base image",
    "oci-layout": "base image",
    "git": "git repository",
    "http": "download",
    "https": "download",
}
_LOCAL = {"context": "build context", "dockerfile": "Dockerfile"}
_KINDS = {
    "exec": "command",
    "file": "file operation",
    "merge": "merge of layers",
    "diff": "difference of layers",
    "build": "nested build",
    "passthrough": "passed-through inputs",
}


def label(op: Op) -> str:
    """Such as `build context`; Dockerfiles make most of these next to an instruction that has a place."""
    known = op.known
    if isinstance(known, Source):
        origin = origin_of(known)
        if origin.scheme == "local":
            return _LOCAL.get(origin.name, f"build context {origin.name}")
        return _SOURCES.get(origin.scheme, "source")
    if isinstance(known, File):
        kinds = {type(action.action.known) for action in known.actions}
        if kinds == {MakeFile}:
            return "heredoc document"
        if kinds == {MakeFolder}:
            return "cache mount directory"
    return _KINDS.get(op.kind, "unknown operation")
