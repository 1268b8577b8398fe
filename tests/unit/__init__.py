"""Each module by itself, in the same folders as tmpnb/."""
