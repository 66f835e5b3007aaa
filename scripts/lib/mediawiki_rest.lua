-- What is known about MediaWiki's REST API: how to ask for a revision's HTML, and what the answers mean.
--
--     request   = rest.html_request(event, event.revision.rev_id)
--     transform = rest.html(response, event, meta)              the HTML, or nil and a verdict
--
-- Facts are MediaWiki's own: includes/Rest/Handler/RevisionHTMLHandler.php. GET /revision/{id}/html answers
-- text/html; 404 where there is no such revision (yet), 4xx where its content has no HTML.

local millrace = require "millrace"
local mediawiki = require "lib.mediawiki"

-- A parse may take a minute; the proxy in front of the wiki gives up after that.
local LONGEST = 65

local _M = {}


---The question for a revision's HTML, as bytes. The upstream's url is that of the REST API: .../w/rest.php/v1
---@param event millrace.event
---@param rev_id number|millrace.number
---@return millrace.request|millrace.verdict
function _M.html_request(event, rev_id)
  local meta = type(event.meta) == "table" and event.meta or {}
  local id = mediawiki.digits(rev_id)
  if not mediawiki.is_host(meta.domain) then
    return millrace.fail("InvalidEvent", "meta.domain is no host name")
  end
  if not id then
    return millrace.fail("InvalidEvent", "the revision's id is no integer above 0")
  end
  return {
    host = meta.domain,
    path = millrace.path("/revision/", id, "/html"),
    headers = mediawiki.headers(event),
    expect = "bytes",
    accept = { 404 },                    -- a replica may be late: `html` looks at how old the event is
    timeout = LONGEST,
  }
end


---The HTML of the event's own revision, or nil and a verdict.
---@param response millrace.response
---@param event millrace.event
---@param meta millrace.meta
---@return string?
---@return millrace.verdict?
function _M.html(response, event, meta)
  if response.status == 404 then
    return nil, mediawiki.missing(event, meta)
  end
  if response.body == nil or response.body == "" then
    return nil, millrace.fail("NoHtml", "the wiki answered nothing at all for the revision")
  end
  return response.body
end


return _M
