"""The whole site over HTTP, on pretend servers."""
