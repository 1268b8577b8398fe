"""Check a setup before it goes live: `tmpnb doctor` and `tmpnb check-image`."""
