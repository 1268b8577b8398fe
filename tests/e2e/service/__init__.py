"""The service as operators run it."""
