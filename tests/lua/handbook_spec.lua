-- Every recipe of the handbook (scripts/README.md) is a script that does what its text says.

local testing = require "millrace.testing"

local recipes, folder = {}, nil

local function read_recipes()
  local file = assert(io.open("scripts/README.md"))
  local text = file:read("*a")
  file:close()
  for block in text:gmatch("```lua\n(.-)```") do
    local name = block:match("^%-%- recipe: ([^\n]+)\n")
    if name then
      recipes[name] = block
    end
  end
end

local function recipe(name, options)
  local path = folder .. "/recipe.lua"
  local file = assert(io.open(path, "w"))
  assert(recipes[name], "there is no recipe " .. name)
  file:write(recipes[name])
  file:close()
  return testing.script(path, options)
end

describe("the handbook's", function()
  setup(function()
    read_recipes()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
  end)

  teardown(function()
    os.execute("rm -r " .. folder)
  end)

  it("first script asks for a user, and drops canaries", function()
    local script = recipe "a first script"
    local event = { meta = { domain = "de" }, user_id = 1351079888211148 }
    local made = script:run(event, { json = { name = "Müller" } })
    assert.equal("Müller", made.value.user.name)
    assert.equal("/users/1351079888211148", made.asked[1].path)
    assert.equal("canary", script:run({ meta = { domain = "canary" } }).type)
  end)

  it("several lookups are asked at once, and one may fail", function()
    local script = recipe "several lookups"
    local event = { page_id = 1, user_id = 2 }
    local made = script:run(event, { { json = { p = 1 } }, { json = { u = 2 } } })
    assert.same({ { p = 1 }, { u = 2 } }, { made.value.page, made.value.user })
    made = script:run(event, { { json = { p = 1 } }, { status = 500 } })
    assert.same({ "output", nil }, { made.verdict, made.value.user })
    assert.equal("fail", script:run(event, { { status = 500 }, { json = 1 } }).verdict)
  end)

  it("follow-up lookup goes where the first answer says", function()
    local script = recipe "a follow-up lookup"
    local function answer(request)
      return { json = request.path == "/pages/1" and { redirect = 2 } or { title = "there" } }
    end
    local made = script:run({ page_id = 1 }, answer)
    assert.equal("there", made.value.page.title)
    assert.equal("/pages/2", made.asked[2].path)
    assert.equal(1, #script:run({ page_id = 3 }, answer).asked)
  end)

  it("fan-out makes one output per link, or none", function()
    local script = recipe "fan-out"
    local made = script:run { page_id = 1, links = { "a", "b" } }
    assert.same({ { from = 1, to = "b" }, "b" }, { made.outputs[2].value, made.outputs[2].key })
    assert.equal("no_links", script:run({ page_id = 1, links = testing.json.array {} }).type)
  end)

  it("routing goes by the namespace", function()
    local script = recipe("routing", { sinks = { { name = "articles" }, { name = "talk" } } })
    assert.equal("articles", script:run({ namespace_id = 0 }).outputs[1].to)
    assert.equal("talk", script:run({ namespace_id = 1 }).outputs[1].to)
  end)

  it("filter drops other wikis, and takes the same share each time", function()
    local script = recipe("a filter", { params = { wikis = { "dewiki" }, share = 0.5 } })
    assert.equal("other_wiki", script:run({ wiki_id = "frwiki", page_id = 1 }).type)
    local passed = 0
    for id = 1, 200 do
      local first = script:run({ wiki_id = "dewiki", page_id = id }).verdict
      assert.equal(first, script:run({ wiki_id = "dewiki", page_id = id }).verdict)
      passed = passed + (first == "pass" and 1 or 0)
    end
    assert.is_true(passed > 60 and passed < 140)
  end)

  it("late answer is waited for, and then given up", function()
    testing.clock("2026-11-22T13:26:28Z")
    local script = recipe "not ready yet"
    local event = { job_id = 1, meta = { dt = "2026-11-22T13:26:27Z" } }
    local made = script:run(event, { { status = 404, body = "" }, { json = { result = 5 } } })
    assert.same({ 5, 2 }, { made.value.result, made.attempts })
    made = script:run(event, { status = 404, body = "" })
    assert.equal("NoJob", made.type)
  end)

  it("body is sent as JSON, to the upstream that is named", function()
    local script = recipe("a body", { upstreams = { "other", "model" } })
    local made = script:run({ rev_id = 9 }, { json = { score = 0.5 } })
    assert.equal(0.5, made.value.score)
    local asked = made.asked[1]
    assert.same({ "model", "POST", '{"rev_id":9}', "mill" },
      { asked.upstream, asked.method, asked.body, asked.headers["X-Team"] })
  end)
end)
