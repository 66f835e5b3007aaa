-- A page's HTML by REST: a path made from the event, an answer that is not JSON, a status that is an answer.
--
-- http.upstreams: {rest: {url: "http://localhost:6501/w/rest.php/v1", timeout: 65s}}

local millrace = require "millrace"

---@type millrace.script
return {
  api = 1,

  request = function(event)
    return {
      upstream = "rest",
      host = event.meta.domain,            -- which wiki; the url says where its servers are
      path = millrace.path("/revision/", event.revision.rev_id, "/html"),   -- all digits; `..` has 14
      expect = "bytes",                    -- do not parse the answer
      accept = { 404 },                    -- an answer, too; other failures are retried, then refused
    }
  end,

  transform = function(event, response)
    if response.status == 404 then
      return millrace.fail("NoHtml", "the wiki has no HTML for this revision")
    end
    event.html = response.body
    return event
  end,
}
