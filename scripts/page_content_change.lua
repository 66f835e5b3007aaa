-- Page changes become page content changes: every event about a visible revision gets that revision's text.
--
-- In:  mediawiki.page_change          what happened to a page: who, when, which revision
-- Out: mediawiki.page_content_change  the same event, with content_body in each of revision.content_slots
--
-- The engine calls `request` once per event, asks the wiki, and calls `transform` with the answer. What the
-- two return decides the event's fate; types/millrace.lua has all that they may return.

local millrace = require "millrace"
local mediawiki = require "lib.mediawiki"

local is_canary, has_visible_content = mediawiki.is_canary, mediawiki.has_visible_content


---@type millrace.script
return {
  api = 1,

  request = function(event)
    if is_canary(event) then
      return millrace.drop("canary")
    end
    if not has_visible_content(event) then
      return millrace.pass()                       -- published as it came
    end
    return mediawiki.revision_request(event)       -- create, edit, move, undelete, visibility_change
  end,

  -- The engine joins questions to one wiki, up to 50 in a call. This takes the answer apart again.
  revisions = mediawiki.revisions_by_id,

  transform = function(event, response, meta)
    local revision, verdict = mediawiki.revision(response, event, meta)
    if not revision then
      return verdict                               -- not there yet: retry; hidden since: pass; else fail
    end
    return mediawiki.add_content(event, revision)
  end,

  -- Runs when the script is loaded: a script that is wrong here never gets an event.
  selftest = function()
    local event = {
      page_change_kind = "edit",
      meta = { domain = "test.example.org" },
      page = { page_id = 1 },
      revision = { rev_id = 1351079888211148, content_slots = { main = {} } },
    }
    local request = mediawiki.revision_request(event)
    assert(request.query.revids == "1351079888211148", "a revision id is not asked digit for digit")
    local answer = { query = { pages = { { pageid = 1, revisions = {
      { revid = 1351079888211148, slots = { main = { content = "text" } } },
    } } } } }
    local parts = mediawiki.revisions_by_id(answer, { request.query.revids })
    local response = { json = parts[request.query.revids] }
    local revision = mediawiki.revision(response, event, { attempt = 1, now = 0 })
    mediawiki.add_content(event, revision)
    assert(event.revision.content_slots.main.content_body == "text", "the content does not reach its slot")
  end,
}
