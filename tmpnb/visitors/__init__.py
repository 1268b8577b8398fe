"""What a visitor has: a server, its files, and the time that is left."""
