"""The benchmarks run, and their figures make sense."""
