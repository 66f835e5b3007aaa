-- The teaching scripts do what their comments say.

local events = require "events"

describe("examples", function()
  it("pass_through drops bots, passes minor edits and marks the rest", function()
    local script = events.load("examples.pass_through")
    assert.is_nil(script.request)
    assert.same({ verdict = "drop", type = "bot" }, script.transform({ performer = { is_bot = true } }))
    assert.same({ verdict = "pass" }, script.transform({ revision = { is_minor_edit = true } }))
    assert.is_true(script.transform({ revision = {} }).major)
  end)

  it("page_html asks a path and keeps the bytes", function()
    local script = events.load("examples.page_html")
    local event = events.event(function(event)
      event.revision.rev_id = 1351079888211148
    end)
    local asked = script.request(event)
    assert.equal("/revision/1351079888211148/html", asked.path)
    assert.equal("bytes", asked.expect)
    assert.equal("NoHtml", script.transform(event, { status = 404, body = "" }).type)
    assert.equal("<p>", script.transform(event, { status = 200, body = "<p>" }).html)
  end)

  it("scores asks twice at once and makes two outputs, or one without the score", function()
    local script = events.load("examples.scores")
    local asked = script.request(events.event())
    assert.equal("200", asked[1].query.revids)
    assert.same({ rev_id = 200 }, asked[2].body)
    local content = events.response(events.part())
    local made = script.transform(events.event(), { content, { json = { score = 0.5 } } }, events.meta())
    assert.equal("Klipp klapp", made[1].value.revision.content_slots.main.content_body)
    assert.equal("scores", made[2].to)
    assert.equal(0.5, made[2].value.score)
    local alone = script.transform(events.event(), { content, { error = { type = "x" } } }, events.meta())
    assert.equal("output", alone.verdict)
  end)
end)
