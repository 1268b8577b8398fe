"""Which servers are in use, and when an idle one is stopped."""
