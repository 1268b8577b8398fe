"""What a container may use and do, and what of that is in force."""
