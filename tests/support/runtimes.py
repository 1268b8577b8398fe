"""The daemon's settings of an engine of the tests: the runtimes that this machine has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

RUNSC = Path(__file__).with_name("runsc")
# The platform that needs no KVM, so that it runs where the machine is a guest itself.
ARGUMENTS = ("--platform=ptrace",)


def daemon_json() -> str:
    """Return what `daemon.json` has to say: runsc, if it is installed."""
    if shutil.which("runsc") is None:
        return "{}"
    return json.dumps({"runtimes": {"runsc": {"path": str(RUNSC), "runtimeArgs": ARGUMENTS}}})
