-- Several questions about one event, asked at the same time, and several outputs made of the answers.
--
-- http.upstreams: mediawiki: {url: "http://localhost:6500/w/api.php"}
--                 scores: {url: "http://localhost:8080/score"}
-- sinks:          content: {stream: my.page_content.v1}
--                 scores: {stream: my.page_score.v1}

local millrace = require "millrace"
local mediawiki = require "lib.mediawiki"

---@type millrace.script
return {
  api = 1,

  request = function(event)
    return {                               -- an array: asked at once, answered in the same order
      mediawiki.revision_request(event),
      { upstream = "scores", body = { rev_id = event.revision.rev_id }, optional = true },   -- a POST of JSON
    }
  end,

  revisions = mediawiki.revisions_by_id,

  transform = function(event, responses, meta)
    local revision, verdict = mediawiki.revision(responses[1], event, meta)
    if not revision then
      return verdict
    end
    local content = millrace.output { value = mediawiki.add_content(event, revision) }
    if responses[2].error then             -- optional: the content goes out without a score
      return content
    end
    local score = {
      meta = event.meta,
      rev_id = event.revision.rev_id,
      score = responses[2].json.score,
    }
    return millrace.outputs(content, millrace.output { value = score, to = "scores" })   -- both or none
  end,
}
