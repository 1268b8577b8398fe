-- What images, networks and volumes may be called. `settings` has the operator's own lists:
-- registries, runtimes, pools and networks as sets (networks: nil if none is given), subnets as a list of
-- ranges.

local forms = require("forms")

local names = {}

names.HUB, names.HUBS_INDEX = "docker.io", "index.docker.io"

-- Return the registry of an image, as the engine derives it from the name.
function names.registry(image)
  local first = image:match("^([^/]*)/")
  if first and (first:find("[.:%u]") or first == "localhost") then
    return first == names.HUBS_INDEX and names.HUB or first
  end
  return names.HUB
end

function names.is_image(text)
  local bare, digest = text:match("^([^@]*)@sha256:(%x+)$")
  bare = bare or text
  local good = bare:find("^[%w][%w_.:/-]*$") and not bare:find("//", 1, true) and not bare:find("..", 1, true)
  return good ~= nil and good ~= false and (digest == nil or #digest == 64)
end

-- An image that the engine pulls, from a registry that it may contact.
function names.fetched(settings)
  return function(image, where)
    if #image > 512 or not names.is_image(image) then
      forms.refuse(where, "no name of an image")
    end
    local registry = names.registry(image)
    if not settings.registries[registry] then
      forms.refuse(where, "the registry " .. registry .. " is not among TMPNB_REGISTRIES")
    end
  end
end

local SHARED = { ["tmpnb-open"] = true, ["tmpnb-closed"] = true, ["tmpnb-internet"] = true }
local TRIED = "_check" -- the pool of `tmpnb doctor` and `tmpnb check-image`

-- A network of tmpnb's own: one for all servers, or that of one server, named after its pool and id.
-- Those of a Compose project called tmpnb-something have a `_`, which no other pool's name may have.
function names.is_own_network(settings)
  return function(text)
    if SHARED[text] then
      return true
    end
    local pool, id = text:match("^tmpnb%-([%w_][%w_.-]*)%-(%w+)$")
    if not pool or #pool > 63 or #id > 64 then
      return false
    end
    return pool == TRIED or settings.pools[pool] == true or not pool:find("_", 1, true)
  end
end

-- A network that servers may be on: tmpnb's own, or the operator's.
function names.is_network(settings)
  local is_own = names.is_own_network(settings)
  return function(text)
    local known = settings.networks
    if is_own(text) or (known and known[text]) then
      return true
    end
    local taken = text == "host" or text == "bridge" or text == "none" or text == "nat" or text:find("^%x+$")
    return not known and not taken and #text <= 255 and text:find("^%w[%w_.-]*$") ~= nil
  end
end

-- A network that may be created.
function names.made_network(settings)
  local is_network = names.is_network(settings)
  return function(value, where)
    if type(value) ~= "string" or not is_network(value) then
      forms.refuse(where, "neither one of tmpnb nor TMPNB_NETWORK; see TMPNB_POOLS")
    end
  end
end

-- A volume that tmpnb creates, under tmpnb's names: the kit, or a copy of an image's files.
function names.is_own_volume(text)
  local kind = text:match("^tmpnb%-(%l+)%-[%w_.-]+%-%x%x%x%x%x%x%x%x%x%x%x%x$")
  return #text <= 255 and (kind == "kit" or kind == "copy")
end

-- A volume that servers may use: tmpnb's own, or one that the operator named for this.
function names.is_volume(text)
  return names.is_own_volume(text) or (#text <= 255 and text:find("^tmpnb%-shared%-[%w.-]+$") ~= nil)
end

-- A runtime besides the engine's default: it may give a container more power.
function names.is_runtime(settings)
  return function(text)
    return settings.runtimes[text] == true
  end
end

function names.is_container(text)
  return #text <= 255 and text:find("^tmpnb%-[%w_.-]+$") ~= nil
end

local FEWEST_BITS = 22 -- of a subnet: tmpnb needs no more addresses than a bridge has ports, 1,024

-- A subnet within the ranges of the operator, and small enough.
function names.is_subnet(settings)
  return function(text)
    local first, bits = forms.range(text)
    for _, range in ipairs(settings.subnets) do
      if first and bits >= math.max(range.bits, FEWEST_BITS) and first >> (32 - range.bits) == range.first >> (32 - range.bits) then
        return true
      end
    end
    return false
  end
end

return names
