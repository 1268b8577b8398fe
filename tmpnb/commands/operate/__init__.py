"""Speak to the service that runs: `tmpnb status`, `list`, `stop`, `ban` and their like."""
