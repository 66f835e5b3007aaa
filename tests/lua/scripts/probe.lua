-- What specs of millrace.testing need from a script: one branch per `kind` of the event.

local millrace = require "millrace"

local REQUESTS = {
  two = { { path = "/a" }, { path = "/b", optional = true } },
  strict = { path = "/a" },
  bytes = { path = "/a", expect = "bytes", accept = { 404 } },
  posted = {
    method = "PUT", path = "/p%2Fq", query = { q = "a b&c", list = { "x", "y" } },
    headers = { ["X-One"] = "1" }, body = { deep = { 1, 2 } }, timeout = 2.5, upstream = "second",
  },
}

return {
  api = 1,
  request = function(event)
    if event.kind == "drop" then
      return millrace.drop("unwanted")
    end
    return REQUESTS[event.kind] or { path = "/one" }
  end,
  transform = function(event, response, meta)
    if event.kind == "fetch" then
      event.fetched = millrace.fetch { path = "/more" }.json.n + millrace.fetch { path = "/more" }.json.n
    elseif event.kind == "retry" and meta.attempt < 3 then
      return millrace.retry("later", { after = 4 })
    elseif event.kind == "outputs" then
      return millrace.outputs(millrace.output { value = { n = 1 }, key = "k" },
        millrace.output { value = { n = 2 }, to = "other" })
    elseif event.kind == "error" then
      return event.nothing.at_all
    elseif event.kind == "loop" then
      while true do end
    elseif event.kind == "nothing" then
      return
    elseif event.kind == "two" then
      event.a, event.b = response[1].json, response[2].error and response[2].error.type or response[2].json
    elseif event.kind == "bytes" then
      event.body, event.status = response.body, response.status
    elseif event.kind == "log" then
      millrace.log.warn("heard", event.n)
    else
      event.json, event.now = response.json, meta.now
    end
    return event
  end,
}
