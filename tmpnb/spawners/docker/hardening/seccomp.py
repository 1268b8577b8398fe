"""Which profile of seccomp servers have: ours, the engine's own, or one of the operator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker_api.kind import Kind
from tmpnb.system import untrusted_json
from tmpnb.system.files import plain_file
from tmpnb.system.files.plain_file import FileTooLargeError, NoPlainFileError
from tmpnb.system.files.plain_text import NoTextError

OURS, ENGINES = "tmpnb", "engine"
SHIPPED = Path(__file__).parent / "seccomp_profile.json"
LARGEST = 64 * 1024  # bytes of a profile; it goes to the engine with each new container


@dataclass(frozen=True, slots=True)
class Seccomp:
    """A profile that was asked for."""

    name: str = ENGINES  # or OURS, or the file it is from
    text: str = field(default="", repr=False)  # JSON on one line; "": the engine's own profile

    @property
    def options(self) -> list[str]:
        """What `security_opt` has of it."""
        return [f"seccomp={self.text}"] if self.text else []

    def on(self, kind: Kind) -> Seccomp:
        """Return what an engine of this kind can have: it, or its name without the text.

        Podman takes the text for the name of a file on its own machine, and an engine without
        seccomp starts no container that has a profile.
        """
        return replace(self, text="") if kind.podman or kind.unfiltered else self


def chosen(wish: str) -> Seccomp:
    """Return what `--seccomp` asks for; a file is read now and never again.

    Raises:
        ConfigError: There is no such profile; the message says why.
    """
    name = wish.strip()
    if not name:
        raise ConfigError(f"--seccomp is empty; write {OURS}, {ENGINES}, or the name of a file")
    if name == ENGINES:
        return Seccomp()
    return Seccomp(name, _read(SHIPPED if name == OURS else Path(name).expanduser(), name))


def _read(path: Path, name: str) -> str:
    where = f"--seccomp={name}"
    try:
        content = plain_file.text(path, LARGEST).encode()
    except NoPlainFileError as error:
        raise ConfigError(f"{where}: not a file") from error
    except FileTooLargeError as error:
        raise ConfigError(f"{where}: a profile has {LARGEST // 1024} KiB at most") from error
    except NoTextError as error:
        raise ConfigError(f"{where}: {error.strerror}") from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{where}: {reason}; write {OURS}, {ENGINES}, or the name of a file"
        ) from error
    try:
        profile: Any = untrusted_json.loads(content)
    except ValueError as error:
        raise ConfigError(f"{where}: not JSON: {error}") from error
    if not isinstance(profile, dict) or not isinstance(profile.get("defaultAction"), str):
        raise ConfigError(f"{where}: no profile; one is an object with a defaultAction")
    return json.dumps(profile, separators=(",", ":"))
