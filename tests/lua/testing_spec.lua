-- A spec that uses millrace.testing sees what production does.

local testing = require "millrace.testing"

describe("millrace.testing", function()
  local script

  before_each(function()
    script = testing.script("tests/lua/scripts/probe.lua", {
      upstreams = { "first", "second" },
      sinks = { { name = "main" }, { name = "other", stream = "other.v1", schema = "/other/1.0.0" } },
    })
  end)

  it("keeps every digit of what a script does not touch", function()
    local text = '{"kind":"x","id":9007199254740993,"ratio":1.0,"list":[],"map":{},"none":null}'
    local made = script:run(text, { json = 1 }).outputs[1].json
    local pieces = { '"id":9007199254740993', '"ratio":1.0', '"list":[]', '"map":{}', '"none":null' }
    for _, piece in ipairs(pieces) do
      assert.matches(piece, made, 1, true)
    end
  end)

  it("shows a request as the engine would send it", function()
    local request = script:request({ kind = "posted" }).requests[1]
    assert.same({ "second", "PUT", "/p%2Fq", 2.5 },
      { request.upstream, request.method, request.path, request.timeout })
    assert.same({ q = "a b&c", list = "x|y" }, request.query)
    assert.equal("1", request.headers["X-One"])
    assert.equal('{"deep":[1,2]}', request.body)
  end)

  it("answers several requests in their order", function()
    local made = script:run({ kind = "two" }, { { json = { n = 1 } }, { json = { n = 2 } } })
    assert.same({ { n = 1 }, { n = 2 } }, { made.value.a, made.value.b })
    assert.same({ "/a", "/b" }, { made.asked[1].path, made.asked[2].path })
  end)

  it("lets a refusal through to an optional request, and fails any other", function()
    local refused = { error = { type = "HttpTimeout", message = "60 s" } }
    assert.equal("HttpTimeout", script:run({ kind = "two" }, { { json = 1 }, refused }).value.b)
    local made = script:run({ kind = "strict" }, refused)
    assert.same({ "fail", "HttpTimeout", "60 s" }, { made.verdict, made.type, made.message })
    assert.equal("HttpStatus", script:run({ kind = "strict" }, { status = 404 }).type)
    assert.equal("HttpUnparsable", script:run({ kind = "strict" }, { body = "<html>" }).type)
    assert.equal("HttpStatus", script:run({ kind = "two" }, { { json = 1 }, { status = 500 } }).value.b)
  end)

  it("gives bytes where bytes are expected, of accepted statuses too", function()
    local made = script:run({ kind = "bytes" }, { status = 404, body = "nothing\0here" })
    assert.same({ "nothing\0here", 404 }, { made.value.body, made.value.status })
  end)

  it("takes an answer from a function, for each fetch too", function()
    local made = script:run({ kind = "fetch" }, function(request, n)
      return { json = { n = request.path == "/more" and n or 0 } }
    end)
    assert.equal(5, made.value.fetched)
    assert.equal(3, #made.asked)
  end)

  it("begins again after a retry, later", function()
    testing.clock("2026-11-22T13:26:28Z")
    local made = script:run({ kind = "retry" }, { json = 1 })
    assert.equal(3, made.attempts)
    assert.equal(script:run({ kind = "x" }, { json = 1 }).value.now, testing.json.decode("1795353996"))
    local once = script:transform({ kind = "retry" }, { json = 1 })
    assert.same({ "retry", "later", 4 }, { once.verdict, once.type, once.after })
  end)

  it("stamps what goes to a stream, the same each time", function()
    testing.clock(0)
    local event = { kind = "outputs", meta = { id = "7b5ac30d-1a4b-4a0f-8a6c-000000000001" } }
    local made = script:run(event, { json = 1 }, { key = "own" })
    assert.same({ n = 1 }, made.outputs[1].value)
    assert.same({ "k", "main" }, { made.outputs[1].key, made.outputs[1].to })
    local second = made.outputs[2].value
    assert.same({ "other.v1", "1970-01-01T00:00:00.000Z" }, { second.meta.stream, second.meta.dt })
    assert.equal("/other/1.0.0", second["$schema"])
    assert.equal(second.meta.id, script:run(event, { json = 1 }, { key = "own" }).outputs[2].value.meta.id)
    assert.equal("own", made.outputs[2].key)
  end)

  it("fails a script's mistakes as production does, with file and line", function()
    local made = script:run({ kind = "error" }, { json = 1 })
    assert.same({ "fail", "ScriptError" }, { made.verdict, made.type })
    assert.matches("tests/lua/scripts/probe.lua:%d+: attempt to index field 'nothing'", made.message)
    assert.matches("tests/lua/scripts/probe.lua:%d+: in", made.stack)
    assert.equal("ScriptAnswer", script:run({ kind = "nothing" }, { json = 1 }).type)
    assert.equal("PoisonEvent", script:run("{", { json = 1 }).type)
    local dropped = script:run({ kind = "drop" })
    assert.same({ "drop", "unwanted" }, { dropped.verdict, dropped.type })
  end)

  it("ends an endless loop, and the script goes on", function()
    local hasty = testing.script("tests/lua/scripts/probe.lua", { budget = 0.05 })
    assert.equal("ScriptTimeout", hasty:run({ kind = "loop" }, { json = 1 }).type)
    assert.equal("output", hasty:run({ kind = "x" }, { json = 1 }).verdict)
  end)

  it("keeps the lines that a script logs", function()
    testing.log()
    script:run({ kind = "log", n = 7 }, { json = 1 })
    assert.same({ "warn heard 7" }, testing.log())
    assert.same({}, testing.log())
  end)

  it("says why a script does not load, and which request has no answer", function()
    local loaded, why = pcall(testing.script, "tests/lua/scripts/none.lua")
    assert.is_false(loaded)
    assert.matches("none.lua", why)
    loaded, why = pcall(script.run, script, { kind = "two" }, function() end)
    assert.is_false(loaded)
    assert.matches("no answer was given for request 1: GET /a", why)
  end)

  it("calls functions of a module, and raises what they raise", function()
    local module = testing.script("scripts/page_content_change.lua"):module("lib.mediawiki")
    assert.equal("InvalidEvent", module.revision_request({}).type)
    assert.has_error(function()
      module.no_such_function()
    end)
    assert.has_error(function()
      module.revision_request(print)
    end)
  end)
end)
