"""Runnable DAGs, one for each use case; each is executed by a test."""
