"""The URL that visitors open, taken apart: the service's root, the page, the token. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from tmpnb.core.links import PAGES
from tmpnb.errors import ConfigError

HUB = "hub"  # a path that begins with it is a page of JupyterHub


@dataclass(frozen=True, slots=True)
class Target:
    """Where visitors go.

    Attributes:
        root: Of the service, with a slash at its end.
        page: Path below the root that visitors open; empty for the root itself.
        query: Of that page, the token left out.
        token: Of one Jupyter server; empty for none.
    """

    root: str
    page: str = ""
    query: str = ""
    token: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Target:
        """Return the parts of a URL.

        Raises:
            ConfigError: It is no URL of a web page; in one line.
        """
        shown = url.partition("?")[0]
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{shown}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ConfigError(f"{shown}: write the whole URL, as http://127.0.0.1:8000/")
        if parts.username or parts.password:
            raise ConfigError("a URL with a user name or a password is not taken")
        steps = [step for step in parts.path.split("/") if step]
        cut = next((i for i, s in enumerate(steps) if s in PAGES or s == HUB), len(steps))
        prefix = "".join(f"{step}/" for step in steps[:cut])
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        return cls(
            root=f"{parts.scheme}://{parts.netloc}/{prefix}",
            page="/".join(steps[cut:]) if steps[cut : cut + 1] != [HUB] else "",
            query=urlencode([pair for pair in pairs if pair[0] != "token"]),
            token=dict(pairs).get("token", ""),
        )

    @property
    def url(self) -> str:
        """What visitors open, without the token."""
        return f"{self.root}{self.page}" + f"?{self.query}" * bool(self.query)
