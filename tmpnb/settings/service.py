"""Everything one orchestrator needs, as a value: settings that were checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tmpnb.access.policy import Access
from tmpnb.access.public_hosts import PublicHosts
from tmpnb.core.plan import Policy
from tmpnb.core.subdomains import Subdomains
from tmpnb.orchestrator.launch.launcher import StartSettings
from tmpnb.orchestrator.timing import Timing
from tmpnb.proxy.choice import ProxyChoice
from tmpnb.settings.advice.combinations import Caution, cautions
from tmpnb.settings.checks import Listening
from tmpnb.settings.env_vars import Secrets
from tmpnb.spawners.base import Spawner
from tmpnb.web.brand import Brand, Notice
from tmpnb.web.cors import Cors


@dataclass(frozen=True, slots=True)
class Service:
    """Everything one orchestrator needs, checked and not running yet."""

    spawner: Spawner
    policy: Policy
    listening: Listening
    secrets: Secrets
    proxy: ProxyChoice
    timing: Timing
    starts: StartSettings
    cull_period: float  # seconds
    redirect_uri: str
    state_dir: Path
    frame_ancestors: str = "'self'"
    public_url: str = ""  # where visitors find it, without a slash at its end
    subdomains: Subdomains | None = None  # where servers have host names of their own
    hosts: PublicHosts = field(default_factory=PublicHosts)  # but for the machine's own names
    cors: Cors = field(default_factory=Cors)
    brand: Brand = field(default_factory=Brand)
    notice: Notice = field(default_factory=Notice)
    template_path: Path | None = None
    stop_servers_on_exit: bool = False
    access: Access = field(default_factory=Access)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def cautions(self) -> Iterator[Caution]:
        """Yield what of the settings hurts, and what to do about it."""
        yield from cautions(
            self.policy,
            self.access,
            cull_period=self.cull_period,
            start_timeout=self.starts.timeout,
        )
