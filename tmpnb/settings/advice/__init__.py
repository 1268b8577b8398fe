"""Settings that are allowed and hurt, each with what to do."""
