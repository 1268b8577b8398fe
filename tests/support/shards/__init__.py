"""Several worlds side by side, each with an engine of its own."""
