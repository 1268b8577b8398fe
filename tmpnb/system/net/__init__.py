"""Addresses, networks and ports, and what this machine knows of them."""
