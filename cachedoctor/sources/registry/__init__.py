"""Caches in registries, read and written by the OCI distribution protocol."""
