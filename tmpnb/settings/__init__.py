"""Flags, config file and environment, turned into checked values."""
