-- Builds page change events and answers of the Action API for specs.

local testing = require "millrace.testing"

local _M = {}

_M.NOW = 1741964966          -- 2025-03-14T15:09:26Z
_M.MOMENTS_AGO = "2025-03-14T15:09:24.000Z"
_M.LONG_AGO = "2025-03-14T15:00:00Z"

---An edit of revision 200 of page 20 of de.wikipedia.org. `change` may alter it before it is given back.
function _M.event(change)
  local event = {
    ["$schema"] = "/mediawiki/page/change/1.2.0",
    changelog_kind = "update",
    page_change_kind = "edit",
    dt = _M.LONG_AGO,
    wiki_id = "dewiki",
    meta = {
      stream = "mediawiki.page_change.v1",
      id = "7b5ac30d-1a4b-4a0f-8a6c-000000000001",
      domain = "de.wikipedia.org",
      dt = _M.MOMENTS_AGO,
      request_id = "5a0a5bd4-9b57-4c1e-8a2a-1d8a6a3a9d11",
    },
    page = { page_id = 20, page_title = "Mühle", namespace_id = 0, is_redirect = false },
    revision = {
      rev_id = 200,
      rev_dt = _M.LONG_AGO,
      is_content_visible = true,
      content_slots = {
        main = { slot_role = "main", content_model = "wikitext", content_size = 1000, origin_rev_id = 200 },
      },
    },
  }
  if change then
    change(event)
  end
  return event
end

---The part of revision 200, as the split hook makes it. `change` gets the revision and the part.
function _M.part(change)
  local part = {
    page_id = 20,
    title = "Mühle",
    revision = {
      revid = 200,
      slots = {
        main = { contentmodel = "wikitext", contentformat = "text/x-wiki", content = "Klipp klapp" },
      },
    },
  }
  if change then
    change(part.revision, part)
  end
  return part
end

function _M.response(part)
  return { status = 200, headers = {}, json = part, attempts = 1, elapsed = 0.1 }
end

function _M.meta(change)
  local meta = { topic = "page_change", partition = 0, offset = 7, headers = {}, attempt = 1, now = _M.NOW }
  for name, value in pairs(change or {}) do
    meta[name] = value
  end
  return meta
end

---A script of the shipped ones, with these `script.params`.
function _M.script(name, params, options)
  options = options or {}
  options.params = params
  return testing.script("scripts/" .. name .. ".lua", options)
end

---The functions of lib.mediawiki, in the state of a script with these `script.params`.
function _M.mediawiki(params)
  return _M.script("page_content_change", params):module "lib.mediawiki"
end

---A whole answer of the Action API that holds this part (see _M.part).
function _M.answer(part)
  if part.missing then
    local bad = { ["200"] = { revid = 200, missing = true } }
    return { json = { batchcomplete = true, query = { badrevids = bad } } }
  end
  local page = { pageid = part.page_id, ns = 0, title = part.title, revisions = { part.revision } }
  return { json = { batchcomplete = true, query = { pages = { page } } } }
end

return _M
