"""Real engines of containers for tests."""
