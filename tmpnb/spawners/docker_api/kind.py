"""Which engine speaks Docker's language, Docker or Podman, and what that changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DOCKER, PODMAN = "Docker", "Podman"

Facts = Mapping[str, Any]  # what the engine says of itself or of a thing, as it says it


@dataclass(frozen=True, slots=True)
class Kind:
    """An engine with Docker's API."""

    name: str = DOCKER
    rootless: bool = False  # an ordinary user runs it
    unfiltered: bool = False  # it has no seccomp
    boundless: bool = False  # it bounds neither memory nor processes nor CPU, and does not say so

    @property
    def podman(self) -> bool:
        """Whether it is Podman."""
        return self.name == PODMAN


def kind_of(about: Facts) -> Kind:
    """Return the kind of engine that says this of itself; Docker if it says nothing."""
    podman = "BuildahVersion" in about
    secured = about.get("SecurityOptions") or ()
    rootless = bool(about.get("Rootless")) or any("name=rootless" in str(one) for one in secured)
    unfiltered = "SecurityOptions" in about and not any("seccomp" in str(one) for one in secured)
    old_groups = str(about.get("CgroupVersion") or "") == "1"
    boundless = podman and rootless and old_groups
    return Kind(PODMAN if podman else DOCKER, rootless, unfiltered, boundless)


def missing_runtime(about: Facts, runtime: str) -> str | None:
    """Return why servers cannot be run by `runtime`; None if they can, or it is not told.

    Podman names runtimes that it does not have, and takes no notice of the wish.
    """
    if not runtime:
        return None
    if kind_of(about).podman:
        usual = about.get("DefaultRuntime")
        if runtime == usual:
            return None
        return f"Podman runs all containers by {usual}; set runtime in its containers.conf"
    known = about.get("Runtimes")
    if not known or runtime in known or runtime.startswith("io.containerd."):
        return None
    return f"the engine has no runtime {runtime}, it has {', '.join(sorted(known))}"


def identity(about: Facts) -> str:
    """Return what tells this engine from others, always the same; empty if it does not say.

    Podman invents an id for each answer; where it keeps its data is what stays.
    """
    if kind_of(about).podman:
        return f"podman {about.get('Name')} {about.get('DockerRootDir')}"
    return str(about.get("ID") or "")


def honest(about: Facts) -> Facts:
    """Return what the engine says of itself, without the bounds it does not keep."""
    if not kind_of(about).boundless:
        return about
    unkept = ("MemoryLimit", "SwapLimit", "PidsLimit", "CpuCfsQuota", "CPUShares")
    return {**about, **dict.fromkeys(unkept, False)}
