"""Who may take a server, from where, and how many."""
