-- What becomes of every kind of page change.

local events = require "events"

local KINDS = { "create", "edit", "move", "undelete", "visibility_change", "delete" }

-- The six kinds, visible and hidden; anything that is not listed asks.
local PASSED = { delete = { visible = true, hidden = true } }

describe("page_content_change", function()
  local script

  before_each(function()
    script = events.load("page_content_change")
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
        local asked = script.request(event_of(kind, true), events.meta())
        if PASSED[kind] then
          assert.same({ verdict = "pass" }, asked)
        else
          assert.equal("200", asked.query.revids)
        end
      end)

      it("passes a hidden " .. kind .. " on without asking", function()
        assert.same({ verdict = "pass" }, script.request(event_of(kind, false), events.meta()))
      end)
    end

    it("asks where the event does not say whether the content is visible", function()
      assert.equal("200", script.request(event_of("edit", nil), events.meta()).query.revids)
    end)

    it("passes a suppressed delete, which has neither slots nor performer", function()
      local event = event_of("delete", false)
      event.revision.content_slots, event.performer = nil, nil
      assert.same({ verdict = "pass" }, script.request(event, events.meta()))
    end)

    it("drops canaries of every kind", function()
      for _, kind in ipairs(KINDS) do
        local event = event_of(kind, true)
        event.meta.domain = "canary"
        assert.same({ verdict = "drop", type = "canary" }, script.request(event, events.meta()))
      end
    end)

    it("fails events of another shape without an error", function()
      local empty = { meta = {}, page = {}, revision = {} }
      for _, event in ipairs { {}, { meta = 1 }, { revision = "x" }, empty } do
        assert.equal("InvalidEvent", script.request(event, events.meta()).type)
      end
    end)
  end)

  describe("transform", function()
    it("adds the content and changes nothing else", function()
      local expected = events.event()
      expected.revision.content_slots.main.content_body = "Klipp klapp"
      local made = script.transform(events.event(), events.response(events.part()), events.meta())
      assert.same(expected, made)
    end)

    it("gives the event itself back: the engine keeps things beside its tables", function()
      local event = events.event()
      assert.equal(event, script.transform(event, events.response(events.part()), events.meta()))
    end)

    it("passes a revision that was hidden since, and adds nothing to its event", function()
      local event = events.event()
      local part = events.part(function(revision)
        revision.slots.main = { texthidden = true, content = "secret" }
      end)
      assert.same({ verdict = "pass" }, script.transform(event, events.response(part), events.meta()))
      assert.is_nil(event.revision.content_slots.main.content_body)
    end)

    it("retries a revision that is late, then fails it", function()
      local response = events.response({ missing = true })
      assert.equal("retry", script.transform(events.event(), response, events.meta()).verdict)
      local later = events.meta { now = events.NOW + 60 }
      assert.equal("MissingRevision", script.transform(events.event(), response, later).type)
    end)

    it("passes a missing revision where the configuration says so", function()
      script = events.load("page_content_change", { missing = "pass" })
      local later = events.meta { now = events.NOW + 60 }
      local made = script.transform(events.event(), events.response({ missing = true }), later)
      assert.same({ verdict = "pass" }, made)
    end)
  end)

  it("names a function for every split that its requests name", function()
    local asked = script.request(events.event(), events.meta())
    assert.is_function(script[asked.merge.split])
  end)

  it("passes its own selftest", function()
    assert.has_no.errors(script.selftest)
  end)
end)
