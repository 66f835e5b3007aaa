-- The shipped jobs beside the main one: what each asks, and what it makes of every answer.

local events = require "events"

describe("page_html_change", function()
  local function load(params)
    package.loaded["lib.mediawiki_rest"] = nil
    return events.load("page_html_change", params)
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
    return { status = 200, headers = { etag = '"200/abc"' }, body = body, attempts = 1 }
  end

  it("asks an edit's and a move's parent at once, of other kinds the revision alone", function()
    local script = load()
    for kind, count in pairs { edit = 2, move = 2, create = 1, undelete = 1, visibility_change = 1 } do
      assert.equal(count, #script.request(event_of(kind)), kind)
    end
    local asked = script.request(event_of("edit"))
    assert.same({ "/revision/200/html", "/revision/199/html" }, { asked[1].path, asked[2].path })
    assert.same({ "bytes", 65, "de.wikipedia.org" }, { asked[1].expect, asked[1].timeout, asked[1].host })
    assert.same({ nil, true }, { asked[1].optional, asked[2].optional })
    assert.same({ { 404 }, nil }, { asked[1].accept, asked[2].accept })
  end)

  it("asks no parent where the event names none", function()
    assert.equal(1, #load().request(event_of("edit", function(event)
      event.revision.rev_parent_id = 0
    end)))
  end)

  it("drops canaries and what is not wikitext, passes what is deleted or hidden", function()
    local script = load()
    local function verdict_of(kind, change)
      local verdict = script.request(event_of(kind, change))
      return verdict.verdict .. " " .. tostring(verdict.type)
    end
    assert.equal("drop canary", verdict_of("edit", function(event) event.meta.domain = "canary" end))
    assert.equal("drop not_wikitext", verdict_of("edit", function(event)
      event.revision.content_slots.main.content_model = "wikibase-item"
    end))
    assert.equal("pass nil", verdict_of("delete"))
    assert.equal("pass nil", verdict_of("delete", function(event) event.revision.content_slots = nil end))
    assert.equal("pass nil", verdict_of("edit", function(event)
      event.revision.is_content_visible = false
    end))
    assert.equal("fail InvalidEvent", verdict_of("edit", function(event) event.revision.rev_id = 1.5 end))
    assert.equal("fail InvalidEvent", verdict_of("edit", function(event) event.meta.domain = "a b" end))
    assert.equal("fail InvalidEvent", verdict_of("edit", function(event) event.revision = nil end))
  end)

  it("adds the HTML and what changed in it", function()
    local made = load().transform(event_of("edit"), { html("<p>new"), html("<p>old") }, events.meta())
    assert.same({ content_body = "<p>new", content_format = "text/html", content_size = 6,
      render_id = '"200/abc"',
      diff_from_parent = "--- a\n+++ b\n@@ -1 +1 @@\n-<p>old\n+<p>new\n" }, made.rendering)
  end)

  it("adds no diff to a page that is new", function()
    local made = load().transform(event_of("create"), { html("<p>new") }, events.meta())
    assert.is_nil(made.rendering.diff_from_parent)
    assert.is_nil(made.rendering.diff_missing)
  end)

  it("says why there is no diff", function()
    local gone = { status = 0, headers = {}, error = { type = "HttpStatus", message = "404" } }
    local made = load().transform(event_of("edit"), { html("<p>new"), gone }, events.meta())
    assert.equal("no_parent", made.rendering.diff_missing)
    local script = load { diff_max = 5 }
    made = script.transform(event_of("edit"), { html("<p>new"), html("<p>old") }, events.meta())
    assert.equal("too_large", made.rendering.diff_missing)
    assert.equal("<p>new", made.rendering.content_body)
  end)

  it("waits for a revision that is moments old, and gives up on others", function()
    local absent = { { status = 404, headers = {}, body = "{}" } }
    local verdict = load().transform(event_of("create"), absent, events.meta())
    assert.same({ "retry", "missing_revision" }, { verdict.verdict, verdict.type })
    local late = events.meta { now = events.NOW + 60 }
    assert.equal("MissingRevision", load().transform(event_of("create"), absent, late).type)
    assert.equal("pass", load { missing = "pass" }.transform(event_of("create"), absent, late).verdict)
  end)

  it("fails where the wiki answers nothing", function()
    assert.equal("NoHtml", load().transform(event_of("create"), { html("") }, events.meta()).type)
  end)

  it("tests itself", function()
    load().selftest()
  end)
end)

describe("passthrough", function()
  it("passes events as they are, and drops canaries", function()
    local script = events.load("passthrough")
    assert.is_nil(script.request)
    assert.same({ verdict = "pass" }, script.transform(events.event()))
    assert.same({ verdict = "drop", type = "canary" }, script.transform { meta = { domain = "canary" } })
  end)

  it("copies what is wanted only", function()
    local script = events.load("passthrough", { only = { wiki_id = "dewiki", ["page.namespace_id"] = 0 } })
    assert.equal("pass", script.transform(events.event()).verdict)
    local others = { { wiki_id = "enwiki" }, { wiki_id = "dewiki" }, { wiki_id = "dewiki", page = 0 } }
    for _, event in ipairs(others) do
      assert.same({ verdict = "drop", type = "not_wanted" }, script.transform(event))
    end
  end)

  it("leaves out what is not to be copied, at any depth", function()
    local without = { "performer", "revision.editor", "a.b.c", "wiki_id.x" }
    local script = events.load("passthrough", { without = without })
    local event = { wiki_id = "dewiki", performer = {}, revision = { editor = {}, rev_id = 1 } }
    event.a = { b = { c = 1 } }
    assert.same({ wiki_id = "dewiki", revision = { rev_id = 1 }, a = { b = {} } }, script.transform(event))
    assert.equal("pass", script.transform({ wiki_id = "dewiki", revision = { rev_id = 1 } }).verdict)
  end)
end)

describe("revision_score", function()
  local function load(params)
    return events.load("revision_score", params)
  end

  local function scored(probability)
    return { status = 200, headers = {}, json = {
      model_name = "revertrisk-language-agnostic", model_version = "3",
      output = {
        prediction = probability >= 0.5,
        probabilities = { ["true"] = probability, ["false"] = 1 - probability },
      },
    } }
  end

  it("asks the model by POST", function()
    local asked = load { model_host = "model.example.org" }.request(events.event())
    assert.equal("/v1/models/revertrisk-language-agnostic:predict", asked.path)
    assert.same({ rev_id = 200, lang = "de" }, asked.body)
    assert.equal("model.example.org", asked.host)
  end)

  it("asks about edits of Wikipedias only", function()
    local script = load()
    local function dropped(change)
      return script.request(events.event(change)).type
    end
    assert.equal("canary", dropped(function(event) event.meta.domain = "canary" end))
    assert.equal("no_edit", dropped(function(event) event.page_change_kind = "move" end))
    assert.equal("no_edit", dropped(function(event) event.revision.is_content_visible = false end))
    assert.equal("no_model", dropped(function(event) event.meta.domain = "www.wikidata.org" end))
    assert.equal("InvalidEvent", dropped(function(event) event.revision.rev_id = "200" end))
    assert.equal("InvalidEvent", dropped(function(event) event.page = nil end))
  end)

  it("makes a score of every answer, and an alarm of a risky one", function()
    local script = load { risky = 0.8 }
    local made = script.transform(events.event(), scored(0.25), events.meta())
    assert.same({ "output", "scores" }, { made.verdict, made.to })
    local predicted = made.value.predicted_classification
    assert.same({ "false" }, { predicted.predictions[1] })
    assert.equal(0.25, predicted.probabilities["true"])
    assert.is_nil(made.value.revision.content_slots)
    made = script.transform(events.event(), scored(0.8), events.meta())
    assert.same({ "outputs", "scores", "risky" }, { made.verdict, made[1].to, made[2].to })
    local alarm = made[2].value
    assert.same({ 200, 20, 0.8 }, { alarm.rev_id, alarm.page.page_id, alarm.probability })
  end)

  it("tells a model that refuses from one that is not up to date yet", function()
    local script = load()
    local function type_of(response, meta)
      return script.transform(events.event(), response, meta or events.meta()).type
    end
    assert.equal("missing_revision", type_of { status = 404, headers = {} })
    local late = events.meta { now = events.NOW + 60 }
    assert.equal("MissingRevision", type_of({ status = 404, headers = {} }, late))
    assert.equal("ModelRefused", type_of { status = 400, headers = {}, body = "no parent" })
    assert.equal("ModelAnswer", type_of { status = 200, headers = {}, json = {} })
    local odd = { output = { probabilities = {} } }
    assert.equal("ModelAnswer", type_of { status = 200, headers = {}, json = odd })
  end)

  it("tests itself", function()
    load().selftest()
    assert.has_error(function() load { risky = 2 }.selftest() end)
  end)
end)

describe("http_lookup", function()
  local function load(params)
    return events.load("http_lookup", params)
  end

  local planets = { path = "/planets/{planet.id}/{name}", query = { lang = "{lang}" }, into = "planet.details" }

  it("asks by members of the event", function()
    local asked = load(planets).request { planet = { id = 3 }, name = "a b", lang = "de" }
    assert.equal("/planets/3/a%20b", asked.path)
    assert.same({ lang = "de" }, asked.query)
  end)

  it("puts the answer where it is wanted, all of it or some members", function()
    local answer = { status = 200, json = { name = "Earth", radius = 6371, moons = {} } }
    local made = load(planets).transform({ planet = { id = 3 } }, answer)
    assert.same({ planet = { id = 3, details = answer.json } }, made)
    local some = load { path = "/", into = "a.b", take = { "name", "none" } }
    assert.same({ a = { b = { name = "Earth" } } }, some.transform({}, answer))
  end)

  it("does as told with what the API does not know, or the event does not say", function()
    for missing, verdict in pairs { pass = "pass nil", drop = "drop not_found", fail = "fail NotFound" } do
      local script = load { path = "/x/{id}", into = "x", missing = missing }
      local unknown = script.transform({ id = 1 }, { status = 404 })
      local unsaid = script.request { id = {} }
      assert.equal(verdict, unknown.verdict .. " " .. tostring(unknown.type))
      assert.equal(verdict, unsaid.verdict .. " " .. tostring(unsaid.type))
    end
  end)

  it("refuses settings that cannot work", function()
    local wrong = { {}, { path = "x", into = "y" }, { path = "/x" }, { path = "/x", into = "y", missing = "z" } }
    for _, params in ipairs(wrong) do
      assert.has_error(load(params).selftest)
    end
    load(planets).selftest()
  end)
end)
