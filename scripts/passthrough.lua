-- A copy of a stream, with less in it: no lookup, so there is no `request` hook either.
--
-- It shows the three things that a script can do with an event: publish it as it came, publish what was made
-- of it, publish nothing.
--
-- Settings in `script.params`:
--     only      {member = value, ...}: events that differ are dropped, such as {wiki_id: enwiki}   (all pass)
--     without   [member, ...]: what is left out of an event, such as [performer, revision.editor]  (nothing)
--
-- passthrough.yaml is a configuration to start from.

local millrace = require "millrace"

local only, without = millrace.params.only or {}, millrace.params.without or {}


-- "revision.editor": the table that holds it, and the last name. nil where the event has none.
local function place_of(event, path)
  local parent, name = nil, nil
  for step in path:gmatch("[^.]+") do
    parent = name == nil and event or parent[name]
    if type(parent) ~= "table" then
      return nil
    end
    name = step
  end
  return parent[name] ~= nil and parent or nil, name
end


local function is_wanted(event)
  for path, value in pairs(only) do
    local parent, name = place_of(event, path)
    if not parent or parent[name] ~= value then
      return false
    end
  end
  return true
end


---@type millrace.script
return {
  api = 1,

  transform = function(event)
    if type(event.meta) == "table" and event.meta.domain == "canary" then
      return millrace.drop("canary")     -- published nowhere; counted, with this reason
    end
    if not is_wanted(event) then
      return millrace.drop("not_wanted")
    end
    local changed = false
    for _, path in ipairs(without) do
      local parent, name = place_of(event, path)
      if parent then
        parent[name], changed = nil, true
      end
    end
    if not changed then
      return millrace.pass()             -- the input itself, byte for byte where the sink has no stream
    end
    return event                         -- a plain table: what was not touched comes out digit for digit
  end,
}
