"""Keeps the pool as it should be, and gives its servers out."""
