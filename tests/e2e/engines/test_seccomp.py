"""The profile of system calls in real containers: what it keeps out, and what still works."""

from __future__ import annotations

import errno
import json
import platform
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest
from tornado.ioloop import IOLoop

from tests.support.engines.contract import DEADLINE, stub_command
from tests.support.engines.docker import RealEngine
from tests.support.requirements import missing
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.networks.reach import opened
from tmpnb.spawners.docker.spawner import DockerSpawner

pytestmark = [
    pytest.mark.docker,
    pytest.mark.gen_test(timeout=240),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="calls have other numbers there"),
]

PYTHON = "python3"
HAS_VSOCK = Path("/dev/vsock").exists()  # on this machine, and allowed
OF_IO_URING = Path("/proc/sys/kernel/io_uring_disabled")
HAS_IO_URING = OF_IO_URING.exists() and OF_IO_URING.read_text().strip() == "0"
REFUSED = {errno.EPERM, errno.ENOSYS}

# Each call is made once and comes to nothing: a socket is closed as it was opened.
CALLS = """
import ctypes, errno, json, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
room, size = ctypes.create_string_buffer(4096), ctypes.c_size_t
said = {}
def call(name, number, *arguments):
    ctypes.set_errno(0)
    wide = [size(a & (2**64 - 1)) if isinstance(a, int) else a for a in arguments]
    found = libc.syscall(ctypes.c_long(number), *wide)
    said[name] = ctypes.get_errno() if found < 0 else 0
    return found
def opens(name, number, *arguments):
    found = call(name, number, *arguments)
    if found >= 0:
        os.close(found)
SOCKET = 41
STREAM, DATAGRAM, RAW, SEQUENCE = 1, 2, 3, 5
for name, family, kind, protocol in (
    ("vsock", 40, STREAM, 0), ("vsock datagrams", 40, DATAGRAM, 0), ("alg", 38, SEQUENCE, 0),
    ("packet", 17, DATAGRAM, 0), ("packet raw", 17, RAW, 0), ("key", 15, RAW, 2),
    ("rds", 21, SEQUENCE, 0), ("tipc", 30, STREAM, 0), ("bluetooth", 31, RAW, 0),
    ("can", 29, RAW, 1), ("xdp", 44, RAW, 0), ("smc", 43, STREAM, 0), ("kcm", 41, DATAGRAM, 0),
    ("ax25", 3, DATAGRAM, 0), ("x25", 9, SEQUENCE, 0), ("phonet", 35, DATAGRAM, 0),
    ("sctp", 2, STREAM, 132), ("sctp sequence", 2, SEQUENCE, 0), ("dccp", 2, 6, 0),
    ("mptcp", 2, STREAM, 262), ("udplite", 10, DATAGRAM, 136),
    ("vsock and more", 40 | 1 << 32, STREAM, 0),  # the kernel looks at 32 bits
    ("sctp and more", 2, STREAM, 132 | 1 << 40), ("netfilter", 16, RAW, 12),
):
    opens(name, SOCKET, family, kind, protocol)
opens("io_uring", 425, 1, room)
call("io_uring_enter", 426, 0, 0, 0, 0, 0, 0)
call("io_uring_register", 427, 0, 0, 0, 0)
call("io_setup", 206, 1, ctypes.create_string_buffer(8))
opens("mq_open", 240, b"tmpnb", 0o102, 0o600, 0)
opens("bpf", 321, 0, room, 72)
opens("userfaultfd", 323, 1)
opens("perf_event_open", 298, room, 0, -1, -1, 0)
SOCKETS_OWN, PAST_ROUTES, MESSAGE_PAST_ROUTES, ABOVE = 1, 5, 4, 1 << 32
call("sendto past routes", 44, -1, room, 1, MESSAGE_PAST_ROUTES, room, 16)
call("sendto past routes and more", 44, -1, room, 1, MESSAGE_PAST_ROUTES | 0x40 | ABOVE, room, 16)
call("sendmsg past routes", 46, -1, room, MESSAGE_PAST_ROUTES)
call("sendmmsg past routes", 307, -1, room, 1, MESSAGE_PAST_ROUTES)
call("socket past routes", 54, -1, SOCKETS_OWN, PAST_ROUTES, room, 4)
call("socket past routes and more", 54, -1, SOCKETS_OWN | ABOVE, PAST_ROUTES | ABOVE, room, 4)
call("keyctl", 250, 0, -3, 0)
call("add_key", 248, b"user", b"a", b"b", 1, -3)
call("request_key", 249, b"user", b"a", None, -3)
opens("fanotify_init", 300, 0, 0)
opens("open_by_handle_at", 304, -1, room, 0)
opens("memfd_secret", 447, 0)
opens("fsopen", 430, b"tmpfs", 0)
opens("open_tree", 428, -100, b"/", 0)
call("setns", 308, -1, 0)
call("mount", 165, b"none", b"/tmp", b"tmpfs", 0, None)
call("unshare user", 272, 0x10000000)
call("clone3", 435, room, 0)
call("modify_ldt", 154, 0, room, 16)
call("personality", 135, 0x0400000)
call("quotactl", 179, 0, None, 0, room)
call("swapon", 167, b"/none", 0)
call("vhangup", 153)
# The calls of other architectures have other numbers; whoever makes one is ended.
def apart(name, job):
    child = os.fork()
    if child == 0:
        os._exit(0 if job() > 0 else 1)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said[name] = errno.ENOSYS if ended < 0 else ended  # 1 is EPERM
apart("x32 getpid", lambda: call("", 0x40000000 | 39))
def of_32_bits():
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3")  # mov eax, 20 (getpid); int 0x80; ret
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
apart("i386 getpid", of_32_bits)
child = call("clone user", 56, 0x10000000 | 17, None, None, None, None)
if child == 0:
    os._exit(0)
if child > 0:
    os.waitpid(child, 0)
print(json.dumps(said))
"""

WORK = """
import asyncio, ctypes, ctypes.util, json, mmap, multiprocessing, os, pty, resource, select, shutil
import signal, socket, sqlite3, struct, subprocess, sys, tempfile, termios, threading, time
from multiprocessing import shared_memory

def square(number):
    return number * number

def run(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout

def processes():
    for way in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(way).Pool(2) as pool:
            assert pool.map(square, [1, 2, 3]) == [1, 4, 9], way

def shared():
    one = shared_memory.SharedMemory(create=True, size=4096)
    one.buf[0] = 7
    one.close()
    one.unlink()
    with multiprocessing.Lock(), multiprocessing.Semaphore(1):
        pass

def threads():
    found = []
    some = [threading.Thread(target=found.append, args=(n,)) for n in range(20)]
    [one.start() for one in some]
    [one.join() for one in some]
    assert sorted(found) == list(range(20))

def loop():
    async def talk():
        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        place = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"hello\\n")
        assert await reader.readline() == b"hello\\n"
        writer.close()
        server.close()
        child = await asyncio.create_subprocess_exec("true")
        assert await child.wait() == 0
    asyncio.run(talk())

def sockets():
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC).close()
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP).close()
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_UDP).close()
    with socket.socket() as one, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 16)
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(("127.0.0.1", 0))
        one.listen()
        with socket.create_connection(one.getsockname()) as client:
            client.send(b"x", socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            client.sendmsg([b"y", b"z"], [], socket.MSG_NOSIGNAL)
            assert one.accept()[0].recv(3, socket.MSG_WAITALL) == b"xyz"
    a, b = socket.socketpair()
    socket.send_fds(a, [b"x"], [0])
    socket.recv_fds(b, 1, 1)
    assert socket.if_nameindex()
    assert socket.getaddrinfo("localhost", 80)
    libc, first = ctypes.CDLL(None), ctypes.c_void_p()
    assert libc.getifaddrs(ctypes.byref(first)) == 0  # which asks by netlink

def memory():
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        with mmap.mmap(file.fileno(), 0) as view:
            view[:4] = b"data"
            view.flush()
    os.close(os.memfd_create("x"))

def files():
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "a")
        with open(path, "w") as file:
            file.write("x")
            os.posix_fallocate(file.fileno(), 0, 10)
            file.flush()
            os.fsync(file.fileno())
        os.link(path, path + "1")
        os.symlink(path, path + "2")
        os.mkfifo(path + "3")
        os.chmod(path, 0o600)
        os.utime(path)
        os.rename(path, path + "4")
        shutil.copytree(place, place + ".copy", symlinks=True, ignore=lambda *_: ["a3"])
        shutil.rmtree(place + ".copy")
        libc = ctypes.CDLL(None)
        watch = libc.inotify_init1(0)
        assert watch >= 0 and libc.inotify_add_watch(watch, place.encode(), 0x100) >= 0
        open(os.path.join(place, "new"), "w").close()
        assert select.select([watch], [], [], 5)[0]

def signals():
    got = []
    signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
    signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGALRM, lambda *_: got.append(2))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.sigtimedwait([signal.SIGUSR2], 0.2)
    assert got == [1, 2], got
    assert signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 0) is None

def terminal():
    child, ours = pty.fork()
    if child == 0:
        os.execvp("sh", ["sh", "-c", "stty size; exit 3"])
    os.read(ours, 100)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3

def database():
    with tempfile.TemporaryDirectory() as place:
        one = sqlite3.connect(os.path.join(place, "db"))
        one.execute("pragma journal_mode=wal")
        one.execute("create table t (x)")
        one.commit()
        one.close()

def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(1)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.getrandom(8)
    run("true", process_group=0)

def git():
    with tempfile.TemporaryDirectory() as place:
        me = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        run("git", "init", "-q", place)
        run("git", *me, "commit", "-q", "--allow-empty", "-m", "x", cwd=place)
        run("git", "clone", "-q", place, place + "/again")

def compiler():
    with tempfile.TemporaryDirectory() as place:
        source = "#include <stdio.h>\\nint main(void) { puts(\\"made\\"); return 0; }"
        run("gcc", "-x", "c", "-", "-o", place + "/made", input=source)
        assert run(place + "/made") == "made\\n"

def node():
    more = "new (require('worker_threads').Worker)('1', {eval: true})"
    assert run("node", "-e", more + "; require('fs').readFile('/etc/passwd', () =>"
               " console.log('read'))") == "read\\n"

def wheel():
    with tempfile.TemporaryDirectory() as place:
        import zipfile
        info = "tmpnb_probe-1.dist-info/"
        name = place + "/tmpnb_probe-1-py3-none-any.whl"
        with zipfile.ZipFile(name, "w") as made:
            made.writestr("tmpnb_probe.py", "x = 1")
            about = "Metadata-Version: 2.1\\nName: tmpnb-probe\\nVersion: 1\\n"
            made.writestr(info + "METADATA", about)
            kind = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
            made.writestr(info + "WHEEL", kind)
            made.writestr(info + "RECORD", "")
        run(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target",
            place + "/in", name)
        assert os.path.exists(place + "/in/tmpnb_probe.py")

def debugger():
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    status = os.waitpid(child, os.WUNTRACED)[1]
    assert os.WIFSTOPPED(status)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

if __name__ == "__main__":
    absent = {"git": "git", "compiler": "gcc", "node": "node", "wheel": "pip"}
    jobs = (processes, shared, threads, loop, sockets, memory, files, signals, terminal, database,
            limits, git, compiler, node, wheel, debugger)
    said = {}
    for job in jobs:
        need = absent.get(job.__name__)
        if need and not shutil.which(need):
            said[job.__name__] = "absent"
            continue
        try:
            job()
        except Exception as error:
            more = getattr(error, "stderr", "")
            said[job.__name__] = f"{type(error).__name__}: {error} {more}"
        else:
            said[job.__name__] = "works"
    print(json.dumps(said))
"""


@pytest.fixture
def engine() -> Iterator[RealEngine]:
    found = RealEngine.needed(missing)
    yield found
    found.remove_all()


class Servers:
    """Servers with one profile each, in a pool of their own."""

    def __init__(self, engine: RealEngine, io_loop: IOLoop) -> None:
        self._engine, self._io_loop = engine, io_loop
        self._spawners: list[DockerSpawner] = []

    async def start(self, name: str, **settings: Any) -> tuple[str, str]:
        """Return the pool and the container of a new one."""
        spawner = self._engine.new_spawner(name, stub_command(PYTHON), **settings)
        self._spawners.append(spawner)
        await spawner.setup()
        await spawner.start(ServerSpec("one", "/user/one/", "token"))
        wanted = listing.selection(spawner.pool_name, "one")
        (found,) = self._engine.client.containers(filters=wanted)
        return spawner.pool_name, str(found["Id"])

    def close(self) -> None:
        for spawner in self._spawners:
            self._io_loop.run_sync(spawner.close, timeout=DEADLINE)


@pytest.fixture
def servers(engine: RealEngine, io_loop: IOLoop) -> Iterator[Servers]:
    with closing(Servers(engine, io_loop)) as made:
        yield made


def said_by(client: docker.APIClient, container: str, script: str) -> Any:
    """Return the JSON that a script of Python prints in a container."""
    order = client.exec_create(container, [PYTHON, "-c", script])
    output = client.exec_start(order).decode()
    assert output.startswith("{"), output
    return json.loads(output)


UNCONFINED = {"security_opt": ["seccomp=unconfined"]}


async def test_a_server_opens_no_vsock_no_io_uring_and_nothing_else_that_it_does_not_need(
    engine: RealEngine, servers: Servers
) -> None:
    _, bare = await servers.start("bare", extra_host_config=UNCONFINED)
    _, kept = await servers.start("kept")
    without, ours = (said_by(engine.client, one, CALLS) for one in (bare, kept))
    assert {name: number for name, number in ours.items() if number not in REFUSED} == {}
    # That is the profile's work: what the kernel offers opens without it, or fails otherwise.
    kernels = {name for name, number in without.items() if number not in REFUSED}
    assert {"bpf", "keyctl", "unshare user", "vsock and more"} & kernels
    assert {name for name in ours if "past routes" in name} <= kernels
    if HAS_VSOCK:
        assert without["vsock"] == 0
    if HAS_IO_URING:
        assert without["io_uring"] == 0


async def test_what_is_tried_by_the_doctor_tells_the_profiles_apart(
    engine: RealEngine, servers: Servers
) -> None:
    opens = {}
    for name, settings in (("bare", {"extra_host_config": UNCONFINED}), ("kept", {})):
        pool, container = await servers.start(name, **settings)
        opens[name] = opened(engine.client, listing.selection(pool, "one"))
        calls = said_by(engine.client, container, CALLS)
        assert opens[name] == {one: calls[one] == 0 for one in ("vsock", "io_uring")}
    assert opens["kept"] == {"vsock": False, "io_uring": False}


@pytest.mark.parametrize("settings", [{}, {"new_privileges": True, "capabilities": "default"}])
async def test_what_notebooks_do_works_with_the_profile(
    engine: RealEngine, servers: Servers, settings: dict[str, Any], tmp_path: Path
) -> None:
    _, container = await servers.start("work", **settings)
    writes = f"open('/tmp/work.py', 'w').write({WORK!r}); print({{}})"
    said_by(engine.client, container, writes)
    order = engine.client.exec_create(container, [PYTHON, "/tmp/work.py"])  # noqa: S108 - inside
    said = json.loads(engine.client.exec_start(order))
    assert {job: how for job, how in said.items() if how not in ("works", "absent")} == {}
    missed = {job for job, how in said.items() if how == "absent"}
    assert missed <= {"git", "compiler", "node", "wheel"}


async def test_a_profile_from_a_file_and_the_engine_s_own(
    engine: RealEngine, servers: Servers, tmp_path: Path
) -> None:
    own = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}
    own.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    script = """
import json, os
try:
    os.mkdir("/tmp/made")
    print(json.dumps({"number": 0}))
except OSError as error:
    print(json.dumps({"number": error.errno}))
"""
    found = {}
    for name, wish in (("file", str(own)), ("engine", "engine"), ("tmpnb", "tmpnb")):
        _, container = await servers.start(name, seccomp=wish)
        found[name] = said_by(engine.client, container, script)["number"]
        given = engine.client.inspect_container(container)["HostConfig"]["SecurityOpt"]
        assert any(option.startswith("seccomp=") for option in given) is (name != "engine")
    assert found == {"file": errno.EXDEV, "engine": 0, "tmpnb": 0}
