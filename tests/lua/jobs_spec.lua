-- The shipped jobs beside the main one: what each asks, and what it makes of every answer.

local events = require "events"
local testing = require "millrace.testing"

local NOW = "2025-03-14T15:09:26Z"

local function says(result)
  return result.verdict .. (result.type and " " .. result.type or "")
end

describe("page_html_change", function()
  before_each(function()
    testing.clock(NOW)
  end)

  local function load(params)
    return events.script("page_html_change", params)
  end

  local function event_of(kind, change)
    return events.event(function(event)
      event.page_change_kind = kind
      event.revision.rev_parent_id = 199
      if change then
        change(event)
      end
    end)
  end

  local function html(body)
    return { headers = { etag = '"200/abc"' }, body = body }
  end

  it("asks an edit's and a move's parent at once, of other kinds the revision alone", function()
    local script = load()
    for kind, count in pairs { edit = 2, move = 2, create = 1, undelete = 1, visibility_change = 1 } do
      assert.equal(count, #script:request(event_of(kind)).requests, kind)
    end
    local asked = script:request(event_of("edit")).requests
    assert.same({ "/revision/200/html", "/revision/199/html" }, { asked[1].path, asked[2].path })
    assert.same({ "bytes", 65, "de.wikipedia.org" }, { asked[1].expect, asked[1].timeout, asked[1].host })
    assert.same({ false, true }, { asked[1].optional, asked[2].optional })
    assert.same({ { 404 }, {} }, { asked[1].accept, asked[2].accept })
  end)

  it("asks no parent where the event names none", function()
    assert.equal(1, #load():request(event_of("edit", function(event)
      event.revision.rev_parent_id = 0
    end)).requests)
  end)

  it("asks for an id with all its digits", function()
    assert.equal("/revision/1351079888211148/html", load():request(event_of("create", function(event)
      event.revision.rev_id = 1351079888211148
    end)).requests[1].path)
  end)

  it("drops canaries and what is not wikitext, passes what is deleted or hidden", function()
    local script = load()
    local function verdict_of(kind, change)
      return says(script:request(event_of(kind, change)))
    end
    assert.equal("drop canary", verdict_of("edit", function(event) event.meta.domain = "canary" end))
    assert.equal("drop not_wikitext", verdict_of("edit", function(event)
      event.revision.content_slots.main.content_model = "wikibase-item"
    end))
    assert.equal("pass", verdict_of("delete"))
    assert.equal("pass", verdict_of("delete", function(event) event.revision.content_slots = nil end))
    assert.equal("pass", verdict_of("edit", function(event) event.revision.is_content_visible = false end))
    assert.equal("fail InvalidEvent", verdict_of("edit", function(event) event.revision.rev_id = 1.5 end))
    assert.equal("fail InvalidEvent", verdict_of("edit", function(event) event.meta.domain = "a b" end))
    assert.equal("fail InvalidEvent", verdict_of("edit", function(event) event.revision = nil end))
  end)

  it("adds the HTML and what changed in it", function()
    local made = load():run(event_of("edit"), { html("<p>\nnew"), html("<p>\nold\n") })
    assert.same({ content_body = "<p>\nnew", content_format = "text/html", content_size = 7,
      render_id = '"200/abc"',
      diff_from_parent = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n <p>\n-old\n+new\n\\ No newline at end of file\n",
    }, made.value.rendering)
  end)

  it("shows as much around a change as is wanted", function()
    local made = load { diff_context = 0 }:run(event_of("edit"), { html("1\n2\n3\n"), html("1\nx\n3\n") })
    assert.equal("--- a\n+++ b\n@@ -2 +2 @@\n-x\n+2\n", made.value.rendering.diff_from_parent)
  end)

  it("adds no diff to a page that is new, and an empty one where nothing changed", function()
    local made = load():run(event_of("create"), html("<p>new")).value.rendering
    assert.is_nil(made.diff_from_parent)
    assert.is_nil(made.diff_missing)
    made = load():run(event_of("move"), { html("<p>same"), html("<p>same") }).value.rendering
    assert.equal("", made.diff_from_parent)
  end)

  it("says why there is no diff", function()
    local made = load():run(event_of("edit"), { html("<p>new"), { status = 404 } }).value.rendering
    assert.equal("no_parent", made.diff_missing)
    made = load { diff_max = 5 }:run(event_of("edit"), { html("<p>new"), html("<p>old") }).value.rendering
    assert.equal("too_large", made.diff_missing)
    assert.equal("<p>new", made.content_body)
  end)

  it("waits for a revision that is moments old, and gives up on others", function()
    local absent = { status = 404, body = "{}" }
    local waited = load():run(event_of("create"), { absent, absent, html("<p>") })
    assert.same({ "output", 3 }, { waited.verdict, waited.attempts })
    assert.equal("fail MissingRevision", says(load():run(event_of("create"), absent)))
    assert.equal("pass", says(load { missing = "pass" }:run(event_of("create"), absent)))
  end)

  it("fails where the wiki answers nothing or refuses", function()
    assert.equal("fail NoHtml", says(load():run(event_of("create"), html(""))))
    assert.equal("fail HttpStatus", says(load():run(event_of("create"), { status = 403 })))
  end)
end)

describe("passthrough", function()
  local function run(params, event)
    return events.script("passthrough", params):run(event)
  end

  it("passes events as they are, and drops canaries", function()
    local text = '{"n":1.0,"e":[],"x":{"y":9007199254740993}}'
    local passed = run({}, text)
    assert.same({ "pass", text }, { passed.verdict, passed.outputs[1].json })
    assert.equal("drop canary", says(run({}, { meta = { domain = "canary" } })))
  end)

  it("copies what is wanted only", function()
    local wanted = { only = { wiki_id = "dewiki", ["page.namespace_id"] = 0 } }
    assert.equal("pass", says(run(wanted, events.event())))
    local others = { { wiki_id = "enwiki" }, { wiki_id = "dewiki" }, { wiki_id = "dewiki", page = 0 } }
    for _, event in ipairs(others) do
      assert.equal("drop not_wanted", says(run(wanted, event)))
    end
  end)

  it("leaves out what is not to be copied, at any depth", function()
    local params = { without = { "performer", "revision.editor", "a.b.c", "wiki_id.x" } }
    local event = { wiki_id = "dewiki", performer = { id = 1 }, a = { b = { c = 1, d = 2 } } }
    event.revision = { editor = { id = 1 }, rev_id = 1 }
    local made = run(params, event)
    assert.equal("output", made.verdict)
    assert.same({ wiki_id = "dewiki", revision = { rev_id = 1 }, a = { b = { d = 2 } } }, made.value)
    assert.equal("pass", says(run(params, { wiki_id = "dewiki", revision = { rev_id = 1 } })))
  end)
end)

describe("revision_score", function()
  before_each(function()
    testing.clock(NOW)
  end)

  local function load(params)
    return events.script("revision_score", params, { sinks = { { name = "scores" }, { name = "risky" } } })
  end

  local function scored(probability)
    local text = '{"model_name":"m","model_version":3,"output":{"prediction":%s,"probabilities":%s}}'
    local probabilities = ('{"true":%s,"false":0.5}'):format(probability)
    return { body = text:format(tostring(tonumber(probability) >= 0.5), probabilities) }
  end

  it("asks the model by POST", function()
    local asked = load { model_host = "model.example.org" }:request(events.event()).requests[1]
    assert.same({ "POST", "/v1/models/revertrisk-language-agnostic:predict" }, { asked.method, asked.path })
    assert.same({ rev_id = 200, lang = "de" }, testing.json.decode(asked.body))
    assert.equal("model.example.org", asked.host)
  end)

  it("asks about edits of Wikipedias only", function()
    local script = load()
    local function verdict_of(change)
      return says(script:request(events.event(change)))
    end
    assert.equal("drop canary", verdict_of(function(event) event.meta.domain = "canary" end))
    assert.equal("drop no_edit", verdict_of(function(event) event.page_change_kind = "move" end))
    assert.equal("drop no_edit", verdict_of(function(event) event.revision.is_content_visible = false end))
    assert.equal("drop no_model", verdict_of(function(event) event.meta.domain = "www.wikidata.org" end))
    assert.equal("fail InvalidEvent", verdict_of(function(event) event.revision.rev_id = "200" end))
    assert.equal("fail InvalidEvent", verdict_of(function(event) event.page = nil end))
  end)

  it("makes a score of every answer, and an alarm of a risky one", function()
    local script = load { risky = 0.8 }
    local made = script:run(events.event(), scored("0.250"))
    assert.same({ 1, "scores" }, { #made.outputs, made.outputs[1].to })
    assert.same({ model_name = "m", model_version = "3", predictions = { "false" },
      probabilities = { ["true"] = 0.25, ["false"] = 0.5 } }, made.value.predicted_classification)
    assert.is_nil(made.value.revision.content_slots)
    made = script:run(events.event(), scored("0.8"))
    assert.same({ 2, "scores", "risky" }, { #made.outputs, made.outputs[1].to, made.outputs[2].to })
    local alarm = made.outputs[2].value
    assert.same({ 200, 20, 0.8 }, { alarm.rev_id, alarm.page.page_id, alarm.probability })
  end)

  it("tells a model that refuses from one that is not up to date yet", function()
    local script = load()
    local function verdict_of(...)
      return says(script:run(events.event(), { ... }))
    end
    assert.equal("output", verdict_of({ status = 404 }, scored("0.1")))
    assert.equal("fail MissingRevision", verdict_of { status = 404 })
    assert.equal("fail ModelRefused", verdict_of { status = 400, body = "no parent" })
    assert.equal("fail ModelRefused", verdict_of { status = 422, json = { error = "no parent" } })
    assert.equal("fail ModelAnswer", verdict_of { json = { output = 1 } })
    assert.equal("fail ModelAnswer", verdict_of { json = { output = { probabilities = { x = 1 } } } })
    assert.equal("fail HttpStatus", verdict_of { status = 403 })
  end)

  it("refuses a threshold that is no probability", function()
    assert.has_error(function()
      load { risky = 2 }
    end)
  end)
end)

describe("http_lookup", function()
  local function load(params)
    return events.script("http_lookup", params)
  end

  local planets = { path = "/planets/{planet.id}/{name}", query = { lang = "{lang}", n = "{planet.id}" },
    into = "planet.details" }

  it("asks by members of the event", function()
    local event = '{"planet":{"id":9007199254740993},"name":"a b/c","lang":"de"}'
    local asked = load(planets):request(event).requests[1]
    assert.equal("/planets/9007199254740993/a%20b%2Fc", asked.path)
    assert.same({ lang = "de", n = "9007199254740993" }, asked.query)
  end)

  it("puts the answer where it is wanted, all of it or some members", function()
    local answer = { body = '{"name":"Earth","mass":5.9720e24,"moons":[]}' }
    local event = { planet = { id = 3 }, name = "x", lang = "de" }
    local made = load(planets):run(event, answer)
    assert.matches('"mass":5.9720e24', made.outputs[1].json, 1, true)
    assert.same({ name = "Earth", mass = 5.972e24, moons = {} }, made.value.planet.details)
    local some = load { path = "/x", into = "a.b", take = { "name", "none" } }:run({ c = 1 }, answer)
    assert.same({ a = { b = { name = "Earth" } }, c = 1 }, some.value)
  end)

  it("does as told with what the API does not know, or the event does not say", function()
    for missing, verdict in pairs { pass = "pass", drop = "drop not_found", fail = "fail NotFound" } do
      local script = load { path = "/x/{id}", into = "x", missing = missing }
      assert.equal(verdict, says(script:run({ id = 1 }, { status = 404 })))
      assert.equal(verdict, says(script:run { id = { 1 } }))
      assert.equal(verdict, says(script:run { id = "" }))
    end
  end)

  it("refuses settings that cannot work", function()
    local odd = { path = "/x", into = "y", missing = "z" }
    local wrong = { {}, { path = "x", into = "y" }, { path = "/x" }, odd }
    for _, params in ipairs(wrong) do
      assert.has_error(function()
        load(params)
      end)
    end
  end)
end)
