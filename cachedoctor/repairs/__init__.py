"""A cache that imports, has no loops and loses nothing: draft, cut, prune, prove."""
