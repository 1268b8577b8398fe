"""The rules, without input or output: what is, what should be, and what to do next."""
