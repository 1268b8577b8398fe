-- The filter as an HAProxy action: it sets txn.passed for requests that may pass, and txn.reason for others.
-- If anything goes wrong in here, txn.passed is not set, and the request is refused.
--
-- From the environment, each a comma-separated list:
--   TMPNB_REGISTRIES  registries to pull images from; that of TMPNB_IMAGE is always included
--   TMPNB_RUNTIMES    runtimes for servers, besides the engine's default
--   TMPNB_NETWORK     network of servers, besides those that tmpnb creates; with Compose also the pool's name
--   TMPNB_POOLS       other pools with a `_` in their names
--   TMPNB_SUBNETS     address ranges for networks
-- The seccomp profile that servers may use is in /etc/tmpnb-seccomp.json.

local calls = require("calls")
local forms = require("forms")
local json = require("json")
local names = require("names")

local PROFILE = "/etc/tmpnb-seccomp.json"
local SUBNETS = "198.18.0.0/15" -- where tmpnb takes them from by default

local function listed(name, otherwise)
  local said = os.getenv(name)
  if not said or said == "" then
    said = otherwise
  end
  local found = {}
  for entry in (said or ""):gmatch("[^,%s]+") do
    found[#found + 1] = entry
  end
  return said and found
end

local function set(entries, more)
  local found = {}
  for _, list in ipairs({ entries, more or {} }) do
    for _, entry in ipairs(list) do
      found[entry] = true
    end
  end
  return found
end

local function profile(path)
  local file = io.open(path)
  local text = file and file:read("a")
  if file then
    file:close()
  end
  local good, found = pcall(json.read, text or "")
  return good and found or nil
end

local function settings()
  local registries, networks = listed("TMPNB_REGISTRIES", ""), listed("TMPNB_NETWORK")
  local subnets = {}
  for _, range in ipairs(listed("TMPNB_SUBNETS", SUBNETS)) do
    local first, bits = forms.range(range)
    if not first then
      error("TMPNB_SUBNETS: " .. range .. " is no range of IPv4 addresses")
    end
    subnets[#subnets + 1] = { first = first, bits = bits }
  end
  registries[#registries + 1] = names.registry(os.getenv("TMPNB_IMAGE") or "")
  return {
    registries = set(registries),
    runtimes = set(listed("TMPNB_RUNTIMES", "")),
    networks = networks and set(networks),
    pools = set(listed("TMPNB_POOLS", ""), networks),
    subnets = subnets,
    profile = profile(PROFILE),
  }
end

local judge = calls.judge(settings())

-- Return whether a request may pass, and if not, why, in plain words.
local function verdict(request)
  local good, problem = pcall(judge, request)
  if good then
    return true
  end
  local reason = type(problem) == "table" and problem.reason or "it cannot be judged"
  return false, (reason:gsub("[^%w ./:;_-]", "?"):sub(1, 160))
end

local function request_of(txn)
  local headers = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    headers[name:lower()] = {}
    for index, value in pairs(values) do
      headers[name:lower()][index + 1] = value -- HAProxy counts from 0
    end
  end
  return {
    method = txn.sf:method(),
    url = txn.sf:url(),
    headers = headers,
    body = txn.sf:req_body(),
    body_size = tonumber(txn.sf:req_body_size()) or -1,
  }
end

if core then
  core.register_action("judge", { "http-req" }, function(txn)
    local passed, reason = verdict(request_of(txn))
    txn:set_var("txn.reason", reason or "")
    txn:set_var("txn.passed", passed)
  end)
end

return verdict
