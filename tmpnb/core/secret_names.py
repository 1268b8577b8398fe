"""The names of the environment variables that hold secrets. Pure."""

from __future__ import annotations

PROXY_TOKEN = "CONFIGPROXY_AUTH_TOKEN"  # noqa: S105 - the name of a variable
VARIABLES = (
    PROXY_TOKEN,
    "API_AUTH_TOKEN",
    "ADMIN_AUTH_TOKEN",
    "TMPNB_SECRET_KEY",
    "TMPNB_PASSPHRASE",
)
TOKENS = VARIABLES[:3]  # what programs send in a header
