-- Adds to each event about a planet what the service knows of it.
--
-- `request` says what to ask, `transform` what to make of the answer; the engine does the rest. Keep nothing
-- between events.

local millrace = require "millrace"

---@type millrace.script
return {
  api = 1,

  request = function(event)
    if event.kind == "test" then
      return millrace.drop("test")                -- publishes nothing; counted, with this reason
    end
    if type(event.title) ~= "string" then
      return millrace.fail("NoTitle", "the event has no title")
    end
    return { path = millrace.path("/", event.title, ".json"), accept = { 404 } }
  end,

  transform = function(event, response)
    if response.status == 404 then
      return millrace.pass()                      -- publishes the input, untouched
    end
    event.radius_km = response.json.radius_km
    return event
  end,
}
