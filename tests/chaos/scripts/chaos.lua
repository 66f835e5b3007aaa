-- The shipped job, but for events whose comment tells it to do wrong (see wayward.lua).
local shipped = require "page_content_change"
local wayward = require "wayward"

local function is_told(event, hook)
  local comment = type(event) == "table" and event.comment
  return type(comment) == "string" and comment:match "^(%w+):[%w_]+$" == hook
end

return {
  api = 1,
  request = function(event, meta)
    if is_told(event, "request") then
      return wayward.request(event)
    end
    return shipped.request(event, meta)
  end,
  revisions = shipped.revisions,
  transform = function(event, response, meta)
    if is_told(event, "transform") then
      return wayward.transform(event, response)
    end
    return shipped.transform(event, response, meta)
  end,
  selftest = shipped.selftest,
}
