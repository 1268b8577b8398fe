"""Servers in gVisor, on a real engine: visits, walls and bounds once more, with --runtime=runsc.

What is promised of the usual runtime is told by the tests of other files, some of which run here
again. `runsc` hides from its servers which capabilities were taken away, so that is asked of them
by what they try.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.engines.gvisor import RUNTIME, in_gvisor
from tests.e2e.engines.test_disk import (  # noqa: F401 - they run here as well
    COUNT,
    HOME,
    LIMIT,
    MB,
    TMP,
    Starter,
    filled,
    inside,
    started,
    test_a_server_fills_its_home_and_tmp_and_nothing_on_any_disk,
    test_no_program_of_the_machine_keeps_dumps_of_a_visitor,
    test_volumes_that_an_image_declares_are_within_the_same_bound,
    test_what_is_mounted_to_disk_inside_is_read_only,
    with_volumes,
)
from tests.e2e.engines.test_docker_spawner import (  # noqa: F401 - they run here as well
    spawner_with,
    test_without_egress_servers_are_reached_from_here_and_not_from_each_other,
)
from tests.e2e.engines.test_seccomp import CALLS, Servers, said_by, servers  # noqa: F401
from tests.e2e.running_service import Service, serving
from tests.e2e.service.test_attacks import (  # noqa: F401 - it runs here as well
    test_a_file_in_a_container_gets_nothing_of_another_in_the_same_browser,
)
from tests.e2e.service.test_docker_service import (  # noqa: F401 - they run here as well
    pool_flags,
    test_idle_server_is_culled_and_its_address_says_so,
    test_killed_container_is_never_handed_out_and_is_replaced,
)
from tests.e2e.service.test_doctor import image_flags, run
from tests.e2e.service.test_load import NOTEBOOK, load
from tests.support.engines.docker import RealEngine
from tests.support.requirements import TEST_IMAGE, missing

pytestmark = [
    pytest.mark.docker,
    pytest.mark.chp,
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.xdist_group("gvisor"),
    pytest.mark.gen_test(timeout=300),
]
POWERS = """
import json, os, resource, socket
tried = {"user": os.getuid(), "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1]}
def attempt(name, action):
    try:
        action()
    except OSError as error:
        tried[name] = type(error).__name__
    else:
        tried[name] = "done"
attempt("vsock", lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close())
attempt("own", lambda: os.chown("/tmp", 0, 0))
attempt("root", lambda: os.setuid(0))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())
attempt("chroot", lambda: os.chroot("/tmp"))
attempt("write", lambda: open("/usr/mine", "w"))
attempt("kit", lambda: open("/opt/tmpnb-kit/mine", "w"))
print(json.dumps(tried))
"""


@pytest.fixture
def engine() -> Iterator[RealEngine]:
    """Return the engine of the other tests, which runs servers in gVisor."""
    made = RealEngine.needed(missing)
    with in_gvisor(made, made.remove_all):
        yield made


async def visit(service: Service, result: Path) -> None:
    """Let a visitor come, run a notebook, save it and leave."""
    status, printed, said = await load(
        service.url, result, "--visitors=1", "--arrivals=all", f"--notebook={NOTEBOOK}"
    )
    assert status == 0, printed + service.tail()
    assert (said["served"], said["errors"]) == (1, {})
    assert {"first page", "server", "open", "first cell", "save"} <= said["steps"].keys()


async def test_a_visitor_in_gvisor_works_within_all_bounds(
    engine: RealEngine, tmp_path: Path
) -> None:
    flags = pool_flags(engine, pool_size=1, disk_limit=LIMIT)
    async with serving(*flags) as service:
        await service.until_ready(1)
        assert "Starting gVisor" in inside(engine, "dmesg")
        listing = f"import os; print(os.listdir({HOME!r}))"  # `ls` may know newer calls than runsc
        assert "demo.ipynb" in inside(engine, "python3", "-c", listing), service.tail()
        tried = json.loads(inside(engine, "python3", "-c", POWERS))
        assert tried.pop("vsock") == "OSError", "gVisor knows no such address family"
        assert tried == {
            "user": 1000,
            "files": 4096,
            **dict.fromkeys(("own", "root", "raw", "chroot", "write", "kit"), "PermissionError"),
        }
        await visit(service, tmp_path / "visit.json")
        await service.until(lambda s: s["claims_total"] == s["available"] == 1, "has left")
        [container] = engine.containers()
        used = engine.client.stats(container["Id"], stream=False)
        assert used["cpu_stats"]["cpu_usage"]["total_usage"] > 0, "for --cull-burning"
        assert used["memory_stats"]["limit"] == 512 * MB
        found = filled(engine, LIMIT + 4 * MB, HOME, TMP)
        assert {why for _, why in found.values()} == {"No space left on device"}
        assert LIMIT // 2 < sum(written for written, _ in found.values()) <= LIMIT


async def test_files_in_gvisor_are_not_bounded_in_number(
    engine: RealEngine,
    started: Starter,  # noqa: F811 - the fixture
) -> None:
    await started()
    said = json.loads(inside(engine, "python3", "-c", COUNT, "3000", HOME, TMP))
    assert said == {HOME: [3000, ""], TMP: [3000, ""]}, "docs/security.md says so"


async def test_no_profile_holds_in_gvisor_and_what_opens_is_of_its_own_kernel(
    engine: RealEngine,
    servers: Servers,  # noqa: F811 - the fixture
) -> None:
    _, container = await servers.start("calls")
    said = said_by(engine.client, container, CALLS)
    opened = {name for name, number in said.items() if number == 0}
    assert "unshare user" in opened, "docs/security.md says so"
    assert opened <= {"unshare user", "io_uring", "io_setup", "mq_open"}


async def test_what_a_start_in_gvisor_costs_is_told(
    engine: RealEngine, record_property: Callable[[str, object], None]
) -> None:
    for runtime in ("runc", RUNTIME):
        flags = [f"--runtime={runtime}", *image_flags(engine)]
        answer = await run("check-image", TEST_IMAGE, *flags)
        assert answer.code == 0, answer.text
        [line] = [one for one in answer.of("ok") if one.startswith("ok   start ")]
        record_property("told", f"{runtime}: {line.partition('start')[2].strip()}")
