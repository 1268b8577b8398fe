"""The project itself: its documents, its layers, its scripts."""
