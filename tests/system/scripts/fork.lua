-- Publishes each event to the sink main and its number to the sink copy: for the tests of several sinks.
local millrace = require "millrace"

return {
  api = 1,
  transform = function(event)
    if event.only then return millrace.output { value = event, to = event.only } end
    return millrace.outputs(
      millrace.output { value = event, to = "main" },
      millrace.output { value = { number = event.number }, to = "copy" })
  end,
}
