"""The files of deploy/engine-filter/ without HAProxy, run by Lua in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.support.engine_requests import PROFILE, Ask
from tests.support.requirements import ROOT

DIRECTORY = ROOT / "deploy" / "engine-filter"
PROFILES_PLACE = "/etc/tmpnb-seccomp.json"

# What HAProxy's Lua has of the system: here it sees what it is given.
PRETEND = """
local environment, files, directory = ...
os.getenv = function(name) return environment[name] end
io.open = function(path)
  local text = files[path]
  return text and { read = function() return text end, close = function() end }
end
package.path = directory .. "/?.lua"
local verdict = dofile(directory .. "/main.lua")
return function(method, url, names, values, body, size)
  local headers = {}
  for index = 1, #names do
    headers[names[index]] = headers[names[index]] or {}
    table.insert(headers[names[index]], values[index])
  end
  return verdict({ method = method, url = url, headers = headers, body = body, body_size = size })
end
"""


class Filter:
    """What the filter says of requests."""

    def __init__(
        self, lua: Any, environment: Mapping[str, str] | None = None, profile: str | None = None
    ) -> None:
        """Load the filter.

        Args:
            lua: One of lupa's modules, for a version of Lua.
            environment: Of the filter.
            profile: The text of the seccomp profile; None: the small one of the tests.
        """
        self._lua = lua.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
        table = self._lua.table_from
        files = {PROFILES_PLACE: json.dumps(PROFILE) if profile is None else profile}
        self._judge = self._lua.execute(
            PRETEND, table(environment or {}), table(files), str(DIRECTORY)
        )

    def reason(self, ask: Ask, announced: int | None = None) -> str:
        """Return why a request does not pass; "" if it does.

        Args:
            ask: The request.
            announced: The size of the body as the head has it, if it is not that.
        """
        names = self._lua.table_from([name.lower() for name in ask.headers])
        values = self._lua.table_from(list(ask.headers.values()))
        size = len(ask.body) if announced is None else announced
        body = ask.body.decode("latin-1")
        said = self._judge(ask.method, ask.target, names, values, body, size)
        return "" if said is True else str(said[1])
