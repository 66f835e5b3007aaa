-- A job that events can spoil: what it keeps makes its own test fail, or fills its state. Each event asks
-- two questions.

local kept = { spoilt = false }

local deeds = {
  loop = function()
    while true do end
  end,
  spoil = function()
    kept.spoilt = true
    while true do end
  end,
  hoard = function()
    for _ = 1, 40000 do kept[#kept + 1] = ("x"):rep(1000) .. #kept end
  end,
}

local function do_deed(event, hook)
  local deed = deeds[(event.comment or ""):match("^" .. hook .. ":(%w+)$")]
  if deed then deed() end
end

local function revision_request(event, props)
  return {
    host = event.meta.domain,
    query = {
      action = "query", format = "json", formatversion = "2", prop = "revisions", rvslots = "*",
      rvprop = props, revids = event.revision.rev_id,
    },
  }
end

return {
  api = 1,
  selftest = function()
    assert(not kept.spoilt, "it is spoilt")
  end,
  request = function(event)
    do_deed(event, "request")
    return { revision_request(event, "ids|content"), revision_request(event, "ids") }
  end,
  transform = function(event, answers)
    do_deed(event, "transform")
    assert(answers[2].json.query.pages[1].revisions[1].revid == event.revision.rev_id, "another revision")
    for role, slot in pairs(answers[1].json.query.pages[1].revisions[1].slots) do
      event.revision.content_slots[role].content_body = slot.content
    end
    return event
  end,
}
