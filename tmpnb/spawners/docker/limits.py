"""The operator's settings of what a visitor's container may use, do and reach."""

from __future__ import annotations

from typing import Any

from traitlets import Bool, Enum, HasTraits, Int, Unicode

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker import options
from tmpnb.spawners.docker.hardening.limits import Limits, capabilities
from tmpnb.spawners.docker.hardening.seccomp import OURS, chosen

SMALLEST_DISK = 1024**2  # bytes


class Bounds(HasTraits):
    """The part of the Docker spawner's settings that keeps containers harmless."""

    mem_limit = Unicode(
        "512m", help="Memory limit of one server including swap, like 512m or 2g; empty: no limit."
    ).tag(config=True)
    cpu_shares = Int(
        None,
        allow_none=True,
        min=2,
        help="Relative CPU weight of a server when CPUs are busy; Docker's default is 1024.",
    ).tag(config=True)
    cpu_quota = Int(
        None,
        allow_none=True,
        min=1000,
        help="CPU limit of a server in microseconds per 100 ms: 50000 is half a CPU.",
    ).tag(config=True)
    container_user = Unicode(
        "", help="User (name or id) that runs the command; empty: the image's own."
    ).tag(config=True)
    capabilities = Unicode(
        "",
        help="""Linux capabilities that servers keep, separated by commas, like CHOWN,SETUID; empty:
        none; `default`: the engine's default set.""",
    ).tag(config=True)
    new_privileges = Bool(
        False, help="Allow programs in the image to gain privileges, as sudo does."
    ).tag(config=True)
    seccomp = Unicode(
        OURS,
        help="""System calls that servers may make. `tmpnb`: what notebooks need, without vsock,
        io_uring or namespaces; `engine`: what the engine's own profile allows; or the path of a
        profile in the engine's format.""",
    ).tag(config=True)
    pids_limit = Int(
        1024, min=0, help="Maximum number of processes and threads of one server; 0: no limit."
    ).tag(config=True)
    nofile_limit = Int(
        4096, min=0, help="Maximum number of open files per process; 0: the engine's own limit."
    ).tag(config=True)
    container_log_size = Unicode(
        "1m",
        help="""Size at which the engine rotates a server's log; at most two such files are kept.
        Empty: the engine's own logging settings.""",
    ).tag(config=True)
    container_init = Bool(
        True, help="Run a small init process in each container, which reaps zombie processes."
    ).tag(config=True)
    allow_root = Bool(
        False, help="Allow an image that runs as root; by default it is refused."
    ).tag(config=True)
    read_only = Bool(
        False,
        help="""Let servers write only to their home and /tmp. The home starts with what the image
        has there. Volumes that the image declares elsewhere are read-only.""",
    ).tag(config=True)
    egress = Enum(
        ("all", "internet", "none"),
        "all",
        help="""What servers can reach. `all`: everything the engine's machine can reach.
        `internet`: public addresses only; needs the firewall rules that `tmpnb firewall` sets, and
        no server starts without them. `none`: no other machine and no other server, but still every
        service of the engine's machine that is not on loopback, unless those rules are set or there
        are `own_networks`. Servers are on the network named by `docker_network`, or on tmpnb-open,
        tmpnb-internet or tmpnb-closed, which is created if it does not exist.""",
    ).tag(config=True)
    own_networks = Bool(
        False,
        help="""With --egress=none or internet and with the proxy and the orchestrator in
        containers: give each server its own network, joined by all containers on
        `docker_network`.""",
    ).tag(config=True)
    own_subnets = Unicode(
        str(options.OWN_SUBNETS),
        help="""Address range for the networks created for servers: 16 addresses per server with
        `own_networks`, else 64 or as many as the pool needs.""",
    ).tag(config=True)
    runtime = Unicode(
        "",
        help="""Container runtime known to the engine, like runsc (gVisor), kata or sysbox-runc;
        empty: the engine's default.""",
    ).tag(config=True)
    disk_limit = Unicode(
        "",
        help="""Disk space of one server, like 1g; empty: no limit. If the engine's storage cannot
        enforce it, the home and /tmp are kept in memory, in equal parts and together at most half
        of `mem_limit`, and the rest is read-only. Volumes that the image declares are kept in
        memory if they are in the home or /tmp, else read-only.""",
    ).tag(config=True)

    @classmethod
    def class_own_traits(cls, **metadata: Any) -> dict[str, Any]:
        """Treat these as the spawner's own, in config files and documents."""
        return super().class_own_traits(**metadata) | Bounds.class_traits(**metadata)

    @property
    def offline(self) -> bool:
        """See `Spawner`."""
        return self.egress == "none"

    def limits(self) -> Limits:
        """Return the settings, checked.

        Raises:
            ConfigError: Names the flag that is wrong and what to do.
        """
        log_size = self.container_log_size.strip()
        if log_size:
            options.size("--container-log-size", log_size)
        disk = options.size("--disk-limit", self.disk_limit)
        if 0 < disk < SMALLEST_DISK:
            wish = f"did you mean {self.disk_limit.strip()}m"
            raise ConfigError(f"--disk-limit={self.disk_limit}: the minimum is 1m; {wish}")
        return Limits(
            capabilities=capabilities(self.capabilities),
            new_privileges=self.new_privileges,
            seccomp=chosen(self.seccomp),
            processes=self.pids_limit,
            open_files=self.nofile_limit,
            log_size=log_size,
            init=self.container_init,
            root_allowed=self.allow_root,
            read_only=self.read_only,
            runtime=self.runtime.strip(),
            disk=disk,
        )
