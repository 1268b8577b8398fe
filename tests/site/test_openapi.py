"""The OpenAPI document is valid, knows every address, and says of each answer what it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from tornado.httpclient import HTTPResponse
from tornado.routing import PathMatches
from tornado.web import RequestHandler

from tests.support.running_site import PERSON, SCRIPT, Running
from tests.support.world import World, site_of, wait_until
from tmpnb.errors import ProxyError
from tmpnb.web.base import Site
from tmpnb.web.openapi import document
from tmpnb.web.routes import public_application

METHODS = ("get", "post", "put", "patch", "delete")
SAMPLES = {"{id}": "Ab12Cd34Ef56", "{path}": "a/b.ipynb", "{ticket}": "t1"}
# For the proxy alone, and files that the pages name themselves.
UNSPOKEN = (r"/proxy-error/([0-9]{3})$", r"/static/(.*)$", r"/(robots\.txt)$", r"/(favicon\.ico)$")
TOKEN = "s3cret-s3cret"

Document = dict[str, Any]


def made(*, token_wanted: bool = False) -> Document:
    return document(version="9.9", server="https://tmpnb.example", token_wanted=token_wanted)


def operations(spec: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def validator(spec: Document, schema: str) -> Draft202012Validator:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": spec["components"]}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def undescribed(spec: Document, schema: Document, value: Any, where: str = "") -> Iterator[str]:
    """Yield the keys of an answer that its schema does not know."""
    if "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict) and "properties" in schema:
        for key, inner in value.items():
            if key in schema["properties"]:
                yield from undescribed(spec, schema["properties"][key], inner, f"{where}/{key}")
            else:
                yield f"{where}/{key}"


# The document itself


@pytest.mark.parametrize("token_wanted", [False, True])
def test_document_is_valid(token_wanted: bool) -> None:
    spec = json.loads(json.dumps(made(token_wanted=token_wanted)))
    assert [error.message for error in OpenAPIV31SpecValidator(spec).iter_errors()] == []
    names = [operation["operationId"] for _, _, operation in operations(spec)]
    assert len(names) == len(set(names)) > 10


@pytest.mark.parametrize("token_wanted", [False, True])
def test_every_example_is_what_its_schema_says(token_wanted: bool) -> None:
    spec, seen = made(token_wanted=token_wanted), 0
    for method, path, operation in operations(spec):
        for status, answer in operation["responses"].items():
            body = answer.get("content", {}).get("application/json", {})
            if "example" in body:
                schema = body["schema"]["$ref"].rpartition("/")[2]
                errors = [e.message for e in validator(spec, schema).iter_errors(body["example"])]
                assert errors == [], f"{method} {path} {status}"
                assert list(undescribed(spec, body["schema"], body["example"])) == []
                seen += 1
    assert seen > 20


@pytest.fixture(params=[False, True], ids=["open", "guarded"])
def served(
    request: pytest.FixtureRequest, io_loop: object
) -> tuple[list[tuple[re.Pattern[str], type[RequestHandler]]], Document]:
    """Return the table of addresses, and the document that belongs to it."""
    del io_loop  # clients are made, and want a loop
    site: Site = site_of(World().orchestrator, version="0")
    site = replace(site, api_token=TOKEN if request.param else None)
    rules = public_application(site).wildcard_router.rules
    found = [(rule.matcher, rule.target) for rule in rules]
    table = [(m.regex, handler) for m, handler in found if type(m) is PathMatches]
    return table, made(token_wanted=request.param)


def implements(handler: type[RequestHandler], method: str) -> bool:
    return getattr(handler, method) is not getattr(RequestHandler, method)


def sample(path: str) -> str:
    for placeholder, value in SAMPLES.items():
        path = path.replace(placeholder, value)
    return path


def test_every_address_is_in_the_document_and_the_other_way_round(
    served: tuple[list[tuple[re.Pattern[str], type[RequestHandler]]], Document],
) -> None:
    table, spec = served
    told: dict[str, set[str]] = {}
    for path, item in spec["paths"].items():
        rule = next((r for r in table if r[0].match(sample(path))), None)
        assert rule is not None, f"{path} is in the document and not served"
        methods = {method for method in METHODS if method in item}
        assert methods == {m for m in METHODS if implements(rule[1], m)}, path
        told.setdefault(rule[0].pattern, set()).update(methods)
    assert {r.pattern for r, _ in table} - set(told) == set(UNSPOKEN)


def test_where_the_api_token_is_wanted_the_document_says_so() -> None:
    for token_wanted in (False, True):
        paths = made(token_wanted=token_wanted)["paths"]
        for path, method in (("/api/spawn", "post"), ("/api/stats", "get"), ("/stats", "get")):
            operation = paths[path][method]
            assert ("security" in operation) is token_wanted
            assert ("401" in operation["responses"]) is token_wanted
        assert ("/spawn" in paths) is not token_wanted


# Its answers


class Checked:
    """Requests to a running site, whose answers must be as the document says."""

    def __init__(self, running: Running, spec: Document, **changes: Any) -> None:
        self._fetch, self._spec = running.public(**changes), spec

    async def ask(
        self, method: str, path: str, status: int, *, at: str = "", **options: Any
    ) -> HTTPResponse:
        """Ask for `path`, or for `at` in its place; return the answer, checked."""
        answer = await self._fetch(at or path, method=method.upper(), **options)
        said = self._spec["paths"][path][method]["responses"]
        assert answer.code == status
        assert str(status) in said, f"{method} {path} answered {status}"
        described = said[str(status)]
        for name in described.get("headers", {}):
            assert int(answer.headers[name]) > 0
        if "content" not in described:
            assert answer.body == b""
            return answer
        kind = answer.headers["Content-Type"].partition(";")[0]
        schema = described["content"][kind]["schema"]
        if "$ref" in schema:
            body = json.loads(answer.body)
            name = schema["$ref"].rpartition("/")[2]
            assert [e.message for e in validator(self._spec, name).iter_errors(body)] == []
            assert list(undescribed(self._spec, schema, body)) == []
        return answer


@pytest.mark.gen_test(timeout=20)
async def test_document_is_served_with_the_address_the_client_knows(running: Running) -> None:
    fetch = running.public(public_url="https://tmpnb.example")
    answer = await fetch("/api/openapi.json")
    assert json.loads(answer.body) == json.loads(json.dumps(made()))
    guarded = await running.public(api_token=TOKEN, public_url="https://tmpnb.example")(
        "/api/openapi.json"
    )
    assert json.loads(guarded.body) == json.loads(json.dumps(made(token_wanted=True)))


@pytest.mark.gen_test(timeout=20)
async def test_life_of_a_server_is_as_the_document_says(running: Running) -> None:
    site = Checked(running, made())
    taken = json.loads((await site.ask("post", "/api/spawn", 200, headers=SCRIPT)).body)
    mine = {"headers": {"Authorization": f"Bearer {taken['token']}"}}
    one, more = f"/api/servers/{taken['id']}", f"/api/servers/{taken['id']}/extend"
    for options, statuses in (({}, (401, 401, 401)), (mine, (200, 200, 204)), (mine, (404,) * 3)):
        await site.ask("get", "/api/servers/{id}", statuses[0], at=one, **options)
        await site.ask("post", "/api/servers/{id}/extend", statuses[1], at=more, **options)
        await site.ask("delete", "/api/servers/{id}", statuses[2], at=one, **options)


@pytest.mark.gen_test(timeout=20)
async def test_numbers_and_health_are_as_the_document_says(running: Running) -> None:
    site = Checked(running, made())
    running.world.orchestrator.health.report("start", "no room")
    await site.ask("get", "/health", 200)
    await site.ask("get", "/health/ready", 200)
    for path in ("/stats", "/api/stats"):
        await site.ask("get", path, 200)
    for _ in range(3):
        await running.world.orchestrator.claims.claim()
    await wait_until(lambda: running.world.pool.stats().available == 0)
    await site.ask("get", "/health/ready", 503)
    await site.ask("post", "/api/spawn", 429)
    await site.ask("post", "/api/spawn", 429, at="/api/spawn?wait=0.01")


@pytest.mark.gen_test(timeout=20)
async def test_refusals_are_as_the_document_says(running: Running) -> None:
    site = Checked(running, made(token_wanted=True), api_token=TOKEN)
    for method, path in (("post", "/api/spawn"), ("get", "/stats"), ("get", "/api/stats")):
        refused = await site.ask(method, path, 401)
        assert refused.headers["WWW-Authenticate"] == "token"
    site = Checked(running, made())
    await site.ask("post", "/api/spawn", 400, at="/api/spawn?wait=%FF")

    async def silent(*_: Any) -> None:
        raise ProxyError("it is gone")

    running.world.proxy.add_route = silent  # type: ignore[method-assign]  # a proxy that is gone
    await site.ask("post", "/api/spawn", 503)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    running.world.pool.stats = broken  # type: ignore[method-assign,assignment]  # a bug
    await site.ask("get", "/stats", 500)


@pytest.mark.gen_test(timeout=20)
async def test_servers_that_are_gone_answer_as_the_document_says(running: Running) -> None:
    site = Checked(running, made())
    server = await running.world.orchestrator.claims.claim()
    for method in METHODS:
        for name, status in (("gone", 410), (server.id, 503)):
            at = f"/user/{name}/api/contents/x.ipynb"
            await site.ask(method, "/user/{id}/{path}", status, at=at)


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/", 200),
        ("get", "/lab/{path}", 200),
        ("get", "/spawn", 302),
        ("post", "/spawn", 303),
        ("post", "/spawn/{path}", 303),
        ("get", "/spawn/user/{id}/{path}", 200),
        ("post", "/spawn/user/{id}/{path}", 303),
        ("get", "/info", 200),
        ("get", "/embed", 200),
        ("get", "/embed.js", 200),
        ("get", "/badge.svg", 200),
        ("get", "/wait/{ticket}", 200),
    ],
)
async def test_pages_are_as_the_document_says(
    running: Running, method: str, path: str, status: int
) -> None:
    await Checked(running, made()).ask(method, path, status, at=sample(path), headers=PERSON)


def test_the_check_sees_a_key_that_is_not_described_and_one_that_is_missing() -> None:
    spec = made()
    schema = {"$ref": "#/components/schemas/Gone"}
    body = {"error": {"code": "a", "message": "b", "more": 1}}
    assert list(undescribed(spec, schema, body)) == ["/error/more"]
    errors: Callable[[Any], Iterator[Any]] = validator(spec, "Gone").iter_errors
    assert [e.message for e in errors(body)] == ["'message' is a required property"]
