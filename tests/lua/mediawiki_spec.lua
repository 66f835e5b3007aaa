-- The question to the Action API, and every answer that it may give.

local events = require "events"
local testing = require "millrace.testing"

local function response(headers, attempts)
  return { status = 200, headers = headers or {}, attempts = attempts or 1 }
end

describe("lib.mediawiki", function()
  local mediawiki

  before_each(function()
    mediawiki = events.mediawiki()
    testing.log()
  end)

  describe("revision_request()", function()
    it("asks the event's wiki for its revision", function()
      local asked = mediawiki.revision_request(events.event())
      assert.equal("de.wikipedia.org", asked.host)
      assert.is_nil(asked.path)
      assert.same({
        action = "query", format = "json", formatversion = "2", prop = "revisions", rvslots = "*",
        rvprop = "ids|timestamp|size|sha1|content|contentmodel|slotsize|slotsha1|flags", revids = "200",
      }, asked.query)
    end)

    it("asks for 16 digits exactly", function()
      for _, id in ipairs { 1351079888211148, 1351079888211149, 9007199254740991, 9007199254740992 } do
        local asked = mediawiki.revision_request(events.event(function(event)
          event.revision.rev_id = id
        end))
        assert.equal(("%.0f"):format(id), asked.query.revids)
      end
    end)

    it("hands the request's id on, unless it would make a strange header", function()
      local function header(id)
        local asked = mediawiki.revision_request(events.event(function(event)
          event.meta.request_id = id
        end))
        return asked.headers["X-Request-Id"]
      end
      assert.equal("b3f1-7", header("b3f1-7"))
      assert.is_nil(header(nil))
      assert.is_nil(header(12))
      assert.is_nil(header("a\r\nHost: evil"))
      assert.is_nil(header(("x"):rep(129)))
    end)

    it("may share a call with 49 others, by the size of what it expects", function()
      local merge = mediawiki.revision_request(events.event(function(event)
        event.revision.content_slots.mediainfo = { content_size = 234 }
      end)).merge
      assert.same({ param = "revids", max = 50, bytes = 1234, split = "revisions" }, merge)
    end)

    it("expects 64 KiB where a slot's size is unknown", function()
      for _, size in pairs { false, "1000", -1, testing.json.null } do
        local asked = mediawiki.revision_request(events.event(function(event)
          event.revision.content_slots.main.content_size = size or nil
        end))
        assert.equal(65536, asked.merge.bytes)
      end
    end)

    it("expects 1 GiB at most, whatever the event says", function()
      local asked = mediawiki.revision_request(events.event(function(event)
        event.revision.content_slots.main.content_size = 1351079888211148
      end))
      assert.equal(2 ^ 30, asked.merge.bytes)
    end)

    it("asks hosts with a port, too", function()
      local asked = mediawiki.revision_request(events.event(function(event)
        event.meta.domain = "localhost:8080"
      end))
      assert.equal("localhost:8080", asked.host)
    end)

    local function wrong(change)
      local verdict = mediawiki.revision_request(events.event(change))
      assert.equal("InvalidEvent", verdict.type)
      return verdict.message
    end

    it("fails an event without a usable wiki", function()
      for _, domain in ipairs {
        false, 1, "", "a b", "a/b", "a\r\nb", "evil.org?x=", ".a", "-a", "a:", "a:123456", ("a"):rep(256),
      } do
        assert.matches("meta.domain", wrong(function(event)
          event.meta.domain = domain or nil
        end))
      end
      assert.matches("meta.domain", wrong(function(event)
        event.meta = nil
      end))
    end)

    it("fails an event without a usable revision id", function()
      local null = testing.json.null
      for _, id in pairs { false, 0, -5, 1.5, "200", {}, 2 ^ 60, null } do
        assert.matches("revision.rev_id", wrong(function(event)
          event.revision.rev_id = id or nil
        end))
      end
      assert.matches("revision.rev_id", wrong(function(event)
        event.revision = nil
      end))
    end)

    it("fails an event without a page", function()
      assert.matches("page", wrong(function(event)
        event.page = nil
      end))
    end)

    it("fails an event without a place for the content", function()
      for _, slots in ipairs { false, {}, "main", { main = "text" } } do
        assert.matches("content_slots", wrong(function(event)
          event.revision.content_slots = slots or nil
        end))
      end
    end)

    it("fails what is no event at all", function()
      for _, event in pairs { 1, "x", {}, true } do
        assert.equal("InvalidEvent", mediawiki.revision_request(event).type)
      end
    end)
  end)

  describe("revisions_by_id()", function()
    local function pages(...)
      return { batchcomplete = true, query = { pages = { ... } } }
    end

    local function revision(id, text)
      return { revid = id, slots = { main = { content = text } } }
    end

    it("finds every revision of several pages, whatever the order", function()
      local json = pages(
        { pageid = 2, title = "Alpha", revisions = { revision(2, "a2"), revision(3, "a3") } },
        { pageid = 6, title = "Delta", revisions = { revision(8, "d8") } }
      )
      json.query.badrevids = { ["999"] = { revid = 999, missing = true } }
      local parts = mediawiki.revisions_by_id(json, { "8", "999", "3", "2" }, response())
      assert.same({
        ["2"] = { page_id = 2, title = "Alpha", revision = revision(2, "a2") },
        ["3"] = { page_id = 2, title = "Alpha", revision = revision(3, "a3") },
        ["8"] = { page_id = 6, title = "Delta", revision = revision(8, "d8") },
        ["999"] = { missing = true },
      }, parts)
    end)

    it("names 16-digit revisions digit for digit", function()
      local json = pages({ pageid = 1, revisions = { revision(1351079888211148, "x") } })
      local parts = mediawiki.revisions_by_id(json, { "1351079888211148" }, response())
      assert.equal("x", parts["1351079888211148"].revision.slots.main.content)
    end)

    it("understands an answer with nothing but unknown revisions", function()
      local json = { batchcomplete = true, query = { badrevids = { ["7"] = { revid = 7, missing = true } } } }
      assert.same({ ["7"] = { missing = true } }, mediawiki.revisions_by_id(json, { "7" }, response()))
    end)

    it("keeps what a truncated answer has, and leaves the rest to be asked again", function()
      local json = pages(
        { pageid = 1, title = "Big", revisions = { revision(16, "big") } },
        { pageid = 2, title = "Bigger", revisions = {} },
        { pageid = 3, title = "Biggest" }
      )
      json.batchcomplete = nil
      json.continue = { rvcontinue = 17, continue = "||" }
      json.warnings = { result = { warnings = "This result was truncated" } }
      local parts = mediawiki.revisions_by_id(json, { "16", "17", "18" }, response())
      assert.same({ "16" }, { next(parts), next(parts, "16") })
      assert.same({}, testing.log())
    end)

    it("fails a single revision that fits in no answer", function()
      local json = pages({ pageid = 2, title = "Huge", revisions = {} })
      json.continue = { rvcontinue = 17 }
      assert.equal("ContentTooLarge", mediawiki.revisions_by_id(json, { "17" }, response()).type)
    end)

    it("gives no part to a revision that a complete answer does not mention", function()
      assert.same({}, mediawiki.revisions_by_id({ batchcomplete = true }, { "5" }, response()))
      assert.same({}, mediawiki.revisions_by_id(pages(), { "5" }, response()))
    end)

    it("survives pages and revisions of a strange shape", function()
      local json = pages(1, "x", { revisions = "x" }, { revisions = { 1, {}, { revid = "x" } } })
      json.query.badrevids = "x"
      assert.same({}, mediawiki.revisions_by_id(json, { "5" }, response()))
    end)

    it("fails what is no answer of an Action API", function()
      for _, json in pairs { 1, "x", true, {}, { 1, 2 }, { title = "Not found", httpCode = 404 } } do
        local verdict = mediawiki.revisions_by_id(json, { "5" }, response())
        assert.equal("ApiError", verdict.type)
        assert.matches("api.php", verdict.message)
      end
      assert.equal("ApiError", mediawiki.revisions_by_id(nil, { "5" }, response()).type)
    end)

    it("tells of warnings without their text", function()
      local json = pages({ pageid = 1, revisions = { revision(5, "x") } })
      json.warnings = { revisions = { warnings = "rvfoo is deprecated" } }
      assert.is_table(mediawiki.revisions_by_id(json, { "5" }, response())["5"])
      local lines = testing.log()
      assert.equal(1, #lines)
      assert.matches("revisions", lines[1])
      assert.not_matches("rvfoo", lines[1])
    end)

    describe("on an error about the whole call", function()
      local function verdict(code, headers, values, attempts)
        local json = { error = { code = code, info = "because" } }
        return mediawiki.revisions_by_id(json, values or { "5" }, response(headers, attempts))
      end

      it("waits for a lagging database as long as it says, and that wiki alone", function()
        assert.same({ verdict = "retry", type = "maxlag", after = 5, scope = "host" }, verdict("maxlag"))
        assert.equal(7, verdict("maxlag", { ["retry-after"] = "7" }).after)
        assert.equal(5, verdict("maxlag", { ["retry-after"] = "2" }).after)
        assert.equal(60, verdict("maxlag", { ["retry-after"] = "86400" }).after)
        assert.equal(5, verdict("maxlag", { ["retry-after"] = "nan" }).after)
        assert.equal(5, verdict("maxlag", { ["retry-after"] = "Fri, 31 Dec 1999 23:59:59 GMT" }).after)
      end)

      it("waits after too many questions, and that wiki alone", function()
        assert.same({ verdict = "retry", type = "ratelimited", after = 1, scope = "host" },
          verdict("ratelimited"))
        assert.equal(3, verdict("ratelimited", { ["retry-after"] = "3" }).after)
      end)

      it("waits while a wiki is read-only", function()
        assert.same({ verdict = "retry", type = "readonly", after = 5, scope = "host" },
          verdict("readonly"))
      end)

      it("waits longer each time after an exception of one question alone", function()
        local code = "internal_api_error_DBQueryError"
        assert.same({ verdict = "retry", type = "internal_api_error", after = 2, scope = "lookup" },
          verdict(code))
        assert.equal(8, verdict(code, nil, nil, 3).after)
        assert.equal(30, verdict(code, nil, nil, 20).after)
      end)

      it("looks for the culprit of an exception among several questions", function()
        assert.equal("ApiException", verdict("internal_api_error_Exception", nil, { "5", "6" }).type)
      end)

      it("fails where reading is not allowed", function()
        for _, code in ipairs { "accessdenied", "readapidenied", "permissiondenied" } do
          assert.equal("AccessDenied", verdict(code).type)
        end
      end)

      it("fails what asking again cannot mend", function()
        for _, code in ipairs {
          "invalidparammix", "toomanyvalues", "badinteger", "unknown_action", "badvalue", "nosuchsection",
        } do
          local failure = verdict(code)
          assert.equal("ApiError", failure.type)
          assert.matches(code .. ".*because", failure.message)
        end
      end)

      it("reads the newer form of errors, too", function()
        local json = { errors = { { code = "maxlag" } } }
        assert.equal("maxlag", mediawiki.revisions_by_id(json, { "5" }, response()).type)
      end)

      it("survives errors of a strange shape, and a missing response", function()
        for _, problem in pairs { 1, "x", {}, { code = 5 }, true } do
          assert.equal("ApiError", mediawiki.revisions_by_id({ error = problem }, { "5" }).type)
        end
        assert.equal(5, mediawiki.revisions_by_id({ error = { code = "maxlag" } }, { "5" }).after)
      end)
    end)
  end)

  describe("revision()", function()
    local function revision_of(part, meta, event)
      return mediawiki.revision(events.response(part), event or events.event(), events.meta(meta))
    end

    it("gives the revision", function()
      local part = events.part()
      assert.same(part.revision, (revision_of(part)))
    end)

    it("counts a revision's age from the event's arrival, not from when it happened", function()
      local function verdict(meta_dt, dt)
        local _, answer = revision_of({ missing = true }, nil, events.event(function(event)
          event.meta.dt, event.dt = meta_dt, dt
        end))
        return answer.verdict
      end
      assert.equal("retry", verdict("2025-03-14T15:09:25Z", "2025-02-01T00:00:00Z"))
      assert.equal("retry", verdict("2025-03-14T15:09:16.100Z", "2025-02-01T00:00:00Z"))
      assert.equal("fail", verdict("2025-03-14T15:09:16Z", "2025-03-14T15:09:25Z"))
      assert.equal("retry", verdict(nil, "2025-03-14T15:09:25Z"))
      assert.equal("fail", verdict("yesterday", "nonsense"))
      assert.equal("fail", verdict(nil, nil))
    end)

    it("asks for a late revision again after a moment, and alone", function()
      local _, verdict = revision_of({ missing = true })
      assert.same({ verdict = "retry", type = "missing_revision", after = 1.5, scope = "lookup" }, verdict)
    end)

    it("names the missing revision and its wiki", function()
      local event = events.event(function(event)
        event.revision.rev_id = 1351079888211148
      end)
      local _, verdict = revision_of({ missing = true }, { now = events.NOW + 100 }, event)
      assert.matches("1351079888211148", verdict.message)
      assert.matches("de.wikipedia.org", verdict.message)
    end)

    for _, flag in ipairs { "texthidden", "sha1hidden" } do
      it("passes where a slot has " .. flag .. ", even with its content", function()
        local revision, verdict = revision_of(events.part(function(revision)
          revision.slots.main = { [flag] = true, content = "secret" }
        end))
        assert.is_nil(revision)
        assert.same({ verdict = "pass" }, verdict)
      end)

      it("passes where the revision has " .. flag, function()
        local _, verdict = revision_of(events.part(function(revision)
          revision[flag] = true
        end))
        assert.same({ verdict = "pass" }, verdict)
      end)
    end

    it("passes where any slot is hidden", function()
      local _, verdict = revision_of(events.part(function(revision)
        revision.slots.mediainfo = { texthidden = true }
      end))
      assert.same({ verdict = "pass" }, verdict)
    end)

    it("passes a suppressed revision that comes without content", function()
      local _, verdict = revision_of(events.part(function(revision)
        revision.suppressed, revision.slots.main = true, {}
      end))
      assert.same({ verdict = "pass" }, verdict)
    end)

    it("gives a revision of which something else is suppressed", function()
      assert.is_table((revision_of(events.part(function(revision)
        revision.suppressed, revision.userhidden = true, true
      end))))
    end)

    local LOST = {
      ["a slot with textmissing"] = function(revision)
        revision.slots.main = { textmissing = true }
      end,
      ["a missing slot"] = function(revision)
        revision.slots.main = { missing = true }
      end,
      ["slotsmissing"] = function(revision)
        revision.slotsmissing, revision.slots = true, nil
      end,
      ["no such slot"] = function(revision)
        revision.slots = { other = { content = "x" } }
      end,
      ["a slot without content"] = function(revision)
        revision.slots.main = { contentmodel = "wikitext" }
      end,
      ["a content that is no text"] = function(revision)
        revision.slots.main.content = 5
      end,
      ["slots of a strange shape"] = function(revision)
        revision.slots = { main = "x", other = 1 }
      end,
    }
    for name, damage in pairs(LOST) do
      it("asks once more, then fails: " .. name, function()
        local _, first = revision_of(events.part(damage))
        assert.same({ verdict = "retry", type = "missing_text", after = 1, scope = "lookup" }, first)
        local _, second = revision_of(events.part(damage), { attempt = 2 })
        assert.equal("MissingText", second.type)
      end)
    end

    for _, flag in ipairs { "badcontentformat", "nosuchsection" } do
      it("fails on " .. flag, function()
        local _, verdict = revision_of(events.part(function(revision)
          revision.slots.main = { [flag] = true }
        end))
        assert.equal("ContentFormat", verdict.type)
      end)
    end

    it("ignores damage in slots that the event does not have", function()
      assert.is_table((revision_of(events.part(function(revision)
        revision.slots.other = { textmissing = true }
      end))))
    end)

    it("accepts a revision that is on another page now", function()
      assert.is_table((revision_of(events.part(function(_, part)
        part.page_id = 21
      end))))
    end)

    it("fails it where the configuration says so", function()
      mediawiki = events.mediawiki({ page_id_mismatch = "fail" })
      local _, verdict = revision_of(events.part(function(_, part)
        part.page_id = 21
      end))
      assert.equal("PageIdMismatch", verdict.type)
      assert.matches("21", verdict.message)
      assert.is_table((revision_of(events.part())))
    end)

    it("fails where the API says nothing about the revision", function()
      for _, part in pairs { false, 1, "x", {} } do
        local _, verdict = revision_of(part or nil)
        assert.equal("NoAnswer", verdict.type)
      end
    end)

    it("fails an optional lookup that was refused, with the refusal's type", function()
      local refused = { status = 0, error = { type = "HttpTimeout", message = "no answer in 60 s" } }
      local _, verdict = mediawiki.revision(refused, events.event(), events.meta())
      assert.same({ verdict = "fail", type = "HttpTimeout", message = "no answer in 60 s" }, verdict)
    end)
  end)

  describe("add_content()", function()
    it("fills every slot that the event has, and no other", function()
      local event = events.event(function(event)
        event.revision.content_slots.mediainfo = { slot_role = "mediainfo" }
      end)
      local revision = events.part(function(revision)
        revision.slots.mediainfo = { content = "{}" }
        revision.slots.other = { content = "x" }
      end).revision
      local slots = mediawiki.add_content(event, revision).revision.content_slots
      assert.equal("Klipp klapp", slots.main.content_body)
      assert.equal("{}", slots.mediainfo.content_body)
      assert.is_nil(slots.other)
    end)

    it("keeps an empty text: it is a text", function()
      local event, part = events.event(), events.part()
      part.revision.slots.main.content = ""
      local revision = mediawiki.revision(events.response(part), event, events.meta())
      assert.equal("", mediawiki.add_content(event, revision).revision.content_slots.main.content_body)
    end)
  end)

  describe("script.params", function()
    it("refuses a word that it does not know, and says which it does", function()
      for name, message in pairs {
        missing = 'script.params.missing is "skip": expected fail or pass',
        page_id_mismatch = 'script.params.page_id_mismatch is "skip": expected accept or fail',
      } do
        local loaded, why = pcall(events.mediawiki, { [name] = "skip" })
        assert.is_false(loaded)
        assert.matches(message, why, 1, true)
      end
    end)
  end)
end)
