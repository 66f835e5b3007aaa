-- The sample events: real enough to learn from, with one of everything that can happen to an event.

local cjson = require "cjson"

local function lines()
  local all = {}
  for line in io.lines("scripts/samples/page_change.jsonl") do
    table.insert(all, line)
  end
  return all
end

local function decoded()
  local all, broken = {}, 0
  for _, line in ipairs(lines()) do
    local fine, event = pcall(cjson.decode, line)
    if fine then
      table.insert(all, event)
    else
      broken = broken + 1
    end
  end
  return all, broken
end

describe("samples/page_change.jsonl", function()
  it("has one line that is no JSON", function()
    local all, broken = decoded()
    assert.equal(1, broken)
    assert.equal(#lines() - 1, #all)
  end)

  it("has every kind, visible and hidden, a canary, and wikis of many scripts", function()
    local seen = {}
    for _, event in ipairs((decoded())) do
      local visible = event.revision.is_content_visible and "visible " or "hidden "
      seen[visible .. event.page_change_kind], seen[event.meta.domain] = true, true
    end
    for _, name in ipairs {
      "visible create", "visible edit", "visible move", "visible undelete", "visible visibility_change",
      "visible delete", "hidden visibility_change", "hidden delete", "canary", "www.wikidata.org",
      "commons.wikimedia.org", "ar.wikipedia.org", "ja.wikipedia.org",
    } do
      assert.is_true(seen[name], name)
    end
  end)

  it("has what every event must have", function()
    for _, event in ipairs((decoded())) do
      assert.is_string(event.meta.stream)
      assert.is_string(event.wiki_id)
      assert.is_number(event.page.page_id)
      assert.is_string(event.page.page_title)
      assert.is_number(event.revision.rev_id)
      assert.is_string(event.revision.rev_dt)
    end
  end)

  it("keeps revisions so far apart that they can be renumbered", function()
    local ids = {}
    for _, event in ipairs((decoded())) do
      ids[event.revision.rev_id] = event.page.page_id
    end
    for id, page in pairs(ids) do
      for other, other_page in pairs(ids) do
        local message = ("%.0f and %.0f"):format(id, other)
        assert.is_true(id == other or math.abs(id - other) >= 100000, message)
        assert.is_true(id ~= other or page == other_page, message)
      end
    end
  end)
end)
