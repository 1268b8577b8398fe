"""Commands for the running service: `tmpnb status`, `list`, `stop`, `ban` and others."""
