---Hooks in a plain busted spec: the engine's own sandbox, codec, limits and verdicts, without Kafka and
---HTTP.
---
---    local testing = require "millrace.testing"
---    local script = testing.script("scripts/page_content_change.lua")
---    local result = script:run(event, { json = answer })
---    assert.equal("hello", result.value.revision.content_slots.main.content_body)
---
---A script runs in a Lua state of its own, as in production, so a spec sees values and not the script's
---tables: events go in as JSON, outputs come out as JSON. Answers are what the engine has after its own
---retries. Times are numbers of seconds. Needs LuaJIT: `busted --lua=/usr/bin/luajit`.

local engine = require "millrace.engine"

local _M = {
  ---The engine's codec: encode, decode, array, is_array, null, number.
  json = engine.json,
}

local json = engine.json

local Script = {}
Script.__index = Script

local META = { topic = "input", partition = 0, offset = 0, timestamp = 0 }
local STATUS_ERROR = "status %d"

local function with_defaults(given, defaults)
  local made = {}
  for name, value in pairs(defaults) do
    made[name] = value
  end
  for name, value in pairs(given or {}) do
    made[name] = value
  end
  return made
end

local function folder_of(path)
  return path:match("^(.*)/[^/]*$") or "."
end

---Sets the clock that scripts see (`meta.now`, `millrace.time.now`, meta.dt of outputs) and stops it there.
---@param now number|string seconds since 1970, or RFC 3339
function _M.clock(now)
  engine.clock(now)
end

---The lines that scripts have written with millrace.log since the last call: "warn what it said".
---@return string[]
function _M.log()
  return engine.log()
end

---Loads a script. Raises why it does not load, with file and line.
---
---options.params     millrace.params
---options.upstreams  names that requests may use; the first is the default  [{"upstream"}]
---options.sinks      a list of {name=, stream=, schema=, max_bytes=}         [one without a stream]
---options.key        fields of the order key: a list of {name=, path=}
---options.library    folder of lib.NAME where the script's own folder has none
---options.budget     CPU seconds of a hook [1];  options.memory: bytes of its heap [128 MiB]
---@return table script
function _M.script(path, options)
  options = options or {}
  local loaded, why = engine.open {
    path = path,
    library = options.library or folder_of(path) .. "/lib",
    params = json.encode(options.params or {}),
    upstreams = options.upstreams or { "upstream" },
    sinks = options.sinks or { { name = "output" } },
    key = options.key or {},
    budget = options.budget,
    memory = options.memory,
  }
  if not loaded then
    error(why, 0)
  end
  return setmetatable({ engine = loaded, sha256 = loaded:sha256() }, Script)
end

local function text_of(event)
  return type(event) == "string" and event or json.encode(event)
end

local function begin(script, event, meta)
  local begun, failure = script.engine:begin(text_of(event), with_defaults(meta, META))
  return begun, failure
end

local function finish(result)
  for n, output in ipairs(result.outputs) do
    output.value = output.json and json.decode(output.json) or nil
    if n == 1 then
      result.value = output.value
    end
  end
  return result
end

local function accepted(request, status)
  if status >= 200 and status <= 299 then
    return true
  end
  for _, other in ipairs(request.accept) do
    if other == status then
      return true
    end
  end
  return false
end

---A response as the spec wrote it becomes one as the engine has it: status 200 unless it says otherwise,
---`json` as bytes, refused where the engine would refuse it.
local function response_of(request, answer)
  assert(type(answer) == "table", "an answer is a table: {json = ...}, {status = 404}, {error = ...}")
  local made = {
    status = answer.status or (answer.error and 0 or 200),
    headers = answer.headers or {},
    body = answer.body,
    attempts = answer.attempts,
    elapsed = answer.elapsed,
  }
  if answer.json ~= nil then
    made.body = json.encode(answer.json)
  end
  if answer.error then
    made.error_type, made.error_message = answer.error.type, answer.error.message or ""
  elseif not accepted(request, made.status) then
    made.error_type, made.error_message = "HttpStatus", STATUS_ERROR:format(made.status)
  end
  return made
end

local function refuse(response, kind, message)
  response.status, response.body = 0, nil
  response.error_type, response.error_message = kind, message
end

---Gives one answer to one question; a verdict when that ends the record's attempt.
local function give(begun, n, request, answer)
  local response = response_of(request, answer)
  if response.error_type then
    refuse(response, response.error_type, response.error_message)
  end
  local outcome, detail = begun:answer(n, response)
  if outcome == "unparsable" then
    refuse(response, "HttpUnparsable", "the answer is not JSON")
    begun:answer(n, response)
  elseif outcome == "retry" then
    return detail
  elseif outcome == "fail" then
    refuse(response, detail.type, detail.message)
    begun:answer(n, response)
  end
  if response.error_type and not request.optional then
    return { verdict = "fail", type = response.error_type, message = response.error_message }
  end
end

local function chooser(answers)
  if type(answers) == "function" then
    return answers
  end
  local list = (answers == nil and {}) or (answers[1] ~= nil and answers) or { answers }
  local used = 0
  return function()
    used = used + 1
    return list[math.min(used, #list)]
  end
end

local function answer_all(begun, result, choose, log)
  for n, request in ipairs(result.requests) do
    local answer = choose(request, #log + 1)
    if answer == nil then
      error(("no answer was given for request %d: %s %s%s"):format(
        #log + 1, request.method or "GET", request.host or "", request.path or ""), 4)
    end
    log[#log + 1] = request
    local ended = give(begun, n, request, answer)
    if ended then
      ended.requests, ended.outputs = {}, {}
      return ended
    end
  end
end

local function attempt(script, event, choose, meta, number, log)
  local begun, failure = begin(script, event, meta)
  if failure then
    return failure
  end
  local result, go_on = begun:request(number), begun.transform
  while result.verdict == "ask" or result.verdict == "wait" do
    local ended = answer_all(begun, result, choose, log)
    if ended then
      return ended
    end
    result, go_on = go_on(begun), begun.resume
  end
  if result.verdict == "pass" then
    result = begun:pass()
  end
  return result
end

---What `request` answers: {verdict = "ask", requests = {...}}, or pass, drop, fail.
---A request has upstream, host, path, query (decoded, the merge parameter's value among it), method, headers,
---body, timeout, accept, optional, expect, and merge = {param, value, max, bytes, split}.
---@param event table|string
---@param meta? table topic, partition, offset, timestamp, key, headers
function Script:request(event, meta)
  local begun, failure = begin(self, event, meta)
  return failure or begun:request(1)
end

---The whole walk of one event up to its first verdict: `request`, the answers, `split`, `transform` and its
---fetches. A retry is answered as such. See Script:run for `answers`.
function Script:transform(event, answers, meta)
  local log = {}
  local result = attempt(self, event, chooser(answers), meta, 1, log)
  result.asked, result.attempts = log, 1
  return finish(result)
end

---As Script:transform, but begins again after a `retry`, `options.attempts` times at most [10]; where
---testing.clock was set, it moves on by the `after` of each.
---
---answers: one answer, a list of them (the last is given again), or function(request, n) that makes one.
---An answer: {json = value}, or {body = bytes}, with status [200], headers, attempts, elapsed; or
---{error = {type=, message=}}, a refusal that reaches an optional request and fails any other.
---
---The result: verdict ("output", "pass", "drop", "fail", "retry"), type, message, stack; outputs, each
---{value, json, to, key, headers, timestamp}; value (of the first); asked: all requests; attempts.
function Script:run(event, answers, meta, options)
  local choose, log, number = chooser(answers), {}, 0
  local most = options and options.attempts or 10
  local result
  repeat
    number = number + 1
    result = attempt(self, event, choose, meta, number, log)
    if result.verdict == "retry" then
      engine.skip(result.after)
    end
  until result.verdict ~= "retry" or number >= most
  result.asked, result.attempts = log, number
  return finish(result)
end

---A module of the script's, `lib.mediawiki` for one: its functions are called inside the script's state.
---Arguments and
---answers are values (what has no JSON form cannot go through); verdicts come as tables with verdict,
---type, message,
---after, scope.
function Script:module(name)
  local loaded = self.engine
  return setmetatable({}, {
    __index = function(_, member)
      return function(...)
        local arguments = { n = select("#", ...), ... }
        for i = 1, arguments.n do
          if arguments[i] ~= nil then
            arguments[i] = json.encode(arguments[i])
          end
        end
        return loaded:call(name, member, unpack(arguments, 1, arguments.n))
      end
    end,
  })
end

return _M
