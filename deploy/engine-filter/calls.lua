-- The engine calls that tmpnb makes: path, query, body. Anything not listed is refused.
-- docs/engine-calls.md says what each is for.

local creations = require("creations")
local forms = require("forms")
local json = require("json")
local logins = require("logins")
local names = require("names")

local text, one_of = forms.text, forms.one_of

local NUMBER = text("^-?%d+$", 9)
local YES_OR_NO = one_of("0", "1", "True", "False")
local NO = one_of("0", "False")
-- Headers that tmpnb's client sends. With others a body, or what follows it, may differ from what is
-- checked here. The value of content-type depends on the call.
local HEADERS = {
  accept = one_of("*/*"),
  ["accept-encoding"] = text("^[%l, ]*$", 64),
  connection = one_of("keep-alive", "close"),
  ["content-length"] = text("^%d+$", 12),
  host = text("^[%w.:%[%]_-]*$", 255),
  ["user-agent"] = text("^[ -~]*$", 255),
}
local LOGIN = "x-registry-auth"
local PLACEHOLDERS = { ["<id>"] = "[%w][%w_.-]*", ["<name>"] = "[%w][%w_.:/@-]*" }

local selection = forms.map(text("^%l+$", 32), forms.list(text()))

local function filters(value)
  selection(json.read(value), "filters")
end

local listed = { limit = NUMBER, all = YES_OR_NO, size = NO, trunc_cmd = NO, filters = filters }
local removed = { v = YES_OR_NO, link = NO, force = YES_OR_NO }
local printed = { stderr = YES_OR_NO, stdout = YES_OR_NO, timestamps = NO, follow = NO, tail = NUMBER }
local own_name = text(names.is_container)
local own_volume = text(names.is_own_volume)
local passwd, directory = one_of("/etc/passwd"), one_of("/opt/tmpnb-kit")
local tag = text(function(value)
  return value:find("^[%w_][%w_.-]*$") ~= nil or value:find("^sha256:%x+$") ~= nil
end, 128)

-- Return all calls. For each: `query`, the parameters it may have, and `needed`, those it must have; `body`,
-- what it sends; `streams`, whether that is a file; `named`, what <id> or <name> may be; `login`, at a registry.
local function listing(settings)
  local login, fetched, own_network = logins.at(settings), names.fetched(settings), text(names.is_own_network(settings))
  return {
    ["GET /version"] = {},
    ["GET /events"] = { query = { filters = filters } },
    ["GET /info"] = {},
    ["GET /images/<name>/json"] = { named = text(names.is_image) },
    ["POST /images/create"] = {
      query = { fromImage = fetched, tag = tag },
      needed = { "fromImage", "tag" },
      login = login,
    },
    ["GET /distribution/<name>/json"] = { named = fetched, login = login },
    ["GET /containers/json"] = { query = listed },
    ["POST /containers/create"] = {
      query = { name = own_name },
      needed = { "name" },
      body = creations.container(settings),
    },
    ["GET /containers/<id>/json"] = {},
    ["POST /containers/<id>/start"] = {},
    ["POST /containers/<id>/rename"] = { query = { name = own_name }, needed = { "name" } },
    ["DELETE /containers/<id>"] = { query = removed },
    ["GET /containers/<id>/logs"] = { query = printed },
    ["GET /containers/<id>/stats"] = {
      query = { stream = NO, ["one-shot"] = YES_OR_NO },
      needed = { "stream" },
    },
    ["GET /containers/<id>/archive"] = { query = { path = passwd }, needed = { "path" } },
    ["PUT /containers/<id>/archive"] = {
      query = { path = directory },
      needed = { "path" },
      streams = true,
    },
    ["GET /networks"] = { query = { filters = filters } },
    ["POST /networks/create"] = { body = creations.network(settings) },
    ["GET /networks/<id>"] = {},
    ["DELETE /networks/<id>"] = { named = own_network },
    ["POST /networks/<id>/connect"] = { named = own_network, body = creations.join },
    ["POST /networks/<id>/disconnect"] = { named = own_network, body = creations.leave },
    ["GET /volumes"] = { query = { filters = filters } },
    ["POST /volumes/create"] = { body = creations.volume() },
    ["GET /volumes/<id>"] = { named = own_volume },
    ["DELETE /volumes/<id>"] = { named = own_volume },
  }
end

-- Return the exact calls by their text, and the others as a list with patterns.
local function sorted(known)
  local exact, others = {}, {}
  for words, call in pairs(known) do
    local before, placeholder, after = words:match("^(.-)(<%a+>)(.*)$")
    if before then
      local pattern = "^" .. before .. "(" .. PLACEHOLDERS[placeholder] .. ")" .. after .. "$"
      others[#others + 1] = { pattern = pattern, call = call }
    else
      exact[words] = call
    end
  end
  return exact, others
end

-- With older ones the engine shares more with a container by default: memory between processes, and its
-- place among the machine's control groups.
local OLDEST = 41 -- of 1.41, which Docker 20.10 has

local function without_version(path)
  local major, minor, rest = path:match("^/v(%d%d?)%.(%d%d?)(/.*)$")
  if major and tonumber(major) * 100 + tonumber(minor) < 100 + OLDEST then
    forms.refuse("version of the API", "older than 1." .. OLDEST)
  end
  return rest or path
end

local function check_headers(headers, call)
  -- The engine would read a form as parameters of the call.
  local kind = one_of(call.streams and "application/x-tar" or "application/json")
  for name, values in pairs(headers) do
    local form = name == "content-type" and kind or name == LOGIN and call.login or HEADERS[name]
    if not form or #values ~= 1 then
      forms.refuse("header " .. name, "not allowed")
    end
    form(values[1], "header " .. name)
  end
  if call.body and not headers["content-type"] then
    forms.refuse("header content-type", "missing")
  end
end

local function decoded(part)
  if part:find("[^%w%%_.~+*!'():/@,=-]") or part:gsub("%%%x%x", ""):find("%", 1, true) then
    forms.refuse("query", "an odd character")
  end
  local plain, from = {}, 1
  part = part:gsub("%+", " ")
  while true do
    local at = part:find("%", from, true)
    plain[#plain + 1] = part:sub(from, (at or 0) - 1)
    if not at then
      break
    end
    plain[#plain + 1] = string.char(tonumber(part:sub(at + 1, at + 2), 16))
    from = at + 3
  end
  return table.concat(plain)
end

local function check_query(query, call)
  local seen = {}
  for part in (query .. "&"):gmatch("([^&]*)&") do
    local name, value = part:match("^([%w_-]+)=(.*)$")
    local form = name and (call.query or {})[name]
    if not form then
      forms.refuse("parameter " .. (name or ""), "not allowed")
    elseif seen[name] then
      forms.refuse("parameter " .. name, "given twice")
    end
    seen[name] = true
    form(decoded(value), "parameter " .. name)
  end
  return seen
end

local function check_body(request, call)
  if call.streams then
    return
  elseif not call.body then
    if request.body_size ~= 0 then
      forms.refuse("body", "this call has none")
    end
    return
  elseif #request.body ~= request.body_size then
    forms.refuse("body", "too large to be looked at")
  end
  call.body(json.read(request.body), "")
end

local calls = {}

-- Return a function that raises { reason = ... } for a request that may not pass. A request is a table:
-- method, url, headers (lists by lower-case name), body (as much as there is), body_size (as announced).
function calls.judge(settings)
  local exact, others = sorted(listing(settings))

  local function known(words)
    if exact[words] then
      return exact[words]
    end
    for _, other in ipairs(others) do
      local named = words:match(other.pattern)
      if named then
        return other.call, named
      end
    end
    forms.refuse("call", "not one of those that tmpnb makes")
  end

  return function(request)
    local path, query = request.url:match("^([^?]*)%??(.*)$")
    path = without_version(path):gsub("%%40", "@")
    local call, named = known(request.method .. " " .. path)
    if named and call.named then
      call.named(named, "name in the address")
    end
    check_headers(request.headers, call)
    local seen = query ~= "" and check_query(query, call) or {}
    for _, name in ipairs(call.needed or {}) do
      if not seen[name] then
        forms.refuse("parameter " .. name, "missing")
      end
    end
    check_body(request, call)
  end
end

return calls
