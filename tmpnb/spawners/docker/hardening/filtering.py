"""Say which profile of system calls servers have, and what would be better. Pure."""

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
    """Return which profile is in force, by the settings as this engine can keep them.

    Args:
        options: Adapted to the engine.
    """
    wish = options.limits.seccomp
    if options.kind.unfiltered:
        words = "system calls are not filtered: this engine has no seccomp"
        return warn(TOPIC, words, "an engine and a kernel that have it, as all common ones do")
    own = _operators(options)
    if options.extra_host_config.get("privileged") or own == UNCONFINED:
        words = "system calls are not filtered: extra_host_config says so"
        return warn(TOPIC, words, "leave privileged and seccomp out of it")
    if own not in ("", BUILT_IN):
        return ok(TOPIC, "servers have the profile that extra_host_config names")
    if own == BUILT_IN:
        return warn(TOPIC, _engines(options), "leave seccomp out of extra_host_config")
    if wish.text:
        whose = "tmpnb's profile" if wish.name == OURS else f"the profile in {wish.name}"
        runtime = options.limits.runtime
        unless = f", unless --runtime={runtime} has calls of its own" if runtime else ""
        return ok(TOPIC, f"servers have {whose}{unless}")
    if wish.name == ENGINES and not options.kind.podman:
        return warn(TOPIC, _engines(options), f"--seccomp={OURS}")
    if wish.name == ENGINES:
        return warn(TOPIC, _engines(options), _by_name())
    return warn(
        TOPIC,
        f"{options.kind.name} takes no profile from here, so --seccomp={wish.name} has no effect:"
        f" {_engines(options)}",
        _by_name(),
    )


def _engines(options: Options) -> str:
    return (
        f"servers have {options.kind.name}'s own profile, which may allow vsock and io_uring, and"
        " lets one server fill the machine's table of neighbours"
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
