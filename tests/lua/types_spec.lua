-- The described API, the stand-in used here and the list of what the engine exports are the same.

local EXPORTS = {
  "diff", "drop", "escape", "fail", "fetch", "output", "outputs", "params", "pass", "path", "retry",
  "hash.md5", "hash.sha1", "hash.sha256",
  "json.array", "json.decode", "json.encode", "json.is_array", "json.null", "json.number",
  "log.debug", "log.error", "log.info", "log.warn",
  "time.format", "time.now", "time.parse",
  "uuid.v4", "uuid.v5",
}

local GROUPS = { hash = true, json = true, log = true, time = true, uuid = true }

local function names(module)
  local found = {}
  for name, value in pairs(module) do
    if GROUPS[name] then
      for inner in pairs(value) do
        found[name .. "." .. inner] = true
      end
    else
      found[name] = true
    end
  end
  return found
end

local function expected()
  local set = {}
  for _, name in ipairs(EXPORTS) do
    set[name] = true
  end
  return set
end

describe("the script API", function()
  it("is described in types/millrace.lua, name by name", function()
    local described = names(dofile("scripts/types/millrace.lua"))
    described["json.null"] = true          -- a value, which a description cannot hold
    assert.same(expected(), described)
  end)

  it("is imitated in support/millrace.lua, name by name", function()
    local imitated = names(require "millrace")
    imitated["log.lines"] = nil
    assert.same(expected(), imitated)
  end)
end)
