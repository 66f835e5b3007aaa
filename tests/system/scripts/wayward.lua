-- Does what the event's comment says, sensible or not: for the tests of bad hooks.
local millrace = require "millrace"

local deeds = {
  loop = function()
    while true do end
  end,
  loop_in_pcall = function()
    while true do
      pcall(function() while true do end end)
    end
  end,
  huge = function()
    local text = ("x"):rep(1024 * 1024)
    while true do text = text .. text end
  end,
  recursion = function()
    local function deeper(text)
      return (text:gsub(".", deeper))
    end
    return deeper "x"
  end,
  error = function() error "as told" end,
  error_object = function() error { code = 7 } end,
  index = function(event) return event.nowhere.to_be.found end,
  ["nil"] = function() return nil end,
  empty = function() return {} end,
  number = function() return 42 end,
  fail = function() return millrace.fail("AsTold", "the script said so") end,
  drop = function() return millrace.drop("as_told") end,
  pass = function() return millrace.pass() end,
}

local function deed_of(event, hook)
  local where, name = (event.comment or ""):match "^(%w+):([%w_]+)$"
  return where == hook and deeds[name] or nil
end

return {
  api = 1,
  request = function(event)
    local deed = deed_of(event, "request")
    if deed then return deed(event) end
    return {
      host = event.meta.domain,
      query = {
        action = "query", format = "json", formatversion = "2", prop = "revisions", rvslots = "*",
        rvprop = "ids|content", revids = event.revision.rev_id,
      },
    }
  end,
  transform = function(event, response)
    local deed = deed_of(event, "transform")
    if deed then return deed(event) end
    local revision = response.json.query.pages[1].revisions[1]
    for role, slot in pairs(revision.slots) do
      event.revision.content_slots[role].content_body = slot.content
    end
    return event
  end,
}
