"""Where containers are put, so that they reach what they may."""
