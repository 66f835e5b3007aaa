-- A stand-in for the engine's module: verdicts are plain tables, so that a spec can look at them.
--
-- As the engine's, a verdict has the fields verdict, type, message, after and scope. Log lines are kept in
-- `log.lines`.

local ARRAY = {}

local millrace = {
  params = {},
  json = { null = newproxy and newproxy(false) },
  log = { lines = {} },
  hash = {},
  uuid = {},
  time = {},
}

local function check_name(name)
  assert(type(name) == "string" and #name <= 64 and name:find("^%a[%w_.-]*$"), "a name is an identifier")
end

function millrace.pass()
  return { verdict = "pass" }
end

function millrace.drop(reason)
  check_name(reason)
  return { verdict = "drop", type = reason }
end

function millrace.fail(kind, message)
  check_name(kind)
  assert(type(message) == "string", "a failure has a message")
  return { verdict = "fail", type = kind, message = message }
end

function millrace.retry(reason, options)
  check_name(reason)
  options = options or {}
  assert(not options.after or (options.after >= 0 and options.after <= 3600), "a wait is 0 to 3600 s")
  return { verdict = "retry", type = reason, after = options.after or 1, scope = options.scope or "lookup" }
end

function millrace.output(output)
  assert(type(output) == "table" and output.value ~= nil, "an output has a value")
  return { verdict = "output", value = output.value, to = output.to, key = output.key }
end

function millrace.outputs(...)
  return { verdict = "outputs", ... }
end

function millrace.fetch()
  error("fetch needs the engine", 2)
end

-- A coarse one: all of `a` goes, all of `b` comes.
function millrace.diff(a, b, options)
  assert(type(a) == "string" and type(b) == "string", "two texts")
  if math.max(#a, #b) > (options and options.max or 2 * 1024 * 1024) then
    return nil, "too_large"
  end
  return a == b and "" or ("--- a\n+++ b\n@@ -1 +1 @@\n-%s\n+%s\n"):format(a, b)
end

function millrace.escape(text)
  return (tostring(text):gsub("[^%w._~-]", function(byte)
    return ("%%%02X"):format(byte:byte())
  end))
end

function millrace.path(...)
  local parts = { ... }
  for i, part in ipairs(parts) do
    if type(part) == "number" then
      parts[i] = ("%.0f"):format(part)
    elseif part:sub(1, 1) ~= "/" then
      parts[i] = millrace.escape(part)
    end
  end
  return table.concat(parts)
end

function millrace.json.array(list)
  return setmetatable(list or {}, ARRAY)
end

function millrace.json.is_array(value)
  return getmetatable(value) == ARRAY
end

function millrace.json.decode()
  error("decode needs the engine", 2)
end
millrace.json.encode = millrace.json.decode

function millrace.json.number(text)
  return tonumber(text)
end

for _, level in ipairs { "debug", "info", "warn", "error" } do
  millrace.log[level] = function(message)
    table.insert(millrace.log.lines, level .. " " .. message)
  end
end

for _, name in ipairs { "md5", "sha1", "sha256" } do
  millrace.hash[name] = function(bytes)
    return name .. ":" .. #bytes
  end
end

function millrace.uuid.v4()
  return "00000000-0000-4000-8000-000000000000"
end

function millrace.uuid.v5(_, name)
  return ("%08x-0000-5000-8000-000000000000"):format(#name)
end

function millrace.time.now()
  return 0
end

-- Days since 1970-01-01 of a date of the Gregorian calendar.
local function days(year, month, day)
  local shifted = month > 2 and year or year - 1
  local day_of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  return 365 * shifted + math.floor(shifted / 4) - math.floor(shifted / 100) + math.floor(shifted / 400)
    + day_of_year - 719468
end

function millrace.time.parse(text)
  if type(text) ~= "string" then
    return nil
  end
  local year, month, day, hour, minute, second =
    text:match("^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):([%d.]+)Z$")
  if not year then
    return nil
  end
  return days(tonumber(year), tonumber(month), tonumber(day)) * 86400 + hour * 3600 + minute * 60 + second
end

function millrace.time.format(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S.000Z", seconds)
end

return millrace
