"""Caches that live in a registry, read and written over the OCI distribution protocol."""
