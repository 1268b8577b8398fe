"""Report which seccomp profile servers have, and what would be better. Pure."""

from __future__ import annotations

from tmpnb.spawners.docker.hardening.merge import merged
from tmpnb.spawners.docker.hardening.seccomp import ENGINES, OURS
from tmpnb.spawners.docker.hardening.weakened import subject
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.finding import Finding, ok, warn

TOPIC = "seccomp"
BUILT_IN = "builtin"  # the engine's word for its own profile
UNCONFINED = "unconfined"  # and for none


def finding(options: Options) -> Finding:
    """Report which profile is in force, given what this engine supports.

    Args:
        options: Adapted to the engine.
    """
    wish = options.limits.seccomp
    if options.kind.unfiltered:
        words = "system calls are not filtered: this engine has no seccomp"
        return warn(
            TOPIC, words, "use an engine and a kernel with seccomp, as all common ones have"
        )
    own = _operators(options)
    if options.extra_host_config.get("privileged") or own == UNCONFINED:
        words = "system calls are not filtered because of extra_host_config"
        return warn(TOPIC, words, "remove privileged and seccomp from it")
    if own not in ("", BUILT_IN):
        return ok(TOPIC, "servers have the profile named in extra_host_config")
    if own == BUILT_IN:
        return warn(TOPIC, _engines(options), "remove seccomp from extra_host_config")
    if wish.text:
        whose = "tmpnb's profile" if wish.name == OURS else f"the profile in {wish.name}"
        runtime = options.limits.runtime
        unless = f", unless --runtime={runtime} handles calls itself" if runtime else ""
        return ok(TOPIC, f"servers have {whose}{unless}")
    if wish.name == ENGINES and not options.kind.podman:
        return warn(TOPIC, _engines(options), f"--seccomp={OURS}")
    if wish.name == ENGINES:
        return warn(TOPIC, _engines(options), _by_name())
    return warn(
        TOPIC,
        f"{options.kind.name} accepts no profile from here, so --seccomp={wish.name} "
        f"has no effect: {_engines(options)}",
        _by_name(),
    )


def _engines(options: Options) -> str:
    return (
        f"servers have {options.kind.name}'s own profile, which may allow vsock and "
        "io_uring and lets one server fill the machine's neighbour table"
    )


def _by_name() -> str:
    return (
        "put tmpnb's seccomp_profile.json on the engine's machine, and its path there into"
        ' extra_host_config: {"security_opt": ["seccomp=/path"]}'
    )


def _operators(options: Options) -> str:
    """Return the profile among the operator's own settings of a container; "" if there is none."""
    theirs = {"security_opt": options.extra_host_config.get("security_opt")}
    both = merged({"security_opt": []}, theirs)["security_opt"]
    found = [str(one)[len(TOPIC) + 1 :] for one in both if subject(str(one)) == TOPIC]
    return found[-1] if found else ""
