"""Advice that several causes give."""

from __future__ import annotations

from cachedoctor.buildkit import RECOMMENDED

ANALYZE = (
    "Run cachedoctor analyze CACHE for each cache that the build imports: it shows how long its export takes, and why."
)
START_OVER = "If the cache grew over many imports, export to a new cache tag from a new builder."
JOIN = "Import one cache instead of several with the same records: cachedoctor repair A B -o JOINED makes one of them."
LET_IT = "Let it finish: it is slow, not stuck."
NO_EXPORT = "To get builds through until then, leave out --cache-to."
RESTART = (
    "Restart buildkitd to get builds through (`docker buildx stop BUILDER` for a builder in a container): other builds "
    "on it end too."
)
NEWER = f"Upgrade the builder to BuildKit {RECOMMENDED.line} or later."
HOW_TO_PROFILE = (
    "A goroutine dump shows what each export is doing: curl -o dump.txt "
    "'http://HOST:PORT/debug/pprof/goroutine?debug=2'. A CPU profile shows where the time goes: curl -o cpu.pprof "
    "'http://HOST:PORT/debug/pprof/profile?seconds=30'.",
    "HOST:PORT is the --debugaddr that buildkitd was started with, which has to be set before it hangs: docker buildx "
    "create --buildkitd-flags '--debugaddr 127.0.0.1:6060'. dockerd with \"debug\": true serves it on its own socket.",
)
"""How to get evidence."""
TWICE = "Take a second dump a minute later and pass both: cachedoctor profile FIRST SECOND shows which waits are stuck."
UPSTREAM = (
    "To report it at https://github.com/moby/buildkit/issues, attach this profile, a goroutine dump "
    "(/debug/pprof/goroutine?debug=2), the output of `buildctl debug workers -v`, the daemon's version, and what "
    "cachedoctor analyze CACHE --report DIR writes: the shape of the cache, without names."
)
