"""Let real visitors come to a notebook service, and tell how it went: `tmpnb load`."""
