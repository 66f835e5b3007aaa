-- What is known about MediaWiki's Action API: how to ask for a revision, and what every answer means.
--
-- A script that adds a revision's content to an event is made of four of its functions:
--
--     request   = mediawiki.revision_request(event)           the question, or a verdict
--     revisions = mediawiki.revisions_by_id                   takes an answer for up to 50 revisions apart
--     transform = mediawiki.revision(response, event, meta)   the revision, or nil and a verdict
--                 mediawiki.add_content(event, revision)      the event, with content_body in its slots
--
-- Two settings of the configuration's `script.params` are read here:
--
--     missing            fail | pass     a revision that is not there after 10 s   (fail)
--     page_id_mismatch   accept | fail   a revision that is on another page now    (accept)
--
-- Jobs of other kinds use its smaller functions: is_canary, has_visible_content, digits, is_host, headers,
-- missing. What is known about the REST API is in lib/mediawiki_rest.lua.
--
-- Facts are MediaWiki's own: includes/Api/ApiMain.php, ApiPageSet.php and ApiQueryRevisionsBase.php.

local millrace = require "millrace"

local fail, pass, retry = millrace.fail, millrace.pass, millrace.retry

-- One call answers 50 revisions for clients without the right `apihighlimits`.
local MOST_REVISIONS = 50
local UNKNOWN_SIZE = 64 * 1024
local LARGEST_SIZE = 2 ^ 30
-- A replica showed every revision that was late within 7 s of the event's arrival.
local LATE_FOR = 10
local LATE_WAIT = 1.5
local LONGEST_PAUSE = 60
local LARGEST_EXACT = 2 ^ 53
-- "sha1" is asked for its `sha1hidden`, the sizes for people who look at a recorded answer.
local PROPERTIES = "ids|timestamp|size|sha1|content|contentmodel|slotsize|slotsha1|flags"

-- Error codes that speak of the moment, with the wait in seconds where the answer has no Retry-After.
local TRY_LATER = { maxlag = 5, ratelimited = 1, readonly = 5 }
-- Error codes that are counted by their name; others are "other": the wiki's extensions bring more of them.
local COUNTED = {}
for code in ([[maxlag ratelimited readonly internal_api_error accessdenied permissiondenied readapidenied
  badrevids badvalue blocked nosuchrevid toomanyvalues unknown_action unrecognizedvalue]]):gmatch("%S+") do
  COUNTED[code] = true
end
local WRONG_URL = "the upstream's url must be that of an Action API (.../w/api.php)"
local ACCESS_DENIED = { accessdenied = true, permissiondenied = true, readapidenied = true }

local api_errors = millrace.counter("mwapi_errors",
  "Answers of the Action API that are an error, by its code.", { "code" })
local api_warnings = millrace.counter("mwapi_warnings",
  "Answers of the Action API that bring a warning about one of its modules.")
local missing_revisions = millrace.counter("missing_revisions",
  "Times that the wiki did not have a revision, first looks at a late replica too.")
local page_id_mismatches = millrace.counter("page_id_mismatches",
  "Revisions that are on another page now than their event says, accepted or not.")

local _M = {}


local function choice(name, default, other)
  local value = (millrace.params or {})[name]
  if value == nil then
    return default
  end
  if value ~= default and value ~= other then
    error(('script.params.%s is "%s": expected %s or %s'):format(name, tostring(value), default, other), 0)
  end
  return value
end

local missing_is = choice("missing", "fail", "pass")
local page_id_mismatch_is = choice("page_id_mismatch", "accept", "fail")


---Canaries are probes that test the stream itself, and no wiki has that name. Output streams get their own.
---@param event millrace.event
---@return boolean
function _M.is_canary(event)
  return type(event.meta) == "table" and event.meta.domain == "canary"
end


---A deleted page has no content to ask for, and hidden content is not to be asked for.
---@param event millrace.event
---@return boolean
function _M.has_visible_content(event)
  if event.page_change_kind == "delete" then
    return false
  end
  return type(event.revision) ~= "table" or event.revision.is_content_visible ~= false
end


---The digits of an integer >= 1, or nil: `tostring` rounds numbers to 14 digits.
---@param value any
---@return string?
local function digits(value)
  if type(value) == "number" then
    local whole = value >= 1 and value <= LARGEST_EXACT and value % 1 == 0
    return whole and ("%.0f"):format(value) or nil
  end
  local text = type(value) == "userdata" and tostring(value) or ""
  return text:match("^[1-9]%d*$")
end
_M.digits = digits


local function table_at(parent, name)
  local value = type(parent) == "table" and parent[name]
  return type(value) == "table" and value or nil
end


local function quoted(text)
  return '"' .. tostring(text):sub(1, 300) .. '"'
end


local function is_host(text)
  if type(text) ~= "string" or #text > 255 then
    return false
  end
  local port = text:match("^%w[%w._-]*(.*)$")
  return port == "" or (port ~= nil and #port <= 6 and port:find("^:%d+$") ~= nil)
end
_M.is_host = is_host


-- What is wrong with the event's shape as far as it is used here, or nil.
local function shape_error(event)
  if type(event) ~= "table" then
    return "the event is no object"
  end
  local meta, page, revision = table_at(event, "meta"), table_at(event, "page"), table_at(event, "revision")
  local domain = meta and meta.domain
  if not is_host(domain) then
    return "meta.domain is no host name"
  end
  if not page then
    return "page is no object"
  end
  if not revision or not digits(revision.rev_id) then
    return "revision.rev_id is no integer above 0"
  end
  if not table_at(revision, "content_slots") or next(revision.content_slots) == nil then
    return "revision.content_slots has no slot: there is no place for the content"
  end
  for role, slot in pairs(revision.content_slots) do
    if type(slot) ~= "table" then
      return ("revision.content_slots.%s is no object"):format(tostring(role):sub(1, 100))
    end
  end
  return nil
end


local function expected_bytes(slots)
  local sum = 0
  for _, slot in pairs(slots) do
    if type(slot.content_size) ~= "number" or slot.content_size < 0 then
      return UNKNOWN_SIZE
    end
    sum = sum + slot.content_size
  end
  return math.min(sum, LARGEST_SIZE)
end


---Headers that say what a request is for: the wiki's own log names the request that caused the event.
---@param event millrace.event
---@return table<string, string>
function _M.headers(event)
  local request_id = event.meta.request_id
  if type(request_id) == "string" and #request_id <= 128 and request_id:find("^[%w._-]+$") then
    return { ["X-Request-Id"] = request_id }
  end
  return {}
end


---The question for the revision of a page change event. The script's `revisions` must be `revisions_by_id`:
---it is what lets questions to one wiki share a call.
---@param event millrace.event
---@return millrace.request|millrace.verdict
function _M.revision_request(event)
  local wrong = shape_error(event)
  if wrong then
    return fail("InvalidEvent", wrong)
  end
  return {
    host = event.meta.domain,
    headers = _M.headers(event),
    query = {
      action = "query",
      format = "json",
      formatversion = "2",
      prop = "revisions",
      rvslots = "*",
      rvprop = PROPERTIES,
      revids = digits(event.revision.rev_id),
    },
    merge = {
      param = "revids",
      max = MOST_REVISIONS,
      bytes = expected_bytes(event.revision.content_slots),
      split = "revisions",
    },
  }
end


-- Seconds from a header such as "5": at least `default`, at most what a host may be paused for.
local function wait_for(response, default)
  local headers = response and response.headers
  local seconds = headers and tonumber(headers["retry-after"])
  return seconds and seconds > default and math.min(seconds, LONGEST_PAUSE) or default
end


-- An `error` member is about the whole call, whatever was asked.
local function call_verdict(problem, values, response)
  local code = type(problem) == "table" and type(problem.code) == "string" and problem.code or "unknown"
  local info = type(problem) == "table" and problem.info or ""
  local counted = code:find("^internal_api_error") and "internal_api_error" or code
  api_errors(COUNTED[counted] and counted or "other")
  local told = ("the API answers %s: %s"):format(quoted(code), quoted(info))
  if TRY_LATER[code] then
    return retry(code, { after = wait_for(response, TRY_LATER[code]), scope = "host" })
  end
  if code:find("^internal_api_error") then
    -- An exception may be one revision's fault: among several it is looked for, alone it is waited for.
    if #values > 1 then
      return fail("ApiException", told)
    end
    return retry("internal_api_error", { after = math.min(30, 2 ^ (response and response.attempts or 1)) })
  end
  if ACCESS_DENIED[code] then
    return fail("AccessDenied", told)
  end
  return fail("ApiError", told)
end


local function tell_warnings(warnings)
  for module in pairs(type(warnings) == "table" and warnings or {}) do
    if module ~= "result" then
      api_warnings()
      millrace.log.warn(("the Action API warns about its module %s"):format(quoted(module)))
    end
  end
end


local function add_page(parts, page)
  for _, revision in pairs(table_at(page, "revisions") or {}) do
    local id = type(revision) == "table" and digits(revision.revid)
    if id then
      parts[id] = { page_id = page.pageid, title = page.title, revision = revision }
    end
  end
end


---Takes an answer apart: for each revision `{page_id, title, revision}`, or `{missing = true}`. They come in
---the wiki's order, and an answer that grew too large leaves out the rest: those have no part.
---@param json any
---@param values string[]
---@param response? millrace.response
---@return table<string, table>|millrace.verdict
function _M.revisions_by_id(json, values, response)
  if type(json) ~= "table" then
    return fail("ApiError", "the answer is no JSON object; " .. WRONG_URL)
  end
  local problem = json.error or (table_at(json, "errors") or {})[1]
  if problem then
    return call_verdict(problem, values, response)
  end
  local query = table_at(json, "query")
  if not query and json.continue == nil and json.batchcomplete == nil then
    return fail("ApiError", "the answer has neither query nor error; " .. WRONG_URL)
  end
  tell_warnings(json.warnings)
  local parts = {}
  for _, page in pairs(table_at(query, "pages") or {}) do
    add_page(parts, page)
  end
  for id in pairs(table_at(query, "badrevids") or {}) do
    parts[tostring(id)] = { missing = true }
  end
  if #values == 1 and json.continue ~= nil and next(parts) == nil then
    return fail("ContentTooLarge", ("revision %s does not fit in an answer"):format(tostring(values[1])))
  end
  return parts
end


-- Seconds since the event came in; nil where nobody knows. It may have happened weeks before (`dt`).
local function age(event, meta)
  local came = millrace.time.parse(event.meta.dt) or millrace.time.parse(event.dt)
  return came and meta.now - came
end


---The verdict on a revision that the wiki does not have: retry while a replica may be late, then what
---`script.params.missing` says.
---@param event millrace.event
---@param meta millrace.meta
---@return millrace.verdict
function _M.missing(event, meta)
  missing_revisions()
  local seconds = age(event, meta)
  if seconds and seconds < LATE_FOR then
    return retry("missing_revision", { after = LATE_WAIT })
  end
  if missing_is == "pass" then
    return pass()
  end
  return fail("MissingRevision", ("revision %s is not on %s: deleted since, or never there")
    :format(digits(event.revision.rev_id), event.meta.domain))
end


-- The text may be present even so, where the client has the right to see it: it is not for others.
local function is_hidden(revision, slots)
  if revision.texthidden or revision.sha1hidden then
    return true
  end
  for role in pairs(slots) do
    local slot = table_at(slots, role) or {}
    if slot.texthidden or slot.sha1hidden or (revision.suppressed and slot.content == nil) then
      return true
    end
  end
  return false
end


-- The verdict on a slot of the event that comes without content (`textmissing`, `missing`, or not at all);
-- nil where it comes with it.
local function slot_verdict(role, slot, meta)
  if slot and (slot.badcontentformat or slot.nosuchsection) then
    return fail("ContentFormat", ("the API cannot write slot %s as text"):format(quoted(role)))
  end
  if slot and type(slot.content) == "string" then
    return nil
  end
  if meta.attempt <= 1 then
    return retry("missing_text", { after = 1 })
  end
  return fail("MissingText", ("slot %s has no text in the wiki's storage"):format(quoted(role)))
end


---The revision in a response, or nil and what to do instead: retry (the replica lags behind), pass (hidden
---since) or fail. `event` is the one that `revision_request` was asked with.
---@param response millrace.response
---@param event millrace.event
---@param meta millrace.meta
---@return table? revision
---@return millrace.verdict? verdict
function _M.revision(response, event, meta)
  if response.error then
    return nil, fail(response.error.type, response.error.message)
  end
  local part = response.json
  if type(part) ~= "table" or not (part.missing or part.revision) then
    local id = digits(event.revision.rev_id)
    return nil, fail("NoAnswer", ("the API says nothing about revision %s"):format(id))
  end
  if part.missing then
    return nil, _M.missing(event, meta)
  end
  local revision = part.revision
  local slots = table_at(revision, "slots") or {}
  if is_hidden(revision, slots) then
    return nil, pass()
  end
  for role in pairs(event.revision.content_slots) do
    local verdict = slot_verdict(role, table_at(slots, role), meta)
    if verdict then
      return nil, verdict
    end
  end
  local moved = digits(part.page_id) ~= digits(event.page.page_id)
  if moved then
    page_id_mismatches()
  end
  if moved and page_id_mismatch_is == "fail" then
    return nil, fail("PageIdMismatch", ("the revision is on page %s now")
      :format(digits(part.page_id) or "unknown"))
  end
  return revision
end


---Writes the content of each slot of the event to its `content_body`. Slots that the event lacks stay out.
---@param event millrace.event
---@param revision table
---@return millrace.event
function _M.add_content(event, revision)
  for role, slot in pairs(event.revision.content_slots) do
    slot.content_body = revision.slots[role].content
  end
  return event
end


return _M
