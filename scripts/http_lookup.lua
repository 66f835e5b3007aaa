-- Any event, any JSON API: one lookup by a path made from the event, and the answer goes into the event.
--
-- It needs no code of yours, only `script.params`:
--     path      "/users/{user.id}"            {...} is a member of the event; ids keep all their digits
--     query     {lang: "{language}"}          parameters, likewise                              (none)
--     into      "user_details"                where the answer goes; "a.b" for a member of a member
--     take      [name, country]               of the answer, only these members                    (all)
--     missing   pass | drop | fail            what becomes of an event that the API knows nothing of  (pass)
--     headers   {Accept-Language: en}         sent with each request                            (none)
--
-- http_lookup.yaml is a configuration to start from; for more than this, write a script: README.md.

local millrace = require "millrace"

local params = millrace.params
local MISSING = { pass = true, drop = true, fail = true }


local function member(event, path)
  local value = event
  for step in path:gmatch("[^.]+") do
    value = type(value) == "table" and value[step] or nil
  end
  if value == millrace.json.null or type(value) == "table" then
    return nil
  end
  return value
end


-- The template with the event's members in it, each as `encode` writes it. nil and the name of the first one
-- that the event lacks.
local function filled(template, event, encode)
  local lacks
  local text = template:gsub("{([^{}]+)}", function(path)
    local value = member(event, path)
    if value == nil or value == "" then
      lacks = lacks or path
      return ""
    end
    return encode(value)
  end)
  if lacks then
    return nil, lacks
  end
  return text
end


local function digits(value)
  return type(value) == "number" and millrace.json.encode(value) or tostring(value)
end


local function put(event, path, value)
  local parent, names = event, {}
  for step in path:gmatch("[^.]+") do
    names[#names + 1] = step
  end
  for i = 1, #names - 1 do
    if type(parent[names[i]]) ~= "table" then
      parent[names[i]] = {}
    end
    parent = parent[names[i]]
  end
  parent[names[#names]] = value
end


local function taken(answer)
  if not params.take or type(answer) ~= "table" then
    return answer
  end
  local some = {}
  for _, name in ipairs(params.take) do
    some[name] = answer[name]
  end
  return some
end


local function not_there(what)
  local missing = params.missing or "pass"
  if missing == "drop" then
    return millrace.drop("not_found")
  end
  if missing == "fail" then
    return millrace.fail("NotFound", what)
  end
  return millrace.pass()
end


---@type millrace.script
return {
  api = 1,

  request = function(event)
    local path, lacks = filled(params.path, event, millrace.escape)
    local query = {}
    for name, template in pairs(params.query or {}) do
      local value, other = filled(template, event, digits)     -- the engine encodes it
      query[name], lacks = value, lacks or other
    end
    if lacks then
      return not_there(("the event has no %s"):format(lacks))
    end
    return { path = path, query = query, headers = params.headers, accept = { 404, 410 } }
  end,

  transform = function(event, response)
    if response.status == 404 or response.status == 410 then
      return not_there(("the API answers %d"):format(response.status))
    end
    put(event, params.into, taken(response.json))
    return event
  end,

  selftest = function()
    assert(type(params.path) == "string" and params.path:sub(1, 1) == "/", "params.path must begin with '/'")
    assert(type(params.into) == "string" and params.into:find("^[^.]"), "params.into must name a member")
    assert(MISSING[params.missing or "pass"], "params.missing: expected pass, drop or fail")
  end,
}
