"""See beforehand whether a setup works: `tmpnb doctor` and `tmpnb check-image`."""
