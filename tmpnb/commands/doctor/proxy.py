"""Whether there is a proxy: one that runs and takes our token, or one that can be started."""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncGenerator

from tmpnb.core.secret_names import PROXY_TOKEN
from tmpnb.errors import ConfigError, ProxyError, UnreachableError
from tmpnb.proxy.choice import DEFAULT_ENDPOINT, ProxyChoice, is_managed, open_proxy
from tmpnb.settings.env_vars import Secrets
from tmpnb.settings.service import Service
from tmpnb.spawners.finding import Finding, Level, fail, failure, ok, skip, warn
from tmpnb.system import open_files
from tmpnb.system.http.client import MAX_ANSWER, Client

TIMEOUT = 5.0  # seconds for an answer of its API
VERSION = 10.0  # seconds for its program to say which version it is
NOT_RUN = (126, 127)  # exit codes of a program that could not begin
INSTALL = (
    "npm install -g configurable-http-proxy, or set CONFIGPROXY_ENDPOINT and"
    " CONFIGPROXY_AUTH_TOKEN to use one that runs already"
)


async def findings(service: Service) -> AsyncGenerator[Finding, None]:
    """Yield what is found of the proxy, its token and its open files; none is started."""
    choice, given = service.proxy, service.secrets
    limit, capacity = open_files.raise_limit(), service.policy.capacity
    if is_managed(choice, given):
        yield ok("token", "made anew at each start for the proxy that tmpnb starts")
        yield await _program(choice.command)
        yield files_finding(limit, capacity)
        return
    token = _token(given)
    yield token
    if token.level is not Level.OK:
        yield skip("proxy", "needs its token")
    else:
        yield await _running(choice, given, service.spawner.pool_name)
    yield other_files_finding(limit, capacity)


def _token(given: Secrets) -> Finding:
    """Say where the token of a running proxy comes from; nothing is written."""
    if given.proxy_token is not None:
        return ok("token", f"{given.source(PROXY_TOKEN)} is set")
    file = given.proxy_token_file
    if file is None:
        return fail(
            "token",
            "CONFIGPROXY_ENDPOINT is set and CONFIGPROXY_AUTH_TOKEN is not",
            "set it to the token that the proxy was started with",
        )
    name = f"CONFIGPROXY_AUTH_TOKEN_FILE={file}"
    return warn(
        "token",
        f"{name} is not there yet and will be made when tmpnb starts",
        "let the proxy take its token from that file, and start tmpnb first",
    )


async def _running(choice: ProxyChoice, given: Secrets, pool_name: str) -> Finding:
    where = choice.endpoint or DEFAULT_ENDPOINT
    try:
        async with open_proxy(choice, given, pool_name, "", lambda: None, lambda _: None) as proxy:
            try:
                await proxy.setup()
            finally:
                await proxy.close()
    except (ConfigError, ProxyError) as error:
        mend = "start the proxy, or set CONFIGPROXY_ENDPOINT to where its API is"
        return failure("proxy", str(error), mend)
    if await _lets_anybody_in(where):
        return warn(
            "proxy",
            f"its API at {where} asks for no token: who reaches it can lead visitors astray",
            "start the proxy with CONFIGPROXY_AUTH_TOKEN",
        )
    return ok("proxy", f"its API at {where} takes our token and no other")


async def _lets_anybody_in(endpoint: str) -> bool:
    client = Client(MAX_ANSWER)
    try:
        url = f"{endpoint.rstrip('/')}/api/routes"
        headers = {"Authorization": "token none-at-all"}
        answer = await client.fetch(url, timeout=TIMEOUT, headers=headers)
    except UnreachableError:
        return False
    else:
        return answer.code == 200
    finally:
        client.close()


async def _program(command: tuple[str, ...]) -> Finding:
    """Say whether the proxy's program is there, and its version."""
    path = shutil.which(command[0])
    if path is None:
        return fail("proxy", f"{command[0]} is not installed", INSTALL)
    try:
        code, said = await _run(*command, "--version")
    except TimeoutError:  # before its parent, OSError
        return warn("proxy", f"{path} does not say its version within {VERSION:g} s")
    except OSError as error:
        return fail("proxy", f"{path} cannot be run: {error.strerror}", INSTALL)
    if code in NOT_RUN:
        return fail("proxy", f"{path} cannot be run: {said}", "install Node.js, which it needs")
    if code:
        return warn("proxy", f"{path} does not say its version: it ended with {code}: {said}")
    return ok("proxy", f"{path}, version {said}, which tmpnb starts")


async def _run(*command: str) -> tuple[int, str]:
    """Return the exit code and the last line of a program.

    Raises:
        OSError: It cannot be run.
        TimeoutError: It did not end in time, and was killed.
    """
    child = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(VERSION):
            output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    lines = output.decode(errors="replace").split("\n")
    return child.returncode or 0, next((x.strip() for x in reversed(lines) if x.strip()), "")


def files_finding(limit: int, capacity: int) -> Finding:
    """Say whether the proxy we start may open enough files. Pure."""
    advice = open_files.advice(limit, capacity)
    if advice is not None:
        return failure("files", advice)
    wanted = open_files.needed(capacity)
    return ok("files", f"{limit} may be open, {capacity} open notebooks need {wanted}")


def other_files_finding(limit: int, capacity: int) -> Finding:
    """Say what a proxy that somebody else starts needs. Pure."""
    wanted = open_files.needed(capacity)
    words = f"the proxy must be allowed {wanted} for {capacity} open notebooks; here it is {limit}"
    if limit < wanted:
        return warn("files", words, f"start the proxy with a limit of {wanted} or more")
    return ok("files", words)
