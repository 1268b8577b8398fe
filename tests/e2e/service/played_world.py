"""What lies outside, played by hosts in a network namespace: the internet, a cloud, a company.

They hang on the engine's own namespace by a cable that leads nowhere else. That is seen
before anything may send: nothing ever leaves the two namespaces.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.support.network_namespace import Network
from tests.support.requirements import missing
from tmpnb.spawners.egress import rules

PORT = 80
OUTSIDE = {
    "the internet": "203.0.113.5",
    "the metadata service of a cloud": "169.254.169.254",
    "a private range": "10.1.2.3",
    "another": "172.30.7.7",
    "a third": "192.168.77.7",
    "a carrier's": "100.64.7.7",
    "a public address": "192.88.99.7",  # of a range that was given up, so nobody's
}
PUBLIC = OUTSIDE["a public address"]
RESOLVER = OUTSIDE["a private range"]  # a name server as well, by which every name is `PUBLIC`
MACHINE, CABLE = "192.0.2.1", "192.0.2.2"  # the two ends
OURS = ("lo", "docker0", "cable0")  # interfaces of the engine's namespace, besides bridges
BRIDGES = ("br-", "veth", *rules.BRIDGES)
SERVE = f"""
import socket, threading
def names():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind(("{RESOLVER}", 53))
        while True:
            said, who = asked.recvfrom(512)
            question = said[12 : said.index(0, 12) + 5]
            head = said[:2] + bytes([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])
            answer = bytes([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4])
            asked.sendto(head + question + answer + socket.inet_aton("{PUBLIC}"), who)
threading.Thread(target=names, daemon=True).start()
listening = socket.create_server(("0.0.0.0", {PORT}))
print("ready", flush=True)
while True:
    listening.accept()[0].close()
"""


@contextmanager
def around(machine: Network) -> Iterator[list[str]]:
    """Give a machine an outside; yield its places, host:port, all of which answer."""
    for program in ("ip", "nsenter"):
        if shutil.which(program) is None:
            missing(f"{program}: apt-get install iproute2 util-linux")
    world = Network()
    try:
        with machine.inside():
            _ip("link add cable0 type veth peer name cable1")
            _ip(f"link set cable1 netns {world.path}")
            _ip(f"address add {MACHINE}/30 dev cable0")
            _ip("link set cable0 up")
            _ip(f"route add default via {CABLE} dev cable0 onlink")
        with world.inside():
            _ip(f"address add {CABLE}/30 dev cable1")
            _ip("link set cable1 up")
            for address in OUTSIDE.values():
                _ip(f"address add {address}/32 dev lo")
            hosts = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE)  # noqa: S603 - our own
        try:
            assert hosts.stdout is not None
            assert hosts.stdout.readline() == b"ready\n"
            with machine.inside():
                _see_that_nothing_leaves()
            yield [f"{address}:{PORT}" for address in OUTSIDE.values()]
        finally:
            hosts.kill()
            hosts.communicate()
            with machine.inside(), suppress(subprocess.CalledProcessError):
                _ip("link delete cable0")
    finally:
        world.close()


def _see_that_nothing_leaves() -> None:
    """Fail unless every place outside is one of the played hosts."""
    for link in json.loads(_ip("-json link show")):
        name = str(link["ifname"])
        assert name in OURS or name.startswith(BRIDGES), f"an interface of whom: {name}"
    for what, address in OUTSIDE.items():
        [route] = json.loads(_ip(f"-json route get {address}"))
        assert (route["dev"], route["gateway"]) == ("cable0", CABLE), what
    for address in OUTSIDE.values():
        socket.create_connection((address, PORT), timeout=10).close()


def _ip(words: str) -> Any:
    command = ["ip", *words.split()]
    done = subprocess.run(command, check=True, capture_output=True, timeout=20)  # noqa: S603 - our own
    return done.stdout
