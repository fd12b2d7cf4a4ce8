"""A reader of profiles, goroutine dumps and pprof tables, which knows nothing of BuildKit."""
