"""The service with its real parts."""
