"""The two commands: all checks in their order, or those of one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tmpnb.commands.doctor import combinations, origin, ports, proxy, shared, state, tables, trial
from tmpnb.commands.doctor.report import Report
from tmpnb.errors import ConfigError
from tmpnb.proxy.choice import is_managed
from tmpnb.settings.service import Service
from tmpnb.spawners.finding import skip

QUICK = 60.0  # seconds for one finding that needs no server
SETUP = 3700.0  # seconds to set up the engine, which may have to fetch the image
ANSWERS = 300.0  # seconds for all questions to a server that has started, and its removal

Say = Callable[[str], None]


async def doctor(
    service: Service,
    say: Say,
    *,
    without_server: bool = False,
    places: Sequence[str] | None = None,
) -> bool:
    """Check the whole setup; return whether nothing failed.

    Args:
        service: The settings. Its spawner is closed by the caller.
        say: Called with each line at once.
        without_server: Start no server.
        places: Try what a server reaches, and these, host:port. None: try nothing.

    Raises:
        ConfigError: A setting cannot be.
    """
    trial.on_trial(service.spawner)
    examination, report = service.spawner.examination(), Report(say)
    managed = is_managed(service.proxy, service.secrets)
    engine = await report.collect("engine", examination.findings(service.policy.capacity), QUICK)
    await report.collect("tables", tables.findings(examination, service.policy.capacity), QUICK)
    await report.collect("shared", shared.findings(examination, service.policy.capacity), QUICK)
    await report.collect("settings", combinations.findings(service), QUICK)
    await report.collect("state", state.findings(service), QUICK)
    await report.collect("origin", origin.findings(service), QUICK)
    await report.collect("proxy", proxy.findings(service), QUICK)
    await report.collect("ports", ports.findings(service, managed=managed), QUICK)
    blocker = next((finding for finding in engine if finding.blocks), None)
    if without_server:
        say(skip("start", "no server is started because of --skip-image").line())
    elif blocker is not None:
        for finding in trial.skipped(f"needs the {blocker.topic}"):
            say(finding.line())
    else:
        tried = trial.findings(service, examination, places)
        await report.collect("start", tried, _patience(service))
    return not report.failed


async def check_image(service: Service, image: str, say: Say) -> bool:
    """Check an image with one server of it; return whether nothing failed.

    Args:
        service: The settings. Its spawner is closed by the caller.
        image: Takes the place of the one that is set.
        say: Called with each line at once.

    Raises:
        ConfigError: The engine has no images, or a setting cannot be.
    """
    spawner = service.spawner
    trial.on_trial(spawner)
    spawner.image = image
    examination, report = spawner.examination(), Report(say)
    if not examination.has_images:
        raise ConfigError(
            f"check-image {image}: this spawner has no images; use tmpnb doctor to test a server"
        )
    await report.collect("start", trial.findings(service, examination), _patience(service))
    return not report.failed


def _patience(service: Service) -> float:
    return SETUP + service.starts.timeout + ANSWERS
