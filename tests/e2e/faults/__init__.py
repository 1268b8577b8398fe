"""A part fails on purpose, and what was promised holds."""
