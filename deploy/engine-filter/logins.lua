-- Registry logins, as in the header X-Registry-Auth: JSON in URL-safe base64.

local forms = require("forms")
local json = require("json")
local names = require("names")

local text, maybe = forms.text, forms.maybe

local LONGEST = 16384 -- bytes of a header; tokens are long
local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

local logins = {}

local function decoded(value, where)
  local bare = value:match("^([%w_-]+)=?=?$")
  if not bare or #value % 4 ~= 0 then
    forms.refuse(where, "not allowed in this form")
  end
  local bytes, bits, count = {}, 0, 0
  for letter in bare:gmatch(".") do
    bits, count = (bits << 6 | ALPHABET:find(letter, 1, true) - 1) & 0xFFFF, count + 6
    if count >= 8 then
      count = count - 8
      bytes[#bytes + 1] = string.char(bits >> count & 255)
    end
  end
  return table.concat(bytes)
end

-- A login for a registry that the engine may contact; empty for none.
function logins.at(settings)
  local function is_known(address)
    local bare = address:gsub("^https?://", ""):match("^[^/]*")
    return settings.registries[bare] == true or (settings.registries[names.HUB] and bare == names.HUBS_INDEX)
  end
  local secret, place = text(nil, LONGEST), text(is_known, 255)
  local login = forms.object({
    username = secret,
    Username = secret,
    password = secret,
    Password = secret,
    email = maybe(secret),
    serveraddress = place,
    ServerAddress = place,
    IdentityToken = secret,
  })
  return function(value, where)
    text(nil, LONGEST)(value, where)
    login(json.read(decoded(value, where)), where)
  end
end

return logins
