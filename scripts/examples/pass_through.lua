-- The smallest script: no lookup. Bots' edits are dropped, minor edits pass, the rest is marked.

local millrace = require "millrace"

---@type millrace.script
return {
  api = 1,

  -- Without a `request` hook nothing is asked, and `transform` gets the event alone.
  transform = function(event)
    local performer = event.performer or {}
    if performer.is_bot then
      return millrace.drop("bot")          -- publishes nothing; counted, with this reason
    end
    if event.revision.is_minor_edit then
      return millrace.pass()               -- publishes the input, untouched
    end
    event.major = true                     -- a plain table: change what you like, the rest stays as it was
    return event
  end,
}
