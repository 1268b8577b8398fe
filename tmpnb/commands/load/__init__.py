"""Load-test a notebook service with simulated visitors: `tmpnb load`."""
