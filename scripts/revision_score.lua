-- Edits become scores: a model server is asked how likely each one is to be reverted.
--
-- In:  mediawiki.page_change
-- Out: sink `scores`   every scored edit, as mediawiki/page/prediction_classification_change
--      sink `risky`    those that score too high, in short: for people or bots that look at them at once
--
-- The request is that of Wikimedia's Lift Wing: POST /v1/models/NAME:predict, where the Host header leads to
-- the model. Others differ in `score_request` and `prediction` alone.
--
-- Settings in `script.params`:
--     model        name of the model                              (revertrisk-language-agnostic)
--     model_host   Host header that leads to it; none: the url's own
--     risky        probability of `true` from which an edit is risky                        (0.9)
--
-- revision_score.yaml is a configuration to start from.

local millrace = require "millrace"
local mediawiki = require "lib.mediawiki"

local params = millrace.params
local model = params.model or "revertrisk-language-agnostic"
local risky = params.risky or 0.9

local SCORED = { create = true, edit = true }


local function language(event)
  local domain = type(event.meta) == "table" and event.meta.domain
  return type(domain) == "string" and domain:match("^([%w-]+)%.wikipedia%.org$") or nil
end


local function score_request(event, lang)
  return {
    host = params.model_host,
    path = "/v1/models/" .. millrace.escape(model) .. ":predict",
    body = { rev_id = event.revision.rev_id, lang = lang },          -- a table is sent as JSON, by POST
    headers = mediawiki.headers(event),
    accept = { 400, 404, 422 },          -- the model's own refusals: `transform` says what becomes of them
  }
end


-- What the answer says in the words of the schema; nil and the reason where it is something else.
local function prediction(answer)
  local output = type(answer) == "table" and answer.output
  if type(output) ~= "table" or type(output.probabilities) ~= "table" then
    return nil, "the answer has no output.probabilities"
  end
  local predicted = output.prediction
  if predicted == nil then
    return nil, "the answer has no output.prediction"
  end
  local predictions = millrace.json.array {}
  for i, name in ipairs(type(predicted) == "table" and predicted or { predicted }) do
    predictions[i] = tostring(name)
  end
  return {
    model_name = answer.model_name or model,
    model_version = tostring(answer.model_version or "unknown"),
    predictions = predictions,
    probabilities = output.probabilities,
  }
end


-- The schema of predictions is about pages and revisions, not about what is in them.
local function without_slots(event)
  event.revision.content_slots = nil
  local before = type(event.prior_state) == "table" and event.prior_state.revision
  if type(before) == "table" then
    before.content_slots = nil
  end
  return event
end


local function alarm(event, probability)
  return {
    meta = { domain = event.meta.domain, uri = event.meta.uri, request_id = event.meta.request_id },
    dt = event.dt,
    wiki_id = event.wiki_id,
    page = { page_id = event.page.page_id, page_title = event.page.page_title },
    rev_id = event.revision.rev_id,
    model = model,
    probability = probability,
  }
end


---@type millrace.script
return {
  api = 1,

  request = function(event)
    if mediawiki.is_canary(event) then
      return millrace.drop("canary")
    end
    if not SCORED[event.page_change_kind] or not mediawiki.has_visible_content(event) then
      return millrace.drop("no_edit")
    end
    local lang = language(event)
    if not lang then
      return millrace.drop("no_model")   -- the model knows Wikipedias only
    end
    if type(event.page) ~= "table" or type(event.revision) ~= "table"
        or not mediawiki.digits(event.revision.rev_id) then
      return millrace.fail("InvalidEvent", "revision.rev_id is no integer above 0, or page is no object")
    end
    return score_request(event, lang)
  end,

  transform = function(event, response, meta)
    if response.status == 404 then
      return mediawiki.missing(event, meta)        -- the model reads the wiki, too: its replica may be late
    end
    if response.status ~= 200 then
      return millrace.fail("ModelRefused", ("the model answers %d: %s")
        :format(response.status, (response.body or millrace.json.encode(response.json)):sub(1, 300)))
    end
    local predicted, wrong = prediction(response.json)
    if not predicted then
      return millrace.fail("ModelAnswer", wrong)
    end
    local probability = predicted.probabilities["true"]
    event.predicted_classification = predicted
    local score = millrace.output { value = without_slots(event), to = "scores" }
    if type(probability) ~= "number" or probability < risky then
      return score
    end
    return millrace.outputs(score,                 -- both are published, or neither
      millrace.output { value = alarm(event, probability), to = "risky" })
  end,

  selftest = function()
    assert(type(risky) == "number" and risky >= 0 and risky <= 1, "params.risky must be a probability")
    local asked = score_request({ meta = {}, revision = { rev_id = 1351079888211148 } }, "en")
    assert(asked.path == "/v1/models/" .. millrace.escape(model) .. ":predict")
  end,
}
