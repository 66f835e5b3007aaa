-- The teaching scripts do what their comments say.

local events = require "events"

describe("examples", function()
  it("pass_through drops bots, passes minor edits and marks the rest", function()
    local script = events.script("examples/pass_through")
    local function verdict(change)
      return script:run(events.event(change))
    end
    assert.equal("bot", verdict(function(event)
      event.performer = { is_bot = true }
    end).type)
    assert.equal("pass", verdict(function(event)
      event.revision.is_minor_edit = true
    end).verdict)
    assert.is_true(verdict().value.major)
  end)

  it("page_html asks a path and keeps the bytes", function()
    local script = events.script("examples/page_html", nil, { upstreams = { "rest" } })
    local event = events.event(function(event)
      event.revision.rev_id = 1351079888211148
    end)
    local asked = script:request(event).requests[1]
    assert.equal("/revision/1351079888211148/html", asked.path)
    assert.equal("bytes", asked.expect)
    assert.equal("NoHtml", script:run(event, { status = 404, body = "" }).type)
    assert.equal("<p>", script:run(event, { body = "<p>" }).value.html)
  end)

  it("scores asks twice at once and makes two outputs, or one without the score", function()
    local script = events.script("examples/scores", nil, {
      upstreams = { "mediawiki", "scores" },
      sinks = { { name = "content" }, { name = "scores" } },
      library = "scripts/lib",
    })
    local content = events.answer(events.part())
    local made = script:run(events.event(), { content, { json = { score = 0.5 } } })
    assert.equal("200", made.asked[1].query.revids)
    assert.equal('{"rev_id":200}', made.asked[2].body)
    assert.equal("Klipp klapp", made.value.revision.content_slots.main.content_body)
    assert.equal("scores", made.outputs[2].to)
    assert.equal(0.5, made.outputs[2].value.score)
    assert.equal(1, #script:run(events.event(), { content, { error = { type = "x" } } }).outputs)
  end)
end)
