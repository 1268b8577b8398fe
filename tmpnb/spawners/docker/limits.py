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
        "512m", help="Memory of one server, like 512m or 2g, swap included; empty: no limit."
    ).tag(config=True)
    cpu_shares = Int(
        None,
        allow_none=True,
        min=2,
        help="Weight of a server when CPUs are short; Docker's is 1024.",
    ).tag(config=True)
    cpu_quota = Int(
        None,
        allow_none=True,
        min=1000,
        help="CPU time of a server in microseconds per 100 ms: 50000 is half a CPU.",
    ).tag(config=True)
    container_user = Unicode(
        "", help="User (name or number) that runs the command; empty: the image's own."
    ).tag(config=True)
    capabilities = Unicode(
        "",
        help="""Capabilities of Linux that servers keep, with commas between, like CHOWN,SETUID;
        empty: none; `default`: those that the engine gives.""",
    ).tag(config=True)
    new_privileges = Bool(
        False, help="Let programs of the image gain privileges, as sudo does."
    ).tag(config=True)
    seccomp = Unicode(
        OURS,
        help="""System calls that servers may make: `tmpnb` what notebooks need, and no vsock,
        io_uring or namespaces; `engine` what the engine's own profile allows; or the name of a
        file with a profile in the engine's format.""",
    ).tag(config=True)
    pids_limit = Int(1024, min=0, help="Processes and threads of one server; 0: no limit.").tag(
        config=True
    )
    nofile_limit = Int(
        4096, min=0, help="Files that each process may have open; 0: the engine's own limit."
    ).tag(config=True)
    container_log_size = Unicode(
        "1m",
        help="""What the engine keeps of what a server prints, twice this size at most; empty:
        log as the engine does by itself.""",
    ).tag(config=True)
    container_init = Bool(
        True, help="Run a small init process in each container, which reaps what is left behind."
    ).tag(config=True)
    allow_root = Bool(False, help="Serve an image that runs as root; else it is refused.").tag(
        config=True
    )
    read_only = Bool(
        False,
        help="""Let servers write to their home and /tmp only. The home begins with what the image
        has there. Volumes that the image declares elsewhere are read-only.""",
    ).tag(config=True)
    egress = Enum(
        ("all", "internet", "none"),
        "all",
        help="""What servers reach: `all` that the engine's machine reaches; `internet`: public
        addresses alone, by rules of the machine's firewall that `tmpnb firewall` sets, and without
        which no server starts; or `none`: no other machine and no other server, but every service
        of this one that is not on loopback, unless those rules are set or there are
        `own_networks`. They are on a network that is made if there is none; the name is that of
        `docker_network`, or tmpnb-open, tmpnb-internet or tmpnb-closed.""",
    ).tag(config=True)
    own_networks = Bool(
        False,
        help="""With --egress=none or internet, for a proxy and an orchestrator in containers: give
        each server a network of its own, and put on it all containers that are on
        `docker_network`.""",
    ).tag(config=True)
    own_subnets = Unicode(
        str(options.OWN_SUBNETS),
        help="""Addresses that networks are taken from which are made for servers: 16 for each with
        `own_networks`, else 64 or as many as the pool needs.""",
    ).tag(config=True)
    runtime = Unicode(
        "",
        help="""Runtime of the containers that the engine knows, like runsc (gVisor), kata or
        sysbox-runc; empty: the engine's own.""",
    ).tag(config=True)
    disk_limit = Unicode(
        "",
        help="""Disk that one server may fill, like 1g; empty: no limit. Where the engine's storage
        cannot bound it, the home and /tmp are in memory, in equal parts and together half of
        `mem_limit` at most, and the rest is read-only. Volumes that the image declares are in
        memory if they are the home or /tmp or in them, else read-only.""",
    ).tag(config=True)

    @classmethod
    def class_own_traits(cls, **metadata: Any) -> dict[str, Any]:
        """Count these as the spawner's own, in config files and documents."""
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
            raise ConfigError(f"--disk-limit={self.disk_limit}: 1m is the least; {wish}")
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
