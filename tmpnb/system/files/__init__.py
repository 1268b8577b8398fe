"""Files that somebody else has written, named or may have changed."""
