"""Diagnose BuildKit build caches whose export hangs or that are never used again."""

__version__ = "0.1.0"
