-- Read JSON strictly: every parser understands what this accepts in the same way.
-- Plain ASCII, whole numbers, no duplicate keys, nothing after the value.

local json = {}

local DEEPEST = 12 -- levels of lists and objects
local DIGITS = 18 -- of a number, so that it fits into 64 bits
local ESCAPED = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
ESCAPED['"'], ESCAPED["\\"], ESCAPED["/"] = '"', "\\", "/"
local WORDS = { ["true"] = true, ["false"] = false }

json.null = {} -- `null`, because a table cannot hold Lua's nil

-- Objects and lists are tables: { kind = "object", keys = {...}, values = {...}, escaped = {...} }, and
-- { kind = "list", ... }. `escaped` has the keys that were written with escapes.

local function fail(why)
  error({ reason = "JSON: " .. why }, 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local read_value

local function unit(text, at)
  local digits = text:match("^%x%x%x%x", at) or fail("an escape is cut off")
  return tonumber(digits, 16)
end

-- Return the character of the escape at `at`, behind its `\u`, and where it ends.
local function character(text, at)
  local code = unit(text, at)
  at = at + 4
  if code >= 0xD800 and code <= 0xDBFF then
    local low = text:sub(at, at + 1) == "\\u" and unit(text, at + 2) or 0
    if low < 0xDC00 or low > 0xDFFF then
      fail("half a character")
    end
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
    at = at + 6
  elseif code >= 0xDC00 and code <= 0xDFFF then
    fail("half a character")
  elseif code == 0 then
    fail("a zero in a text")
  end
  return utf8.char(code), at
end

-- Return the text whose opening quote is at `at`, where it ends, and whether it has escapes.
local function read_text(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = text:find('["\\]', from) or fail("a text has no end")
    parts[#parts + 1] = text:sub(from, stop - 1)
    if parts[#parts]:find("[^ -~]") then
      fail("a character that is not plain ASCII")
    end
    if text:byte(stop) == 34 then
      return table.concat(parts), stop + 1, #parts > 1
    end
    local letter = text:sub(stop + 1, stop + 1)
    if letter == "u" then
      parts[#parts + 1], from = character(text, stop + 2)
    else
      parts[#parts + 1] = ESCAPED[letter] or fail("an unknown escape")
      from = stop + 2
    end
  end
end

local function read_number(text, at)
  local digits = text:match("^-?%d+", at) or fail("no value where one belongs")
  local bare = digits:gsub("^-", "")
  if (#bare > 1 and bare:byte() == 48) or #bare > DIGITS or digits == "-0" then
    fail("a number in an odd form")
  end
  at = at + #digits
  if text:find("^[%w.+-]", at) then
    fail("a number in an odd form")
  end
  return math.tointeger(tonumber(digits)), at
end

local function read_list(text, at, depth)
  local found = { kind = "list" }
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then
    return found, at + 1
  end
  while true do
    found[#found + 1], at = read_value(text, at, depth + 1)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "]" then
      return found, at + 1
    elseif mark ~= "," then
      fail("a list is broken")
    end
    at = skip(text, at + 1)
  end
end

local function read_object(text, at, depth)
  local found = { kind = "object", keys = {}, values = {}, escaped = {} }
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then
    return found, at + 1
  end
  while true do
    if text:sub(at, at) ~= '"' then
      fail("an object is broken")
    end
    local key, value, escaped
    key, at, escaped = read_text(text, at)
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then
      fail("an object is broken")
    elseif found.values[key] ~= nil then
      fail("a key twice")
    end
    value, at = read_value(text, skip(text, at + 1), depth + 1)
    found.keys[#found.keys + 1], found.values[key] = key, value
    found.escaped[key] = escaped or nil
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "}" then
      return found, at + 1
    elseif mark ~= "," then
      fail("an object is broken")
    end
    at = skip(text, at + 1)
  end
end

function read_value(text, at, depth)
  local mark = text:sub(at, at)
  if depth > DEEPEST then
    fail("too deep")
  elseif mark == '"' then
    local found, stop = read_text(text, at)
    return found, stop
  elseif mark == "{" then
    return read_object(text, at, depth)
  elseif mark == "[" then
    return read_list(text, at, depth)
  end
  local word = text:match("^%a+", at)
  if not word then
    return read_number(text, at)
  elseif word == "null" then
    return json.null, at + #word
  elseif WORDS[word] == nil then
    fail("an unknown word")
  end
  return WORDS[word], at + #word
end

-- Return the value of `text`. Raises { reason = ... } if it has none.
function json.read(text)
  local found, at = read_value(text, skip(text, 1), 1)
  if skip(text, at) <= #text then
    fail("something after the value")
  end
  return found
end

-- Return whether two values are equal, whatever the order of keys.
function json.same(one, other)
  if type(one) ~= "table" or type(other) ~= "table" or one == json.null or other == json.null then
    return one == other
  elseif one.kind ~= other.kind then
    return false
  elseif one.kind == "list" then
    for index = 1, math.max(#one, #other) do
      if not json.same(one[index], other[index]) then
        return false
      end
    end
    return true
  end
  for _, key in ipairs(one.keys) do
    if other.values[key] == nil or not json.same(one.values[key], other.values[key]) then
      return false
    end
  end
  return #one.keys == #other.keys
end

return json
