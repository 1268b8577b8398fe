"""Temporary notebooks on demand."""

__version__ = "1.0.0.dev0"
