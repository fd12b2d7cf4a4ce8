"""Words of a registry, made harmless before they are shown."""

from __future__ import annotations

import re
from collections.abc import Collection

HIDDEN = "***"
_BEGINNING = 16
"""Characters by which a secret is known where it is cut: fewer than that may be anything."""
# GitHub's runner takes commands from both streams: `##[` anywhere in a line, `::` at its beginning.
_COMMAND = re.compile(r"##(?=\[)|^\s*:(?=:)", re.MULTILINE)


def harmless(text: str, secrets: Collection[str]) -> str:
    """Foreign text with each secret as `***`, in upper case or lower, cut or whole, and no command to a CI system.

    A secret that the registry sends in a code of its own is not known.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
        if len(secret) > _BEGINNING:
            text = re.sub(re.escape(secret[:_BEGINNING]) + r"\S*", HIDDEN, text, flags=re.IGNORECASE)
    return _COMMAND.sub(r"\g<0> ", text)
