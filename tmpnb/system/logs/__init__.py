"""Log lines: without secrets, each on one line, repeats counted."""
