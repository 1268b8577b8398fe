"""What the OpenAPI document says of each operation holds for any input, right or wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tornado.ioloop import IOLoop

from tests.support.fuzz_inputs import BODIES, BOUNDED, KINDS, PAGE, SCRIPT
from tests.support.fuzzed_site import API_TOKEN, SITES, FuzzedSite
from tests.support.raw_http import Answer, Pair, Request

METHODS = ("get", "post", "put", "patch", "delete")
EXAMPLES = 8  # of each operation and site
LONGEST_WAIT = 0.01  # seconds; longer ones are as right, and take as long
WRONG_IDS = ("a" * 65, "a.b", "%C3%A9", "a%20b", "%00", "..", "a%2Fb", "-%0A", "%FF")
WRONG_QUERIES = (
    b"wait=x",
    b"wait=-1",
    b"wait=nan",
    b"wait=1e999",
    b"wait=%FF",
    b"wait",
    b"wait=[]",
)


@pytest.fixture(params=list(SITES))
def site(request: pytest.FixtureRequest, io_loop: IOLoop) -> Iterator[FuzzedSite]:
    made = FuzzedSite(request.param, io_loop)
    yield made
    made.close()


class Operation:
    """One operation of the document, as strategies and as rules."""

    def __init__(self, site: FuzzedSite, spec: Mapping[str, Any], path: str, method: str) -> None:
        self._site, self._spec, self.path, self.method = site, spec, path, method
        item = spec["paths"][path]
        self.says = item[method]
        given = [*item.get("parameters", []), *self.says.get("parameters", [])]
        self.names = {place: [p for p in given if p["in"] == place] for place in ("path", "query")}

    def right(self) -> st.SearchStrategy[Request]:
        """Return requests that conform to the document."""
        values = {p["name"]: self._value(p["name"], p["schema"]) for p in self.names["path"]}
        target = st.fixed_dictionaries(values).map(lambda found: self._filled(found).encode())
        queries = st.sampled_from([b"", *(b"wait=0", b"wait=0.01") * bool(self.names["query"])])
        return st.builds(
            self._request, target, queries, self._credentials(), st.just(()), st.just(b"")
        )

    def wrong(self) -> st.SearchStrategy[Request]:
        """Return requests that do not: ids that are none, numbers that are none, bodies."""
        ids = st.sampled_from(WRONG_IDS) | st.just(self._site.claimed)
        values = {p["name"]: ids for p in self.names["path"]}
        target = st.fixed_dictionaries(values).map(lambda found: self._filled(found).encode())
        bodies = st.just(b"") if self.method == "get" else st.sampled_from(BODIES)
        kinds = st.sampled_from(KINDS).map(lambda kind: ((b"Content-Type", kind),))
        queries = st.sampled_from([b"", *WRONG_QUERIES])
        return st.builds(self._request, target, queries, self._credentials(), kinds, bodies)

    def _value(self, name: str, schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
        if "pattern" in schema:
            known = st.sampled_from([self._site.claimed, "gone"])
            return known | st.from_regex(schema["pattern"].replace("$", r"\Z"))
        letters = st.characters(exclude_categories=["C"], exclude_characters="/\\.")
        return st.text(letters, min_size=1, max_size=20).map(lambda text: quote(text, safe=""))

    def _filled(self, values: Mapping[str, str]) -> str:
        target = self.path
        for name, value in values.items():
            target = target.replace(f"{{{name}}}", value)
        return target

    def _credentials(self) -> st.SearchStrategy[list[Pair]]:
        token = self._site.token.encode()
        known: list[list[Pair]] = [
            [], [(b"Authorization", b"token wrong")], [(b"Authorization", b"Bearer " + token)],
            [(b"Authorization", b"token " + API_TOKEN.encode())],
            [(b"Cookie", self._site.session.encode())], self._site.welcome_back, self._site.api,
        ]  # fmt: skip
        decent = st.sampled_from([PAGE, SCRIPT, []])
        return st.builds(lambda a, b: [*a, *b], decent, st.sampled_from(known))

    def _request(
        self, target: bytes, query: bytes, told: list[Pair], more: tuple[Pair, ...], body: bytes
    ) -> Request:
        whole = target + b"?" + query if query else target
        return Request(self.method.upper().encode(), whole, [*told, *more], body)

    def check(self, request: Request, answer: Answer, *, is_right: bool) -> None:
        """Check an answer against what the document says of it."""
        status = str(answer.status)
        said = self.says["responses"]
        if not is_right and status == "404":
            said = {"404": {}, **said}  # with a wrong id it is another address, or none
        assert status in said, f"{self.method} {self.path} answered {status}"
        if answer.kind != "application/json" or not answer.body:
            return
        schema = said[status].get("content", {}).get("application/json", {}).get("schema")
        value = json.loads(answer.body)
        if schema and "$ref" in schema and ("message" in value or schema["$ref"] != _ref("Gone")):
            self._valid(schema, value)
        elif answer.status >= 400 and "status" not in value:
            self._valid({"$ref": _ref("Error")}, value)

    def _valid(self, schema: Mapping[str, Any], value: Any) -> None:
        whole = {**schema, "components": self._spec["components"]}
        checker = Draft202012Validator.FORMAT_CHECKER
        errors = Draft202012Validator(whole, format_checker=checker).iter_errors(value)
        assert [error.message for error in errors] == [], f"{self.method} {self.path}"


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"


def operations(site: FuzzedSite) -> list[Operation]:
    """Return the operations of the document that the site itself serves."""
    answer = site.ask(Request(b"GET", b"/api/openapi.json"))
    assert answer is not None
    spec = json.loads(answer.body)
    return [
        Operation(site, spec, path, method)
        for path, item in spec["paths"].items()
        for method in METHODS
        if method in item
    ]


def each_is_as_the_document_says(site: FuzzedSite, *, is_right: bool) -> None:
    found = operations(site)
    assert len(found) > 15
    for operation in found:
        is_as_the_document_says(site, operation, is_right=is_right)
        site.revive()
    site.check_unharmed()


def is_as_the_document_says(site: FuzzedSite, operation: Operation, *, is_right: bool) -> None:
    @settings(BOUNDED, max_examples=EXAMPLES)
    @given(operation.right() if is_right else operation.wrong())
    def holds(request: Request) -> None:
        answer = site.ask(request)
        if answer is not None and answer.headers:
            operation.check(request, answer, is_right=is_right)

    holds()


def test_what_conforms_to_the_document_is_answered_as_it_says(site: FuzzedSite) -> None:
    each_is_as_the_document_says(site, is_right=True)


def test_what_violates_the_document_is_answered_as_it_says(site: FuzzedSite) -> None:
    each_is_as_the_document_says(site, is_right=False)
