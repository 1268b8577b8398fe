"""The rules of the filter before the engine, without HAProxy, in both versions of Lua."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import lupa.lua53
import lupa.lua54
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engine_filter import DIRECTORY, Filter
from tests.support.engine_requests import (
    CREATE,
    HARMLESS,
    KIT,
    PROFILE,
    REFUSED,
    Ask,
    created,
    login,
    made,
    network,
    of_host,
    posted,
    pulled,
    seccomp,
    subnet,
)
from tmpnb.spawners.docker.networks.subnets import prefix_for

LUA = {"5.3": lupa.lua53, "5.4": lupa.lua54}
OPERATORS = {"TMPNB_REGISTRIES": "docker.io, quay.io", "TMPNB_NETWORK": "tmpnb"}
OPERATORS |= {"TMPNB_RUNTIMES": "runsc, kata"}


@pytest.fixture(params=LUA)
def judged(request: pytest.FixtureRequest) -> Filter:
    return Filter(LUA[request.param], OPERATORS)


def passing(judged: Filter, *asks: Ask) -> list[str]:
    return [str(ask) for ask in asks if not judged.reason(ask)]


def test_nothing_passes_that_tmpnb_does_not_ask(judged: Filter) -> None:
    assert len(REFUSED) > 300
    reasons = {str(ask): judged.reason(ask) for ask in REFUSED}
    assert len(reasons) == len(REFUSED), "each once"
    assert [ask for ask, reason in reasons.items() if not reason] == []
    unjudged = [ask for ask, reason in reasons.items() if reason == "it cannot be judged"]
    assert unjudged == [], "each is refused for what it is, and not for a fault of the filter"
    assert all(len(reason) <= 160 and '"' not in reason for reason in reasons.values())


def test_what_operators_add_passes(judged: Filter) -> None:
    assert {str(ask): reason for ask in HARMLESS if (reason := judged.reason(ask))} == {}


def test_a_reason_says_where_it_stands_and_no_values(judged: Filter) -> None:
    ask = of_host(Mounts=[{"Type": "bind", "Source": "/secret", "Target": "/m"}])
    assert judged.reason(ask) == "HostConfig.Mounts.Type: this value is not allowed"
    assert judged.reason(of_host(Privileged=True)) == "HostConfig.Privileged: not allowed"


def test_versions_with_which_the_engine_shares_more_are_refused(judged: Filter) -> None:
    def asked(version: str) -> list[str]:
        create = replace(made(), target=f"/{version}{CREATE}")
        return [judged.reason(ask) for ask in (Ask("GET", f"/{version}/info"), create)]

    for version in ("v1.41", "v1.47", "v2.0"):
        assert asked(version) == ["", ""]
    for version in ("v1.40", "v1.24", "v1.9", "v0.99"):
        assert asked(version) == ["version of the API: older than 1.41"] * 2
    for version in ("v1.041", "v1.41.0", "V1.41", "v1", "v1.41/v1.41"):
        assert asked(version) == ["call: not one of those that tmpnb makes"] * 2


def test_a_request_that_cannot_be_judged_is_refused(judged: Filter) -> None:
    fine = Ask("GET", "/version")
    assert judged.reason(fine) == ""
    unheard_of: Any = None
    assert judged.reason(replace(fine, method=unheard_of)) == "it cannot be judged"


@pytest.mark.parametrize("target", ["/version#a", "/info?#a", "/info?a\n", "/version\n", "*", ""])
def test_an_address_in_an_odd_form_is_refused(judged: Filter, target: str) -> None:
    assert judged.reason(Ask("GET", target)) not in ("", "it cannot be judged")


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}])
def test_a_body_that_is_not_seen_in_full_is_refused(
    judged: Filter, headers: dict[str, str]
) -> None:
    ask = of_host()
    assert judged.reason(ask) == ""
    in_pieces = replace(ask, headers={**ask.headers, **headers})
    assert judged.reason(in_pieces, announced=len(ask.body) + (not headers)) != ""


def test_registries_are_those_of_the_list_and_that_of_the_image() -> None:
    own = {**OPERATORS, "TMPNB_IMAGE": "registry.example:5000/lesson:1"}
    judged = Filter(lupa.lua53, own)
    fine = [
        "a",
        "a/b",
        "docker.io/a/b",
        "index.docker.io/a",
        "quay.io/a",
        "registry.example:5000/b",
    ]
    assert passing(judged, *map(pulled, fine)) == [str(pulled(image)) for image in fine]
    refused = [
        "registry.example/a",
        "registry.example:5001/a",
        "127.0.0.1.nip.io/a",
        "quay.io:80/a",
        "Quay.io/a",
        "quay.io./a",
        "127.0.0.1/quay.io/a",
        "ghcr.io/a",
    ]
    assert passing(judged, *map(pulled, refused)) == []
    asked = "/distribution/{}/json".format
    assert judged.reason(Ask("GET", asked("quay.io/a:1"))) == ""
    assert "TMPNB_REGISTRIES" in judged.reason(Ask("GET", asked("ghcr.io/a:1")))
    assert judged.reason(Ask("GET", "/images/ghcr.io/a@sha256:" + "0f" * 32 + "/json")) == ""


def test_without_a_list_of_registries_that_of_the_image_alone_passes() -> None:
    judged = Filter(lupa.lua54, {"TMPNB_IMAGE": "quay.io/jupyter/lesson:1"})
    images = ["quay.io/b", "a/b", "ghcr.io/b", "attacker.example:80/a", "127.0.0.1.nip.io/a"]
    assert passing(judged, *map(pulled, images)) == [str(pulled("quay.io/b"))]


def test_runtimes_are_those_of_the_list() -> None:
    some, none = Filter(lupa.lua53, OPERATORS), Filter(lupa.lua53)
    names = ["runsc", "kata", "runc", "nvidia", "io.containerd.runc.v2", "", "runsc,kata"]
    asks = {name: of_host(Runtime=name) for name in names}
    assert [n for n, ask in asks.items() if not some.reason(ask)] == ["runsc", "kata"]
    assert [n for n, ask in asks.items() if not none.reason(ask)] == []


def test_an_operator_may_name_a_registry_nearby() -> None:
    judged = Filter(lupa.lua54, {"TMPNB_REGISTRIES": "127.0.0.1:5000"})
    assert judged.reason(pulled("127.0.0.1:5000/a")) == ""
    assert judged.reason(pulled("127.0.0.1:5001/a")) != ""
    assert judged.reason(pulled("a")) == "", "that of TMPNB_IMAGE, which is not set"


def test_servers_are_on_networks_of_tmpnb_and_that_of_the_operator_alone() -> None:
    judged = Filter(lupa.lua54, OPERATORS)

    def on(name: str) -> Ask:
        return of_host(NetworkMode=name)

    fine = ["none", "tmpnb", "tmpnb-internet", "tmpnb-pool-abc"]
    assert passing(judged, *map(on, fine)) == [str(on(name)) for name in fine]
    refused = [
        "default",
        "bridge",
        "host",
        "database",
        "tmpnb_control",
        "tmpnb-x_control",
        "tmpnb-x_my-net",
        "tmpnb-lan",
        "0-tmpnb-control",
        "0f" * 32,
    ]
    assert passing(judged, *map(on, refused)) == []
    left_out = made(HostConfig={})  # it would be on the engine's own
    assert judged.reason(left_out) == "HostConfig.NetworkMode: missing"
    assert Filter(lupa.lua54).reason(left_out) == "", "which servers are published on"
    attached = {"EndpointsConfig": {"database": {}}}
    assert judged.reason(made(NetworkingConfig=attached)) != ""
    assert judged.reason(network(Name="tmpnb")) == ""
    assert judged.reason(network(Name="database")) != ""


def test_networks_of_compose_projects_whose_names_begin_like_ours_are_theirs() -> None:
    usual = Filter(lupa.lua53)
    own = Filter(lupa.lua53, {"TMPNB_NETWORK": "lesson_1", "TMPNB_POOLS": "a_b, c_d"})

    def joined(name: str) -> Ask:
        return posted(f"/networks/{name}/connect", {"Container": "abc", "EndpointConfig": {}})

    fine = [
        *("tmpnb-open", "tmpnb-closed", "tmpnb-internet"),
        *("tmpnb-tmpnb-Ab3dEf6hIj9k", "tmpnb-my.pool-2-Ab3dEf6hIj9k", "tmpnb-_check-Ab3dEf6hIj9k"),
    ]
    named = ["tmpnb-a_b-Ab3dEf6hIj9k", "tmpnb-c_d-Ab3dEf6hIj9k", "tmpnb-lesson_1-Ab3dEf6hIj9k"]
    theirs = [
        *("tmpnb-x_control", "tmpnb-x_default", "tmpnb-x-y_control", "tmpnb-x_my-frontend"),
        *("tmpnb-_check", "tmpnb-_check-x_control", "tmpnb-", "tmpnb-a_b", "tmpnb-a_b-c_d"),
    ]
    for judged, passes in ((usual, fine), (own, fine + named)):
        asks = [joined(name) for name in fine + named + theirs]
        assert passing(judged, *asks) == [str(joined(name)) for name in passes]
    assert own.reason(network(Name="tmpnb-x_control")) == (
        "Name: neither one of tmpnb nor TMPNB_NETWORK; see TMPNB_POOLS"
    )


def test_another_profile_is_refused_with_the_command_that_mends_it(judged: Filter) -> None:
    older = {**PROFILE, "syscalls": PROFILE["syscalls"][1:]}
    assert judged.reason(of_host(SecurityOpt=[seccomp(older)])) == (
        "HostConfig.SecurityOpt: another seccomp profile than the filter has;"
        " after git pull: docker compose up -d --build --force-recreate"
    )


def test_subnets_are_those_of_the_operator() -> None:
    usual, own = (Filter(lupa.lua53, e) for e in ({}, {"TMPNB_SUBNETS": "10.6.0.0/16,10.7.0.0/16"}))
    inside, outside = subnet("198.19.255.240/28"), subnet("10.7.3.0/24")
    assert [usual.reason(inside), own.reason(outside)] == ["", ""]
    assert all([usual.reason(outside), own.reason(inside), own.reason(subnet("10.6.0.0/15"))])


def test_no_network_has_more_addresses_than_tmpnb_asks_for() -> None:
    judged = Filter(lupa.lua54, {"TMPNB_SUBNETS": "10.0.0.0/8"})
    most = prefix_for(1014)  # with which a bridge has no port left
    assert judged.reason(subnet(f"10.6.0.0/{most}")) == ""
    assert judged.reason(subnet(f"10.6.0.0/{most - 1}")) != ""
    unsized = {"Name": "tmpnb-a-b", "Driver": "bridge"}
    assert judged.reason(posted("/networks/create", unsized)) == "IPAM: missing"
    named = Filter(lupa.lua54, OPERATORS)
    assert named.reason(posted("/networks/create", unsized | {"Name": "tmpnb"})) == ""


def test_logins_as_docker_s_client_writes_them_pass(judged: Filter) -> None:
    at_hub = {"username": "a", "password": "b", "serveraddress": "https://index.docker.io/v1/"}
    fine = [
        login(**at_hub, email=None),
        login(**at_hub | {"serveraddress": "quay.io", "email": ""}),
        login(ServerAddress="https://quay.io", Username="Zoë", Password="💣" * 9),
        login(IdentityToken="a" * 4000),
        login("/distribution/quay.io/a/json", "GET", serveraddress="quay.io"),
    ]
    assert {str(ask): reason for ask in fine if (reason := judged.reason(ask))} == {}


def test_headers_of_docker_s_client_pass_once_each(judged: Filter) -> None:
    usual = {
        "Host": "localhost",
        "User-Agent": "docker-sdk-python/7.1.0",
        "Accept-Encoding": "gzip, deflate, zstd",
        "Accept": "*/*",
        "Connection": "keep-alive",
        "Content-Length": "0",
    }
    assert judged.reason(Ask("GET", "/info", headers=usual)) == ""
    for name in usual:
        twice = Ask("GET", "/info", headers={**usual, name.lower(): usual[name]})
        assert judged.reason(twice) == f"header {name.lower()}: not allowed"
    assert judged.reason(Ask("GET", "/info", headers={**usual, "X-A": "b"})) == (
        "header x-a: not allowed"
    )


def test_a_login_s_registry_is_one_that_the_engine_may_speak_to() -> None:
    judged = Filter(lupa.lua53, {"TMPNB_IMAGE": "registry.example:5000/lesson:1"})
    target = "/images/create?fromImage=registry.example:5000/a&tag=1"
    assert judged.reason(login(target, serveraddress="https://registry.example:5000")) == ""
    assert judged.reason(login(target, serveraddress="registry.example")) != ""
    assert judged.reason(login(target, serveraddress="https://index.docker.io/v1/")) != ""


def test_subnets_that_cannot_be_read_keep_the_filter_from_starting() -> None:
    with pytest.raises(lupa.lua53.LuaError, match=r"TMPNB_SUBNETS: 10\.7\.0\.1/16"):
        Filter(lupa.lua53, {"TMPNB_SUBNETS": "10.7.0.1/16"})


@pytest.mark.parametrize("text", ["", "{", "[1", '{"a": 1} x', '{"a": 1, "a": 1}'])
def test_without_a_profile_that_can_be_read_none_passes(text: str) -> None:
    judged = Filter(lupa.lua53, profile=text)
    for entry in (seccomp(PROFILE), seccomp(""), seccomp("null"), seccomp(text)):
        assert judged.reason(of_host(SecurityOpt=[entry])) != ""
    assert judged.reason(of_host(SecurityOpt=["no-new-privileges"])) == ""


def test_volumes_are_removed_and_looked_at_that_are_the_kit_s_alone(judged: Filter) -> None:
    for method in ("GET", "DELETE"):
        assert judged.reason(Ask(method, f"/volumes/{KIT}")) == ""
        assert judged.reason(Ask(method, "/volumes/tmpnb-shared-books")) != ""
    assert judged.reason(posted("/volumes/create", {"Name": KIT, "Labels": {"a": "b"}})) == ""


NAMES = [
    "Privileged",
    "Binds",
    "Devices",
    "CapAdd",
    "PidMode",
    "Runtime",
    "Image",
    "Memory",
    "Init",
]
KNOWN = {"Runtime", "Memory", "Init", "CapAdd"}


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a key, and a spelling of it that Go's reader may take for it."""
    name, odd = draw(st.sampled_from(NAMES)), ""
    folded = {"s": ["s", "S", "\u017f"], "k": ["k", "K", "\u212a"]}
    for letter in name:
        one = draw(st.sampled_from(folded.get(letter.lower(), [letter, letter.swapcase()])))
        odd += draw(st.sampled_from([one, f"\\u{ord(one):04x}", f"\\u{ord(one):04X}"]))
    return name, odd


@given(spelled(), st.sampled_from(["true", "1", "[]", "null", '"/a"', "{}"]))
def test_no_spelling_of_a_key_hides_it(drawn: tuple[str, str], value: str) -> None:
    name, odd = drawn
    reason = ONE.reason(created(f'{{"Image": "none", "HostConfig": {{"{odd}": {value}}}}}'))
    if not (odd == name and name in KNOWN):
        assert reason != ""


ONE = Filter(lupa.lua54)
READER: Any = lupa.lua54.LuaRuntime(encoding="latin-1")
SAME = READER.execute(
    f'package.path = "{DIRECTORY}/?.lua" local json = require("json")'
    " return function(one, other)"
    " local good, found = pcall(json.read, one)"
    " if not good then return nil end"
    " return json.same(found, json.read(other)) end"
)


def test_the_reader_goes_no_deeper_than_it_must() -> None:
    for opening, closing in ("[", "]"), ('{"a":', "}"):
        texts = [opening * depth + "1" + closing * depth for depth in (11, 12, 100)]
        assert [SAME(text, text) for text in texts] == [True, None, None]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text("aB\"\\/é🎈\n\x7f'{[,:"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abA"), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.sampled_from([None, 0, 1]))
def test_the_reader_takes_what_python_writes(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert SAME(text, json.dumps(value)) is True


@given(values, values)
def test_the_reader_knows_values_apart(one: Any, other: Any) -> None:
    # True and 1 are one in Python, and two in JSON.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert SAME(json.dumps(one), json.dumps(other)) is same


@given(values, st.data())
def test_what_the_reader_takes_says_the_same_to_others(value: Any, data: st.DataObject) -> None:
    """A text with a few characters changed is refused, or read as Python reads it."""
    text = json.dumps(value)
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 2))
    put = data.draw(st.text("{}[]\":,\\u0019aeEtrue.-+ \n\t\x00'/", max_size=3))
    changed = text[:at] + put + text[at + cut :]
    try:
        plain = json.dumps(json.loads(changed))
    except ValueError:
        plain = "null"
        assert SAME(changed, plain) is None, changed
    else:
        assert SAME(changed, plain) in (None, True), changed
