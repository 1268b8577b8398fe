-- The forms that values may have. A form is a function of a value and its location; it raises
-- { reason = ... } for a value that does not match.

local json = require("json")

local forms = {}

local LONGEST = 16384 -- bytes of one text

function forms.refuse(where, why)
  error({ reason = where .. ": " .. why }, 0)
end

local function kind(value)
  return type(value) == "table" and value.kind or type(value)
end

local function must_be(wanted, value, where)
  if kind(value) ~= wanted then
    forms.refuse(where, "not allowed in this form")
  end
end

-- Text that matches `fits`, a pattern or a function, if given.
function forms.text(fits, longest)
  return function(value, where)
    must_be("string", value, where)
    local good = #value <= (longest or LONGEST)
    if good and type(fits) == "string" then
      good = value:find(fits) ~= nil
    elseif good and fits then
      good = fits(value)
    end
    if not good then
      forms.refuse(where, "this value is not allowed")
    end
  end
end

-- One of several texts.
function forms.one_of(...)
  local known = {}
  for _, word in ipairs({ ... }) do
    known[word] = true
  end
  return forms.text(function(value)
    return known[value] == true
  end)
end

function forms.whole(least, most)
  return function(value, where)
    if math.type(value) ~= "integer" or value < least or value > most then
      forms.refuse(where, "this number is not allowed")
    end
  end
end

function forms.bool(value, where)
  must_be("boolean", value, where)
end

function forms.no(value, where)
  if value ~= false then
    forms.refuse(where, "not allowed")
  end
end

-- `null`, or what `form` takes.
function forms.maybe(form)
  return function(value, where)
    if value ~= json.null then
      form(value, where)
    end
  end
end

function forms.null(value, where)
  if value ~= json.null then
    forms.refuse(where, "not allowed")
  end
end

function forms.list(form, most, least)
  return function(value, where)
    must_be("list", value, where)
    if #value > (most or 1024) or #value < (least or 0) then
      forms.refuse(where, "too many or too few entries")
    end
    for _, entry in ipairs(value) do
      form(entry, where)
    end
  end
end

-- An object whose keys are data, of the form `key`.
function forms.map(key, form)
  return function(value, where)
    must_be("object", value, where)
    for _, name in ipairs(value.keys) do
      key(name, where)
      form(value.values[name], where)
    end
  end
end

-- An object with only the keys of this list, spelled exactly so; those of the second list are required.
function forms.object(known, needed)
  return function(value, where)
    must_be("object", value, where)
    for _, name in ipairs(value.keys) do
      local place = where == "" and name or where .. "." .. name
      if not known[name] or value.escaped[name] then
        forms.refuse(place, "not allowed")
      end
      known[name](value.values[name], place)
    end
    for _, name in ipairs(needed or {}) do
      if value.values[name] == nil then
        forms.refuse(where == "" and name or where .. "." .. name, "missing")
      end
    end
  end
end

-- Return the four bytes of an IPv4 address as one number; nil if it is not one.
function forms.ipv4(text)
  local number, count = 0, 0
  for part in (text .. "."):gmatch("(%d*)%.") do
    local byte = tonumber(part)
    if not byte or byte > 255 or (#part > 1 and part:byte() == 48) then
      return nil
    end
    number, count = number * 256 + byte, count + 1
  end
  return count == 4 and text:find("^[%d.]+$") and number or nil
end

-- Return the first address of a range like 198.18.0.0/15, and its bits; nil if it is not one.
function forms.range(text)
  local address, bits = text:match("^([%d.]+)/(%d%d?)$")
  local first = address and forms.ipv4(address)
  bits = tonumber(bits)
  if not first or bits > 32 or first % (1 << (32 - bits)) ~= 0 then
    return nil
  end
  return first, bits
end

function forms.is_address(text)
  return forms.ipv4(text) ~= nil or (#text < 46 and text:find("^%x*:[%x:.]+$") ~= nil)
end

return forms
