"""Requests to an engine for the tests of the filter: what tmpnb does not ask, in odd spellings."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.requirements import ROOT

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CREATE = "/containers/create?name=tmpnb-a-b"
PULL = "/images/create?fromImage=quay.io%2Fa%2Fb&tag=1"
KIT = "tmpnb-kit-pool-3af093d20a84"
PROFILE = json.loads(
    (ROOT / "tmpnb/spawners/docker/hardening/seccomp_profile.json").read_text(encoding="utf-8")
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, with the headers that matter; the address without the version of the API."""

    method: str
    target: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        kind = f" {self.headers}" if self.headers != JSON else ""
        body = self.body.decode(errors="replace")
        shown = body if len(body) <= 2000 else f"{body[:1000]} … {body[-1000:]} ({len(body)})"
        return f"{self.method} {self.target}{kind} {shown}"


PLACED = {"NetworkMode": "none"}  # which a container must say where the operator names a network


def posted(target: str, body: Any, headers: dict[str, str] | None = None) -> Ask:
    text = body if isinstance(body, str) else json.dumps(body)
    return Ask("POST", target, text.encode(), JSON if headers is None else headers)


def created(text: str) -> Ask:
    return posted(CREATE, text)


def made(**settings: Any) -> Ask:
    """Return the creation of a container with more of its own."""
    return posted(CREATE, {"Image": "none", "HostConfig": PLACED} | settings)


def of_host(**settings: Any) -> Ask:
    """Return the creation of a container with these settings of the machine."""
    return made(HostConfig=PLACED | settings)


def raw_host(text: str) -> Ask:
    return created(f'{{"Image": "none", "HostConfig": {{"NetworkMode": "none", {text}}}}}')


SIZED = {"Driver": "default", "Config": [{"Subnet": "198.18.0.0/28"}]}


def network(**settings: Any) -> Ask:
    whole = {"Name": "tmpnb-a-b", "Driver": "bridge", "IPAM": SIZED}
    return posted("/networks/create", whole | settings)


def subnet(text: Any, **more: Any) -> Ask:
    return network(IPAM={"Driver": "default", "Config": [{"Subnet": text, **more}]})


def pulled(image: str, more: str = "") -> Ask:
    return Ask("POST", f"/images/create?fromImage={image}&tag=1{more}")


def login(target: str = PULL, method: str = "POST", **settings: Any) -> Ask:
    """Return a pull, or another request, with a login at a registry."""
    told = base64.urlsafe_b64encode(json.dumps(settings).encode()).decode()
    return Ask(method, target, headers={"X-Registry-Auth": told})


def seccomp(profile: Any) -> str:
    return "seccomp=" + (profile if isinstance(profile, str) else json.dumps(profile))


DISK = {"Type": "none", "Options": {"o": "bind", "device": "/"}}
OWN_VOLUME = {"Type": "volume", "Source": KIT, "Target": "/opt/tmpnb-kit"}
NAMED = {**PROFILE["syscalls"][0], "names": ["read", "write", "bpf"]}
DOUBLED = json.dumps(PROFILE).replace("{", '{"defaultAction": "SCMP_ACT_ALLOW", ', 1)

# Each option of a creation that gives power over the machine.
GRASPS = [
    of_host(Privileged=True),
    of_host(Binds=["/:/mnt"]),
    of_host(Binds=["state:/mnt"]),
    of_host(CapAdd=["SYS_ADMIN"]),
    of_host(CapAdd=["ALL"]),
    of_host(Capabilities=["CAP_SYS_ADMIN"]),
    of_host(Devices=[{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda"}]),
    of_host(DeviceCgroupRules=["a *:* rwm"]),
    of_host(DeviceRequests=[{"Count": -1, "Capabilities": [["gpu"]]}]),
    of_host(BlkioDeviceWriteBps=[{"Path": "/dev/sda", "Rate": 1}]),
    of_host(PidMode="host"),
    of_host(PidMode="container:abc"),
    of_host(IpcMode="host"),
    of_host(IpcMode="shareable"),
    of_host(IpcMode="container:abc"),
    of_host(UTSMode="host"),
    of_host(UsernsMode="host"),
    of_host(CgroupnsMode="host"),
    of_host(Cgroup="container:abc"),
    of_host(CgroupParent="/"),
    of_host(NetworkMode="host"),
    of_host(NetworkMode="container:abc"),
    of_host(NetworkMode="ns:/proc/1/ns/net"),
    of_host(NetworkMode="Host "),
    of_host(NetworkMode="0f" * 32),  # the host's own network, by its id
    of_host(NetworkMode=""),
    of_host(VolumesFrom=["abc"]),
    of_host(VolumeDriver="nfs"),
    of_host(Links=["/db:db"]),
    of_host(Sysctls={"kernel.shm_rmid_forced": "1"}),
    of_host(SecurityOpt=["seccomp=unconfined"]),
    of_host(SecurityOpt=["seccomp:unconfined"]),
    of_host(SecurityOpt=["apparmor=unconfined"]),
    of_host(SecurityOpt=["label=disable"]),
    of_host(SecurityOpt=["label:type:spc_t"]),
    of_host(SecurityOpt=["systempaths=unconfined"]),
    of_host(SecurityOpt=["writable-cgroups=true"]),
    of_host(SecurityOpt=["no-new-privileges:false"]),
    of_host(SecurityOpt=["no-new-privileges=false"]),
    of_host(SecurityOpt=["credentialspec=file://a"]),
    of_host(SecurityOpt=[seccomp({"defaultAction": "SCMP_ACT_ALLOW"})]),
    of_host(SecurityOpt=[seccomp({**PROFILE, "defaultAction": "SCMP_ACT_ALLOW"})]),
    of_host(SecurityOpt=[seccomp({**PROFILE, "syscalls": [*PROFILE["syscalls"], NAMED]})]),
    of_host(SecurityOpt=[seccomp({**PROFILE, "syscalls": [NAMED, PROFILE["syscalls"][1]]})]),
    of_host(SecurityOpt=[seccomp({**PROFILE, "DefaultAction": "SCMP_ACT_ALLOW"})]),
    of_host(SecurityOpt=[seccomp({**PROFILE, "flags": []})]),
    of_host(SecurityOpt=[seccomp(DOUBLED)]),
    of_host(SecurityOpt=[seccomp(json.dumps(PROFILE) + " ")[:-2]]),
    of_host(SecurityOpt=[seccomp("")]),
    of_host(SecurityOpt=[f" {seccomp(PROFILE)}"]),
    of_host(MaskedPaths=[]),
    of_host(ReadonlyPaths=[]),
    of_host(Runtime="/mnt/own"),
    raw_host(r'"Runtime": "\/mnt\/own"'),
    raw_host(r'"Runtime": "\u002fmnt\u002fown"'),
    of_host(Runtime="../own"),
    of_host(InitPath="/mnt/own"),
    of_host(Isolation="hyperv"),
    of_host(OomKillDisable=True),
    of_host(OomScoreAdj=-1000),
    of_host(OomScoreAdj=-1),
    of_host(CpuRealtimeRuntime=950000),
    of_host(CPURealtimeRuntime=950000),
    of_host(KernelMemory=1),
    of_host(PidsLimit=-1),
    of_host(PidsLimit=0),
    of_host(Memory=-1),
    raw_host('"Memory": 1e30'),
    raw_host('"Memory": 0x10'),
    of_host(ShmSize=2**50),
    of_host(Ulimits=[{"Name": "rtprio", "Soft": 99, "Hard": 99}]),
    of_host(Ulimits=[{"Name": "nice", "Soft": 40, "Hard": 40}]),
    of_host(PublishAllPorts=True),
    of_host(PortBindings={"8888/tcp": [{"HostIp": "", "HostPort": ""}]}),
    of_host(PortBindings={"8888/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]}),  # noqa: S104 - refused
    of_host(PortBindings={"8888/tcp": [{"HostIp": "::", "HostPort": ""}]}),
    of_host(PortBindings={"8888/tcp": [{"HostIp": "127.0.0.1", "HostPort": "53"}]}),
    of_host(PortBindings={"8888/tcp": [{"HostPort": "22"}]}),
    of_host(PortBindings={"8888/tcp": []}),  # newer engines put 0.0.0.0 there
    of_host(PortBindings={"8888/tcp": [{"HostIp": "127.0.0.1"}], "8000/tcp": []}),
    of_host(PortBindings={"8888/tcp": None}),
    of_host(PortBindings={"8888/tcp": [{}]}),
    of_host(PortBindings={"8888/tcp": [None]}),
    of_host(PortBindings=None),
    of_host(StorageOpt={"size": "1G", "dm.basesize": "1G"}),
    of_host(RestartPolicy={"Name": "always", "X": 1}),
    of_host(Annotations={"run.oci.hooks": "x"}),
    of_host(ContainerIDFile="/etc/cron.d/x"),
    of_host(AutoRemove=True),
    *(
        of_host(LogConfig={"Type": kind, "Config": config})
        for kind, config in {
            "gelf": {"gelf-address": "udp://127.0.0.1:12201"},
            "syslog": {"syslog-address": "tcp://127.0.0.1:514"},
            "fluentd": {"fluentd-address": "127.0.0.1:24224"},
            "splunk": {"splunk-url": "http://127.0.0.1:8088", "splunk-token": "x"},
            "awslogs": {"awslogs-endpoint": "http://169.254.169.254"},
            "gcplogs": {},
            "journald": {},
            "etwlogs": {},
            "logentries": {"logentries-token": "x"},
            "some/plugin:latest": {},
            "JSON-FILE": {},
            "json-file ": {},
        }.items()
    ),
    of_host(LogConfig={"Type": "json-file", "Config": {"env": "SECRET"}}),
    of_host(LogConfig={"Type": "json-file", "Config": {"gelf-address": "udp://127.0.0.1:1"}}),
    raw_host(r'"LogConfig": {"Type": "gel\u0066"}'),
    raw_host('"LogConfig": {"Type": "json-file", "type": "gelf"}'),
    raw_host('"LogConfig": {"Type": "json-file"}, "logconfig": {"Type": "gelf"}'),
]

# Mounts: the machine's files, other programs' volumes, the kernel's places.
MOUNTS = [
    of_host(Mounts=[{"Type": "bind", "Source": "/", "Target": "/mnt"}]),
    of_host(Mounts=[{"Type": "Bind", "Source": "/", "Target": "/mnt"}]),
    of_host(Mounts=[{"Type": "npipe", "Source": "a", "Target": "/mnt"}]),
    of_host(Mounts=[{"Type": "cluster", "Source": "a", "Target": "/mnt"}]),
    of_host(Mounts=[{"Type": "image", "Source": "a", "Target": "/mnt"}]),
    of_host(Mounts=[{"Source": KIT, "Target": "/mnt"}]),
    of_host(Mounts=[{**OWN_VOLUME, "VolumeOptions": {"DriverConfig": DISK}}]),
    of_host(Mounts=[{**OWN_VOLUME, "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}}]),
    of_host(Mounts=[{**OWN_VOLUME, "VolumeOptions": {"Subpath": "../.."}}]),
    of_host(Mounts=[{**OWN_VOLUME, "BindOptions": {"Propagation": "rshared"}}]),
    of_host(Mounts=[{**OWN_VOLUME, "Source": "/"}]),
    of_host(Mounts=[{**OWN_VOLUME, "Source": "tmpnb_state"}]),
    of_host(Mounts=[{**OWN_VOLUME, "Source": "tmpnb-kit-a_state"}]),
    of_host(Mounts=[{**OWN_VOLUME, "Source": "tmpnb-shared-a_engine"}]),
    of_host(Mounts=[{**OWN_VOLUME, "Source": "database"}]),
    of_host(Mounts=[{**OWN_VOLUME, "Source": f"{KIT}/../../.."}]),
    of_host(Mounts=[{**OWN_VOLUME, "Source": f"../{KIT}"}]),
    of_host(Mounts=[{**OWN_VOLUME, "Target": "/proc/sys"}]),
    of_host(Mounts=[{**OWN_VOLUME, "Target": "/"}]),
    of_host(Mounts=[{"Type": "tmpfs", "Target": "/a", "TmpfsOptions": {"Options": [["suid"]]}}]),
    of_host(Mounts=[{"Type": "tmpfs", "Target": "/a", "Source": "/etc"}]),
    of_host(Tmpfs={"/proc": ""}),
    of_host(Tmpfs={"/a/../sys": ""}),
    of_host(Tmpfs={"/sys/fs/cgroup": ""}),
    of_host(Tmpfs={"/dev": ""}),
    of_host(Tmpfs={"//proc": ""}),
    of_host(Tmpfs={"/a": "suid"}),
    of_host(Tmpfs={"/a": "rw,dev"}),
    of_host(Tmpfs={"/a": "mode=4777"}),
    of_host(Tmpfs={"a": ""}),
    created(
        '{"Image": "none", "HostConfig": {"Mounts": [{"Type"\n:\n"bind", "Source": "/",'
        ' "Target": "/m"}]}}'
    ),
    raw_host(r'"Mounts": [{"Type": "bin\u0064", "Source": "/", "Target": "/m"}]'),
    raw_host('"Mounts": [{"Type": "tmpfs", "type": "bind", "Source": "/", "Target": "/m"}]'),
    raw_host('"Mounts": [{"Type": "tmpfs", "Type": "bind", "Source": "/", "Target": "/m"}]'),
]

# The engine does not mind how a key is written, takes the last of two, and reads the first value.
SPELLINGS = [
    created('{"Image": "none", "hostconfig": {"PRIVILEGED": true}}'),
    created(
        '{"Image": "none", "HostConfig": {"NetworkMode": "none"}'
        ', "hostconfig": {"Privileged": true}}'
    ),
    created(
        '{"Image": "none", "HostConfig": {"NetworkMode": "none"}'
        ', "HostConfig": {"Privileged": true}}'
    ),
    created(
        '{"Image": "none", "HostConfig": {"NetworkMode": "none"}'
        ', "Host\\u0043onfig": {"Privileged": true}}'
    ),
    created('{"Image": "none", "Host\\u0043onfig": {}}'),
    created('{"Image": "none", "HostConfig": {"privileged": true}}'),
    created('{"Image": "none", "HostConfig": {"Pri\\u0076ileged": true}}'),
    created('{"Image": "none", "HostConfig": {"\\u0050rivileged": true}}'),
    created('{"Image": "none", "HostConfig": {"Bind\\u017f": ["/:/mnt"]}}'),
    created('{"Image": "none", "HostConfig": {"Bind\u017f": ["/:/mnt"]}}'),
    created('{"Image": "none", "HostConfig": {"Networ\u212aMode": "host"}}'),
    created('{"Image": "none", "HostConfig": {"Networ\\u212aMode": "host"}}'),
    created('{"Image": "none", "HostConfig": {"Privileged": 1}}'),
    created('{"Image": "none", "HostConfig": {"Privileged": null}}'),
    created(
        '{"Image": "none", "HostConfig": {"NetworkMode": "none"}'
        '} {"HostConfig": {"Privileged": true}}'
    ),
    created('{"Image": "none", "HostConfig": {"NetworkMode": "none"}}{'),
    created('{"Image": "none", "HostConfig": {"NetworkMode": "none"}}\x00'),
    created('\ufeff{"Image": "none", "HostConfig": {"NetworkMode": "none"}}'),
    created('[{"Image": "none", "HostConfig": {"NetworkMode": "none"}}]'),
    created('{"Image": "none", "HostConfig": [{"Privileged": true}]}'),
    created('{"Image": "none", "HostConfig": {"NetworkMode": "none"},}'),
    created("{'Image': 'none', 'HostConfig': {}}"),
    created('{"Image": "none", /* */ "HostConfig": {"NetworkMode": "none"}}'),
    created('{"Image": "none", "HostConfig": ' + '{"a":' * 5000 + "1" + "}" * 5001),
    created("[" * 50_000),
    created("null"),
    created(""),
    created('{"Image": "none"}'),
    created('{"Image": "none", "HostConfig": {"NetworkMode": "none"}, "Env": ["A=\\ud83d"]}'),
    created('{"Image": "none", "HostConfig": {"NetworkMode": "none"}, "Env": ["A=\\u0000"]}'),
    created('{"Image": "none", "HostConfig": {"NetworkMode": "none"}, "Env": ["A=\n"]}'),
    made(Memory=-1),
    made(CpuShares=1),
    made(VolumeDriver="nfs"),
    made(Volumes={"/a": {}}),
    made(Healthcheck={"Test": ["NONE"]}),
    made(OnBuild=["x"]),
    made(MacAddress="02:42:ac:11:00:02"),
    made(Image="../../etc"),
    made(Image="http://127.0.0.1/a"),
    made(Labels=["a=b"]),
    made(NetworkingConfig={"EndpointsConfig": {"host": {}}}),
    made(NetworkingConfig={"EndpointsConfig": {"tmpnb-a": {"IPAddress": "198.18.0.1"}}}),
    made(NetworkingConfig={"EndpointsConfig": {"tmpnb-a": {"DriverOpts": {"a": "b"}}}}),
    made(NetworkingConfig={"EndpointsConfig": {"tmpnb-a": {"Links": ["db"]}}}),
    posted("/containers/create", {"Image": "none", "HostConfig": PLACED}),
    posted("/containers/create?name=database", {"Image": "none", "HostConfig": PLACED}),
    posted(f"{CREATE}&name=x", {"Image": "none", "HostConfig": PLACED}),
    posted(f"{CREATE}&platform=x", {"Image": "none", "HostConfig": PLACED}),
    posted(CREATE, {"Image": "none", "HostConfig": PLACED}, FORM),
    posted(CREATE, {"Image": "none", "HostConfig": PLACED}, {}),
    posted(CREATE, {"Image": "none", "HostConfig": PLACED}, {"Content-Type": "text/json"}),
    posted(CREATE, {"Image": "none", "HostConfig": PLACED}, {**JSON, "Content-Encoding": "gzip"}),
    *(
        posted(CREATE, {"Image": "none", "HostConfig": PLACED}, JSON | {name: value})
        for name, value in {
            "Connection": "Upgrade",
            "Cookie": "a=b",
            "TE": "trailers",
            "Trailer": "X",
            "Range": "bytes=0-",
            "X-HTTP-Method-Override": "PUT",
            "X-Registry-Config": "e30=",
            "X-Registry-Auth": "e30=",
            "X-Forwarded-For": "127.0.0.1",
            "Authorization": "Basic YTph",
            "Accept": "application/vnd.docker.multiplexed-stream",
        }.items()
    ),
]

# The engine itself fetches, and asks whom it is told to.
FETCHES = [
    Ask("POST", "/images/create?fromSrc=http%3A%2F%2F127.0.0.1%2Fa&repo=a"),
    Ask("POST", "/images/create?fromSrc=-&repo=a"),
    Ask("POST", f"{PULL}&fromSrc=http://127.0.0.1/"),
    Ask("POST", f"{PULL}&fromSrc="),
    Ask("POST", f"{PULL}&FROMSRC=-"),
    Ask("POST", f"{PULL}&%66romSrc=-"),
    Ask("POST", f"{PULL}&fromImage=127.0.0.1%2Fa"),
    Ask("POST", f"{PULL}&repo=a"),
    Ask("POST", f"{PULL}&changes=USER%20root"),
    Ask("POST", f"{PULL}&message=a"),
    Ask("POST", f"{PULL};fromSrc=-"),
    Ask("POST", f"{PULL}&"),
    Ask("POST", "/images/create?fromImage=quay.io%2Fa%2Fb"),  # that would be all tags
    Ask("POST", "/images/create?fromImage=quay.io%2Fa%2Fb&tag="),
    Ask("POST", "/images/create"),
    Ask("POST", PULL, b"fromSrc=http://127.0.0.1/", FORM),
    Ask("POST", PULL, b"fromSrc=http://127.0.0.1/"),
    Ask("POST", PULL, b"{}", JSON),
    pulled("127.0.0.1/a"),
    pulled("127.0.0.1:5000/a"),
    pulled("127.1/a"),
    pulled("2130706433:80/a"),
    pulled("0x7f.0.0.1/a"),
    pulled("0177.0.0.1/a"),
    pulled("%5B::1%5D:5000/a"),
    pulled("[::1]:5000/a"),
    pulled("::1/a"),
    pulled("localhost/a"),
    pulled("localhost:5000/a"),
    pulled("LOCALHOST/a"),
    pulled("localhost./a"),
    pulled("a.localhost/a"),
    pulled("Database/a"),
    pulled("database:5432/a"),
    pulled("169.254.169.254/a"),
    pulled("metadata.google.internal/a"),
    pulled("127.0.0.1%2Fa"),
    pulled("127.0.0.1%252Fa"),
    pulled("quay.io@127.0.0.1/a"),
    pulled("http://127.0.0.1/a"),
    pulled("//127.0.0.1/a"),
    pulled("quay.io/../../a"),
    login(serveraddress="http://127.0.0.1"),
    login(serveraddress="127.0.0.2:1/quay.io"),
    login(serveraddress="https://quay.io@127.0.0.1/"),
    login(serveraddress="database"),
    login(serveraddress=""),
    login(ServerAddress="localhost:5000"),
    login(username="a", Host="quay.io"),
    login(**{"serverAddress": "quay.io"}),
    login("/info", "GET", username="a"),
    Ask("POST", PULL, headers={"X-Registry-Auth": '{"username": "a"}'}),
    Ask("POST", PULL, headers={"X-Registry-Auth": "bnVsbA=="}),
    Ask("POST", PULL, headers={"X-Registry-Auth": ""}),
    Ask("POST", PULL, headers={"X-Meta-a": "b"}),
    Ask("GET", "/distribution/127.0.0.1:5000/a/json"),
    Ask("GET", "/distribution/localhost/a/json"),
    Ask("GET", "/distribution/database:80/a/json"),
]

BESIDE = [
    network(Driver="macvlan", Options={"parent": "eth0"}),
    network(Driver="ipvlan"),
    network(Driver="host"),
    network(Driver="overlay"),
    network(Driver="some/plugin:latest"),
    network(Driver="Bridge"),
    posted("/networks/create", {"Name": "tmpnb-a-b"}),
    network(Name="host"),
    network(Name="bridge"),
    network(Options={"parent": "eth0"}),
    network(Options={"com.docker.network.bridge.name": "docker0"}),
    network(Options={"com.docker.network.bridge.name": "br-1"}),
    network(Options={"com.docker.network.bridge.name": "tmpnb-12 "}),
    network(Options={"com.docker.network.bridge.enable_icc": "true"}),
    network(Options={"com.docker.network.bridge.host_binding_ipv4": "0.0.0.0"}),  # noqa: S104 - refused
    network(Options={"com.docker.network.bridge.gateway_mode_ipv4": "routed"}),
    network(Scope="swarm"),
    network(Attachable=True),
    network(Ingress=True),
    network(ConfigOnly=True),
    network(ConfigFrom={"Network": "a"}),
    network(EnableIPv6=True),
    network(IPAM={"Driver": "null"}),
    network(IPAM={"Driver": "some/plugin"}),
    network(IPAM={"Driver": "default", "Options": {"a": "b"}}),
    subnet("0.0.0.0/0"),
    subnet("169.254.169.254/32"),
    subnet("192.168.0.0/16"),
    subnet("198.18.0.0/14"),
    subnet("198.18.0.0/15"),  # all of what networks are made of
    subnet("198.18.0.0/16"),
    subnet("198.18.0.0/21"),
    network(IPAM=None),
    network(IPAM={}),
    network(IPAM={"Driver": "default"}),
    network(IPAM={"Config": None}),
    network(IPAM={"Config": []}),
    network(IPAM={"Config": [{}]}),
    network(IPAM={"Config": [{"Subnet": ""}]}),
    network(IPAM={"Config": [{"Subnet": f"198.18.{n}.0/24"} for n in range(2)]}),
    posted("/networks/create", {"Name": "tmpnb-a-b", "Driver": "bridge"}),  # of any subnet
    network(Options={"com.docker.network.bridge.name": "tmpnx-12"}),
    subnet("198.20.0.0/28"),
    subnet("198.18.0.1/28"),
    subnet("198.18.0.0/33"),
    subnet("198.018.0.0/28"),
    subnet("fd00::/64"),
    subnet("198.18.0.0/28", Gateway="198.18.0.3"),
    subnet("198.18.0.0/28", AuxiliaryAddresses={"a": "198.18.0.3"}),
    posted("/networks/host/connect", {"Container": "abc"}),
    posted("/networks/database/connect", {"Container": "abc"}),
    posted("/networks/tmpnb-x_control/connect", {"Container": "abc"}),
    posted("/networks/tmpnb-x-y_default/connect", {"Container": "abc"}),
    posted("/networks/tmpnb-x_my-net/connect", {"Container": "abc"}),
    posted("/networks/tmpnb-monitoring/connect", {"Container": "abc"}),
    posted("/networks/tmpnb-open2/connect", {"Container": "abc"}),
    posted("/networks/tmpnb-a/connect", {"Container": "abc", "EndpointConfig": {"Links": ["a"]}}),
    posted("/networks/tmpnb-a/connect", {"container": "abc"}),
    posted("/networks/database/disconnect", {"Container": "abc", "Force": True}),
    posted("/networks/tmpnb-a/disconnect", {"Container": "../abc"}),
    Ask("DELETE", "/networks/database"),
    Ask("DELETE", "/networks/tmpnb-x_control"),
    Ask("DELETE", "/networks/tmpnb-x-y_default"),
    Ask("DELETE", f"/networks/{'0f' * 32}"),
    posted("/volumes/create", {"Name": KIT, "DriverOpts": {"o": "bind", "device": "/"}}),
    posted("/volumes/create", {"Name": KIT, "driveropts": {}}),
    posted("/volumes/create", {"Name": KIT, "Driver": "nfs"}),
    posted("/volumes/create", {"Name": KIT, "ClusterVolumeSpec": {}}),
    posted("/volumes/create", {"Name": "database"}),
    posted("/volumes/create", {}),
    Ask("DELETE", "/volumes/database"),
    Ask("DELETE", "/volumes/tmpnb_state"),
    Ask("DELETE", f"/volumes/{KIT}?force=1"),
    Ask("DELETE", "/containers/abc?link=1"),
    Ask("DELETE", "/containers/abc?link=True&force=1"),
    Ask("POST", "/containers/abc/start", b'{"Privileged": true}', JSON),
    Ask("POST", "/containers/abc/start?checkpoint=a"),
    Ask("POST", "/containers/abc/rename?name=database"),
    Ask("POST", "/containers/abc/rename"),
    Ask("POST", "/containers/abc/rename?name=tmpnb-a", b"name=database", FORM),
    Ask("GET", "/containers/abc/logs?follow=1&stdout=1"),
    Ask("GET", "/containers/abc/stats"),
    Ask("GET", "/containers/json?size=1"),
    Ask("GET", "/containers/json?filters=%7B%22label%22%3A%5B%22a%22%5D"),
    Ask("GET", "/containers/abc/archive?path=%2Fetc%2Fshadow"),
    Ask("GET", "/containers/abc/archive?path=%2Fetc%2Fpasswd&path=/"),
    Ask("GET", "/containers/abc/archive?path=%2Fetc%2Fpasswd&path=%2Fetc%2Fpasswd"),
    Ask("GET", "/containers/abc/archive?path=%2Fetc%2Fpasswd%2F..%2Fshadow"),
    Ask("GET", "/containers/abc/archive"),
    Ask("PUT", "/containers/abc/archive?path=%2F"),
    Ask("PUT", "/containers/abc/archive?path=%2Fopt%2Ftmpnb-kit&copyUIDGID=1"),
    Ask("PUT", "/containers/abc/archive?path=%2Fopt%2Ftmpnb-kit", b"path=/", FORM),
    Ask("GET", "/version", b"a=b", FORM),
    Ask("GET", "/version", b"{}", JSON),
    Ask("GET", "/info", b"", {"Upgrade": "tcp"}),
    Ask("GET", "/events?since=0"),
]

OTHER_CALLS = [
    Ask(*call.split())
    for call in (
        "POST /containers/abc/exec",
        "POST /exec/abc/start",
        "POST /containers/abc/attach",
        "POST /containers/abc/update",
        "POST /containers/abc/kill",
        "POST /containers/prune",
        "GET /containers/abc/export",
        "GET /containers/abc/top",
        "GET /containers/abc/archive/x",
        "HEAD /containers/abc/archive",
        "POST /build",
        "POST /session",
        "POST /grpc",
        "POST /commit",
        "POST /auth",
        "GET /images/json",
        "GET /images/search",
        "GET /images/a/get",
        "POST /images/load",
        "POST /images/a/push",
        "POST /images/prune",
        "DELETE /images/abc",
        "GET /images/a%2f..%2fb/json",
        "GET /images/a%252fb/json",
        "GET /images/a/../../containers/json",
        "GET /secrets",
        "GET /system/df",
        "POST /plugins/pull",
        "POST /swarm/init",
        "POST /volumes/prune",
        "PUT /volumes/abc",
        "GET /version/",
        "GET //version",
        "GET http://127.0.0.1/version",
        "GET /v1.41/v1.41/version",
        "GET /_ping",
        "GET /libpod/info",
    )
]

REFUSED = [*GRASPS, *MOUNTS, *SPELLINGS, *FETCHES, *BESIDE, *OTHER_CALLS]

# What operators may add to a container, and what is only said in it.
HARMLESS = [
    of_host(SecurityOpt=["no-new-privileges"], NetworkMode="tmpnb-open"),
    of_host(SecurityOpt=["no-new-privileges:true", seccomp(PROFILE)]),
    of_host(SecurityOpt=[seccomp(json.dumps(PROFILE, indent=2, sort_keys=True))]),
    of_host(Mounts=[{**OWN_VOLUME, "ReadOnly": True, "VolumeOptions": {"NoCopy": True}}]),
    of_host(Mounts=[{"Type": "volume", "Source": "tmpnb-shared-books", "Target": "/books"}]),
    of_host(Mounts=[{"Type": "volume", "Source": None, "Target": "/home/jovyan"}]),
    of_host(Mounts=[{"Type": "tmpfs", "Target": "/a", "TmpfsOptions": {"SizeBytes": 9}}]),
    of_host(Tmpfs={"/tmp": "mode=1777,size=1048576,nr_inodes=10", "/dev/shm": ""}),  # noqa: S108
    of_host(Tmpfs={"/home/a": "uid=1000,gid=0,mode=755,exec,size=10"}),
    of_host(Dns=["127.0.0.1", "fd00::1"], DnsSearch=["example.org"], DnsOptions=["ndots:1"]),
    of_host(ExtraHosts=["a.b:1.2.3.4", "c:fd00::1", "d:host-gateway"]),
    of_host(Ulimits=[{"Name": "nofile", "Soft": 10, "Hard": 20}], ShmSize=2**30, CpuShares=2),
    of_host(PortBindings={"8888/tcp": [{"HostIp": "127.3.4.5", "HostPort": ""}]}),
    of_host(Runtime="runsc", StorageOpt={"size": "1G"}, MemorySwappiness=0, GroupAdd=["100"]),
    of_host(LogConfig={"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}),
    of_host(LogConfig={"Type": "", "Config": {}}, CapDrop=["ALL"], CapAdd=[]),
    raw_host(r'"Runtime": "run\u0073c"'),
    made(Env=['WHO=the "privileged"', "Binds=/:/mnt", "NAME=Zoë 🎈", "devices"]),
    made(Labels={"long": "a" * 60_000, "Privileged": "yes", "HostConfig": ""}),
    made(Image="quay.io/jupyter/minimal-notebook:2026-01@sha256:" + "0f" * 32),
]

# One of each call but the stream of events, in an order that leaves nothing behind.
NOWHERE = "127.0.0.1:1/lesson"  # an image of a registry that nobody is
LABELLED = "filters=%7B%22label%22%3A+%5B%22tmpnb.managed%3Dtrue%22%5D%7D"
OWN_NETWORK = "/networks/tmpnb-filter-none"
CALLS = [
    Ask("GET", "/version"),
    Ask("GET", "/info"),
    Ask("GET", f"/images/{NOWHERE}:1/json"),
    Ask("POST", f"/images/create?tag=1&fromImage={NOWHERE.replace('/', '%2F')}"),
    Ask("GET", f"/distribution/{NOWHERE}:1/json"),
    Ask("GET", f"/containers/json?limit=-1&all=1&size=0&trunc_cmd=0&{LABELLED}"),
    of_host(),
    Ask("GET", "/containers/none/json"),
    Ask("POST", "/containers/none/start"),
    Ask("POST", "/containers/none/rename?name=tmpnb-pool-none-claimed-1900000000"),
    Ask("GET", "/containers/none/logs?stderr=1&stdout=1&timestamps=0&follow=0&tail=20"),
    Ask("GET", "/containers/none/stats?stream=False&one-shot=True"),
    Ask("GET", "/containers/none/archive?path=%2Fetc%2Fpasswd"),
    Ask("PUT", "/containers/none/archive?path=%2Fopt%2Ftmpnb-kit", b"a tar"),
    Ask("DELETE", "/containers/none?v=True&link=False&force=True"),
    posted(
        "/networks/create",
        {
            "Name": OWN_NETWORK.rpartition("/")[2],
            "Driver": "bridge",
            "Options": {
                "com.docker.network.bridge.inhibit_ipv4": "true",
                "com.docker.network.bridge.name": "tmpno-14b3c9fa8",
            },
            "IPAM": {
                "Driver": "default",
                "Config": [
                    {
                        "Subnet": "198.18.255.240/28",
                        "IPRange": None,
                        "Gateway": None,
                        "AuxiliaryAddresses": None,
                    }
                ],
            },
            "Labels": {"tmpnb.managed": "true"},
            "Internal": True,
        },
    ),
    Ask("GET", f"/networks?{LABELLED}"),
    Ask("GET", OWN_NETWORK),
    posted(f"{OWN_NETWORK}/connect", {"Container": "none", "EndpointConfig": {}}),
    posted(f"{OWN_NETWORK}/disconnect", {"Container": "none", "Force": True}),
    Ask("DELETE", OWN_NETWORK),
    posted("/volumes/create", {"Name": KIT, "Labels": {"tmpnb.kit": "pool"}}),
    Ask("GET", f"/volumes?{LABELLED}"),
    Ask("GET", f"/volumes/{KIT}"),
    Ask("DELETE", f"/volumes/{KIT}"),
]
