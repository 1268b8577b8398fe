"""tmpnb beside its peers, in one run."""
