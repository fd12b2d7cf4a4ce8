"""The op digests of what builds start from: images, git repositories and files from the web (BuildKit `source`)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from cachedoctor.builds.messages import Platform, Source
from cachedoctor.builds.operations import digest, go_json, normalized, platform_fields
from cachedoctor.sources.descriptors import is_digest

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HUB = ("docker.io/library/", "docker.io/")
_HEADERS = ("Accept", "User-Agent")
"""The headers of a download that its digest depends on (v0.32: `http.supportedUserDefinedHeaders`)."""
_HEADER = "http.header."
_UNNAMED = "download"


class Materials:
    """What a build says it has used: the digests of images, commits and downloads, by where they are from."""

    def __init__(self, listed: Iterable[tuple[str, Mapping[str, str]]] = ()) -> None:
        """`listed` has the URI and the digests by algorithm of each, as provenance lists them."""
        self._found: dict[str, list[str]] = {}
        self._commits: list[str] = []
        for uri, digests in listed:
            values = [f"{algorithm}:{value}" for algorithm, value in digests.items()]
            self._found.setdefault(_image_of(uri) or uri, []).extend(values)
            self._commits += [value for name, value in digests.items() if name == "sha1"]

    def of_image(self, name: str) -> list[str]:
        """The digests of an image, one for each platform that it was used for."""
        for hub in _HUB:
            name = name.removeprefix(hub)
        tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        return self._found.get(tagged, [])

    def of_url(self, url: str) -> list[str]:
        """The digests of a download."""
        return self._found.get(url, [])

    def of_commit(self, remote: str, ref: str) -> list[str]:
        """What a reference of a repository resolved to."""
        known = self._found.get(f"{remote}#{ref}" if ref else remote, [])
        return [value.partition(":")[2] for value in known] or (self._commits if len(self._commits) == 1 else [])


def _image_of(uri: str) -> str:
    """The image that a package URL names, such as `HOST/NAME:TAG`; empty if it names none."""
    kind, _, rest = uri.partition("/")
    return unquote(rest.partition("?")[0]).replace("@", ":") if kind in ("pkg:docker", "pkg:oci") else ""


class Origin(NamedTuple):
    """Where a build starts from."""

    scheme: str
    """Such as `docker-image`, `local` or `git`."""
    name: str
    """The rest of the identifier."""


def origin_of(source: Source) -> Origin:
    """Take an identifier apart."""
    scheme, _, name = source.identifier.partition("://")
    return Origin(scheme, name)


def image_digests(name: str, materials: Materials) -> list[str]:
    """The digests that an image can have: the one it is pinned to, or those that the build has used."""
    pinned = name.rpartition("@")[2]
    return [pinned] if is_digest(pinned) else materials.of_image(name)


def digests(source: Source, platform: Platform | None, materials: Materials) -> list[str]:
    """What the op digest of a source can be (v0.32: `ops.(*SourceOp).CacheMap`), the most likely first.

    Nothing for local sources, whose digests are random, and for what resolved to something unknown.
    """
    origin = origin_of(source)
    if origin.scheme in ("docker-image", "oci-layout"):
        keys = _image(source, origin.name, normalized(platform), materials)
    elif origin.scheme == "git":
        keys = _git(source, origin.name, materials)
    elif origin.scheme in ("http", "https"):
        keys = _http(source, materials)
    else:
        keys = iter(())
    return [digest(f"buildkit.source.v0:{key}".encode()) for key in dict.fromkeys(keys)]


def image_text(image: str, platform: Platform, limit: str = "") -> bytes:
    """The text whose digest is the key of an image (v0.32: `containerimage.mainManifestKey`)."""
    layers = {"Limit": int(limit)} if limit.isdecimal() and len(limit) < 10 else {}
    return go_json({"Digest": image} | platform_fields(platform) | layers)


def _image(source: Source, name: str, platform: Platform, materials: Materials) -> Iterator[str]:
    limit = source.attrs.get("image.layerlimit", "") or source.attrs.get("oci.layerlimit", "")
    for image in image_digests(name, materials):
        yield _key(image_text(image, platform, limit))


def _key(text: bytes) -> str:
    return f"sha256:{sha256(text).hexdigest()}"


def _git(source: Source, name: str, materials: Materials) -> Iterator[str]:
    """v0.32: `git.(*gitSourceHandler).shaToCacheKey`."""
    attrs = source.attrs
    remote, _, fragment = name.partition("#")
    ref, _, folder = fragment.partition(":")
    folder = posixpath.normpath(f"/{folder}").strip("/")
    full = attrs.get("git.fullurl", "").partition("#")[0] or (remote if "://" in remote else f"https://{remote}")
    commits = [ref] if _COMMIT.fullmatch(ref) else materials.of_commit(full, ref)
    after = f":{folder}" if folder else ""
    after += "(skip-submodules)" if attrs.get("git.skipsubmodules") == "true" else ""
    mtime = attrs.get("git.mtime", "")
    after += f"(mtime={mtime})" if mtime not in ("", "checkout") else ""
    after += "(bundle)" if attrs.get("git.checkoutbundle") == "true" else ""
    for commit in commits:
        if attrs.get("git.keepgitdir") != "true":
            yield commit + after
            continue
        for named in _full_refs(ref):
            yield f"{commit}.git{named and f'#{named}'}{after}"


def _full_refs(ref: str) -> Sequence[str]:
    """What a reference can be in full; v0.16 and earlier do not name it, and v0.21 does not name a commit."""
    if _COMMIT.fullmatch(ref) or ref.startswith("refs/"):
        return ref, ""
    return (f"refs/heads/{ref}", f"refs/tags/{ref}", "") if ref else ("refs/heads/main", "refs/heads/master", "")


def _http(source: Source, materials: Materials) -> Iterator[str]:
    """v0.32: `http.(*httpSourceHandler).formatCacheKey`, for a server that does not say when a file was changed."""
    attrs = source.attrs
    owners = {name: _integer(attrs.get(f"http.{name.lower()}", "0")) for name in ("Perm", "UID", "GID")}
    secret = attrs.get("http.authheadersecret", "")
    sent = sorted((name.removeprefix(_HEADER).title(), attrs[name]) for name in attrs if name.startswith(_HEADER))
    headers = [{"Name": name, "Value": value} for name, value in sent if name in _HEADERS]
    checksum = attrs.get("http.checksum", "")
    for known in [checksum] if checksum else materials.of_url(source.identifier):
        text: dict[str, object] = {"Filename": _file_name(source), **owners, "Checksum": known}
        text |= {"AuthHeaderSecret": secret} if secret else {}
        yield _key(go_json(text | ({"Header": headers} if headers else {})))


def _integer(text: str) -> int:
    """Go's `ParseInt` with any base; 0 for what is not a number."""
    octal = re.fullmatch(r"0[0-7]{1,20}", text)
    return int(text, 8) if octal else int(text) if re.fullmatch(r"-?[1-9][0-9]{0,17}", text) else 0


def _file_name(source: Source) -> str:
    """The name that a download gets (v0.32: `http.getFileName`)."""
    try:
        path = unquote(urlsplit(source.identifier).path)
    except ValueError:
        path = ""
    name = posixpath.basename((source.attrs.get("http.filename", "") or path).strip().rstrip("/"))
    return _UNNAMED if name in ("", ".", "..") or any(ord(letter) < 0x20 for letter in name) else name
