"""Many servers, one after the other."""
