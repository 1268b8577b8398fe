"""The admin port: the operator's page and API."""
