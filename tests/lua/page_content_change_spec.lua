-- What becomes of every kind of page change.

local events = require "events"
local testing = require "millrace.testing"

local KINDS = { "create", "edit", "move", "undelete", "visibility_change", "delete" }

-- The six kinds, visible and hidden; anything that is not listed asks.
local PASSED = { delete = { visible = true, hidden = true } }

describe("page_content_change", function()
  local script

  before_each(function()
    script = events.script("page_content_change")
  end)

  local function event_of(kind, visible)
    return events.event(function(event)
      event.page_change_kind = kind
      event.revision.is_content_visible = visible
    end)
  end

  describe("request", function()
    for _, kind in ipairs(KINDS) do
      it("handles a visible " .. kind, function()
        local asked = script:request(event_of(kind, true), events.meta())
        if PASSED[kind] then
          assert.equal("pass", asked.verdict)
        else
          assert.equal("200", asked.requests[1].query.revids)
        end
      end)

      it("passes a hidden " .. kind .. " on without asking", function()
        assert.equal("pass", script:request(event_of(kind, false), events.meta()).verdict)
      end)
    end

    it("asks where the event does not say whether the content is visible", function()
      assert.equal("200", script:request(event_of("edit", nil)).requests[1].query.revids)
    end)

    it("passes a suppressed delete, which has neither slots nor performer", function()
      local event = event_of("delete", false)
      event.revision.content_slots, event.performer = nil, nil
      assert.equal("pass", script:request(event, events.meta()).verdict)
    end)

    it("drops canaries of every kind", function()
      for _, kind in ipairs(KINDS) do
        local event = event_of(kind, true)
        event.meta.domain = "canary"
        local asked = script:request(event, events.meta())
        assert.same({ "drop", "canary" }, { asked.verdict, asked.type })
      end
    end)

    it("fails events of another shape without an error", function()
      local empty = { meta = {}, page = {}, revision = {} }
      for _, event in ipairs { {}, { meta = 1 }, { revision = "x" }, empty } do
        assert.equal("InvalidEvent", script:request(event, events.meta()).type)
      end
    end)
  end)

  describe("transform", function()
    local meta

    before_each(function()
      testing.clock(events.NOW)
      meta = events.meta()
    end)

    it("adds the content and changes nothing else", function()
      local expected = events.event()
      expected.revision.content_slots.main.content_body = "Klipp klapp"
      local made = script:transform(events.event(), events.answer(events.part()), meta)
      assert.equal("output", made.verdict)
      assert.same(expected, made.value)
    end)

    it("passes a revision that was hidden since, byte for byte", function()
      local text = testing.json.encode(events.event())
      local part = events.part(function(revision)
        revision.slots.main = { texthidden = true, content = "secret" }
      end)
      local made = script:transform(text, events.answer(part), meta)
      assert.equal("pass", made.verdict)
      assert.equal(text, made.outputs[1].json)
    end)

    it("retries a revision that is late, then fails it", function()
      local late = events.answer { missing = true }
      assert.equal("retry", script:transform(events.event(), late, meta).verdict)
      local ended = script:run(events.event(), late, meta)
      assert.equal("MissingRevision", ended.type)
      assert.equal(7, ended.attempts) -- it is 2 s old, and asked for every 1.5 s until it is 10
    end)

    it("takes a late revision as soon as it is there", function()
      local late = events.answer { missing = true }
      local ended = script:run(events.event(), { late, late, events.answer(events.part()) }, meta)
      assert.equal("Klipp klapp", ended.value.revision.content_slots.main.content_body)
      assert.equal(3, ended.attempts)
    end)

    it("passes a missing revision where the configuration says so", function()
      script = events.script("page_content_change", { missing = "pass" })
      assert.equal("pass", script:run(events.event(), events.answer { missing = true }, meta).verdict)
    end)

    it("has a function for every split that its requests name", function()
      local asked = script:request(events.event(), meta)
      assert.equal("revisions", asked.requests[1].merge.split)
      assert.equal("output", script:transform(events.event(), events.answer(events.part()), meta).verdict)
    end)
  end)
end)
