-- Page changes become HTML changes: the page as readers see it, and what the edit changed in it.
--
-- In:  mediawiki.page_change   what happened to a page: who, when, which revision
-- Out: the same event with
--        rendering.content_body       the revision's HTML
--        rendering.content_format     "text/html"
--        rendering.content_size       bytes of it
--        rendering.render_id          the wiki's name for this rendering (its ETag), where it gave one
--        rendering.diff_from_parent   of an edit or a move: unified diff from the parent's HTML; "" if equal
--        rendering.diff_missing       why there is no diff: too_large, timeout, no_parent
--
-- Settings in `script.params`:
--     diff_context   unchanged lines around a change                         (3)
--     diff_max       bytes: larger HTML is published without a diff          (2097152)
--     missing        fail | pass: a revision that is not there after 10 s    (fail)
--
-- The members of `rendering` are this script's; where the sink pins a schema, name them its way in
-- `rendering_of` and `add_diff`. page_html_change.yaml is a configuration to start from.

local millrace = require "millrace"
local mediawiki = require "lib.mediawiki"
local rest = require "lib.mediawiki_rest"

local MiB = 1024 * 1024

-- Kinds of a change whose revision has a parent that readers saw before.
local COMPARED = { edit = true, move = true }


-- Other content has no HTML worth having: a Wikidata item, a page of Lua.
local function is_wikitext(event)
  local slots = type(event.revision) == "table" and event.revision.content_slots
  local main = type(slots) == "table" and slots.main
  return type(main) ~= "table" or main.content_model == nil or main.content_model == "wikitext"
end


local function parent_request(event)
  local parent = event.revision.rev_parent_id
  if not COMPARED[event.page_change_kind] or not mediawiki.digits(parent) then
    return nil
  end
  local asked = rest.html_request(event, parent)
  asked.accept = nil
  asked.optional = true                  -- without it the event goes out even so
  return asked
end


local function rendering_of(html, response)
  return {
    content_body = html,
    content_format = "text/html",
    content_size = #html,
    render_id = response.headers.etag,
  }
end


-- Waits while another thread compares; other events go on.
local function add_diff(rendering, parent)
  if parent.error or not parent.body then
    rendering.diff_missing = "no_parent"
    return
  end
  local params = millrace.params
  rendering.diff_from_parent, rendering.diff_missing = millrace.diff(parent.body, rendering.content_body, {
    context = params.diff_context or 3,
    max = params.diff_max or 2 * MiB,
  })
end


---@type millrace.script
return {
  api = 1,

  request = function(event)
    if mediawiki.is_canary(event) then
      return millrace.drop("canary")
    end
    if not is_wikitext(event) then
      return millrace.drop("not_wikitext")
    end
    if not mediawiki.has_visible_content(event) then
      return millrace.pass()
    end
    local asked = rest.html_request(event, (event.revision or {}).rev_id)
    if not asked.path then
      return asked                       -- a verdict: the event names no wiki or no revision
    end
    return { asked, parent_request(event) }        -- both at once; the second one may be absent
  end,

  transform = function(event, responses, meta)
    local html, verdict = rest.html(responses[1], event, meta)
    if not html then
      return verdict                     -- not there yet: retry; never: as `missing` says
    end
    event.rendering = rendering_of(html, responses[1])
    if responses[2] then
      add_diff(event.rendering, responses[2])
    end
    return event
  end,

  selftest = function()
    local event = { meta = { domain = "test.example.org" }, page_change_kind = "edit",
      revision = { rev_id = 1351079888211148, rev_parent_id = 7 } }
    local asked = rest.html_request(event, event.revision.rev_id)
    assert(asked.path == "/revision/1351079888211148/html", "a revision id is not asked digit for digit")
    assert(parent_request(event).path == "/revision/7/html", "the parent is not asked")
  end,
}
