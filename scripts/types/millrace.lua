---@meta millrace
-- What a script gets from Millrace, as types: the reference of the API, for people and for the Lua language
-- server. Nothing here runs; put the file on your editor's library path (`millrace types` prints it).
--
-- A time is a number of seconds everywhere: a wait, a timeout, or the seconds since 1970-01-01T00:00:00Z.

local millrace = {}


-- ---------------------------------------------------------------------------------------------------------
-- The script
-- ---------------------------------------------------------------------------------------------------------

---The table that a script's file returns. `transform` is the only hook that it must have.
---@class millrace.script
---@field api 1                        version of this interface
---@field request? fun(event: millrace.event, meta: millrace.meta): millrace.asked|millrace.verdict
---@field transform fun(event: millrace.event, response: millrace.answer, meta: millrace.meta): millrace.made
---@field selftest? fun()              run after loading; an error refuses the script
---@field [string] millrace.split|any  functions that a request's `merge.split` names

---One question, or an array of them: they run at the same time, and `response` is an array in the same order.
---@alias millrace.asked millrace.request|millrace.request[]

---What `transform` is given: as many responses as `request` asked for; nil without a `request` hook.
---@alias millrace.answer millrace.response|millrace.response[]|nil

---What `transform` may answer: the event for the first sink, outputs, or a verdict. nil is a failure.
---@alias millrace.made millrace.event|millrace.output|millrace.outputs|millrace.verdict

---Takes the answer of one call apart: a part for each value of the merged parameter that the answer is about.
---A value without a part is asked again, alone at last; nil is then its `response.json`. `retry` and `fail`
---speak of the whole call; a call of several values that fails is asked again in halves.
---@alias millrace.split fun(json: any, values: string[], response: millrace.response): millrace.parts

---A part for each value, or a verdict on the whole call.
---@alias millrace.parts table<string, any>|millrace.verdict

---The decoded JSON value of a record. Objects and arrays are tables, strings and numbers are Lua's. Arrays
---keep a metatable, so that `[]` stays `[]`. null is `millrace.json.null`. An integer that a double cannot
---hold exactly is a `millrace.number`. What a script does not touch is published as it came, digit for digit.
---@class millrace.event
---@field [string] any

---A number that a Lua number does not hold exactly, such as 9007199254740993. It can be moved, compared with
---others of its kind and encoded; `tostring` and `..` give its text.
---@class millrace.number: userdata

---Where the record came from.
---@class millrace.meta
---@field topic string
---@field partition integer
---@field offset integer
---@field timestamp number                 Kafka's, in seconds
---@field key? string                      the record's Kafka key, as bytes
---@field headers table<string, string>    the record's Kafka headers, the last one of each name
---@field attempt integer                  1, and one more after each `retry`
---@field now number                       the time when the hook was called


-- ---------------------------------------------------------------------------------------------------------
-- Asking
-- ---------------------------------------------------------------------------------------------------------

---@class millrace.request
---@field upstream? string                 name in `http.upstreams`; the first one there unless given
---@field host? string                     Host header, the wiki; the upstream's own unless given
---@field path? string                     appended to the upstream's url; see `millrace.path`
---@field query? table<string, millrace.scalar|millrace.scalar[]>  encoded by the engine; arrays joined by "|"
---@field method? string                   "GET" unless given; "POST" with a body
---@field headers? table<string, string>
---@field body? string|table               a table is sent as JSON
---@field timeout? number                  seconds; the upstream's unless given
---@field accept? integer[]                statuses that are an answer besides 2xx, such as {404}
---@field optional? boolean                true: a final refusal is a response with `error`
---@field expect? "json"|"bytes"           "json" unless given: a 2xx that does not parse is asked again
---@field merge? millrace.merge            may share a call with lookups that differ in one parameter only

---@alias millrace.scalar string|number|boolean|millrace.number

---@class millrace.merge
---@field param string                     name of the query parameter whose values may be joined by "|"
---@field max? integer                     most values in one call, 500 at most; 50 unless given
---@field bytes? number                    expected size of this question's part of the answer
---@field split string                     name of the script's function that takes the answer apart

---@class millrace.response
---@field status integer                   0 when there was no acceptable answer
---@field headers table<string, string>    names in lower case
---@field body? string                     the bytes, unzipped, where there is no `json`
---@field json any                         the decoded body, or this question's part; nil with "bytes"
---@field error? millrace.error            only where the request was `optional`
---@field attempts integer                 calls made for it, this one included
---@field elapsed number                   seconds from asking to the answer

---@class millrace.error
---@field type string                      "HttpStatus", "HttpTimeout", "HttpTransport", ...
---@field message string

---A follow-up question inside `transform`, which waits for the answer while other records go on. It works
---neither in a callback of `string.gsub` or `table.sort` nor in a coroutine of the script's own.
---@param request millrace.request|millrace.request[]
---@return millrace.response|millrace.response[]
function millrace.fetch(request) end

---The unified diff of two texts by lines, as `diff -u` prints it (`--- a`, `+++ b`, hunks); "" where they are
---equal. Works in `transform` and waits as `fetch` does, while another thread compares them. nil and a reason
---where there is none: "too_large" (a text or the diff is larger than `max`, or there are too many lines), or
---"timeout".
---@param a string
---@param b string
---@param options? millrace.diff_options
---@return string?
---@return string? reason
---@nodiscard
function millrace.diff(a, b, options) end

---@class millrace.diff_options
---@field context? integer        unchanged lines around a change; 3 unless given
---@field max? integer            most bytes of each text and of the diff; 2 MiB unless given, 64 MiB at most

---A number of the script's own at `/metrics`, as `millrace_user_NAME_total`. Make it where the script loads,
---and call it in hooks, with a value for each label in their order, and by how much (1 unless given):
---`local skipped = millrace.counter("skipped_slots", "Slots left out.", {"role"})`, then `skipped("main")`.
---A value is short and one of few: all have 100 series together, never one for each page. A hook that
---runs again (a retry, a start after a crash) counts again. Loading and `selftest` count nothing.
---@param name string  lower case letters, digits and "_", 48 at most, without "_total"
---@param help string  a sentence: what is counted
---@param labels? string[]  names of labels, 4 at most
---@return fun(...: string|number|boolean|nil) count
---@nodiscard
function millrace.counter(name, help, labels) end

---Percent-encodes everything but letters, digits, "-", ".", "_" and "~".
---@param value string|number|millrace.number
---@return string
---@nodiscard
function millrace.escape(value) end

---Joins parts to a path: integers digit for digit (`..` prints 14), strings percent-encoded where they do not
---begin with "/". `millrace.path("/revision/", 1351079888211148, "/html")`
---@param ... string|number|millrace.number
---@return string
---@nodiscard
function millrace.path(...) end


-- ---------------------------------------------------------------------------------------------------------
-- Answering
-- ---------------------------------------------------------------------------------------------------------

---What a hook decides. Its fields are there for `selftest` and for tests.
---@class millrace.verdict: userdata
---@field verdict "pass"|"drop"|"fail"|"retry"|"output"
---@field type? string      reason of drop and retry, type of fail
---@field message? string   of fail
---@field after? number     of retry
---@field scope? string     of retry
---@class millrace.output: userdata
---@class millrace.outputs: userdata

---Publish the input as it came: no lookup, no transform. Counted as passed.
---@return millrace.verdict
---@nodiscard
function millrace.pass() end

---Publish nothing. Counted as dropped, by reason.
---@param reason string  a letter, then letters, digits, "_", ".", "-"; 40 different ones per script
---@return millrace.verdict
---@nodiscard
function millrace.drop(reason) end

---Send the input to the error stream. Counted as failed, by type.
---@param type string  such as "MissingRevision"; a name like a drop's reason
---@param message? string  for the person who reads the error stream; 4096 bytes at most
---@return millrace.verdict
---@nodiscard
function millrace.fail(type, message) end

---Begin the record again from its bytes, with `request`, and ask everything anew. Bounded by the upstream's
---`retry.deadline`. Other records go on; only later records of the same key wait.
---@param reason string  an identifier
---@param options? millrace.retry_options
---@return millrace.verdict
---@nodiscard
function millrace.retry(reason, options) end

---@class millrace.retry_options
---@field after? number           seconds to wait, 0 to 3600; 1 unless given
---@field scope? "lookup"|"host"  "host": nothing is asked of that host meanwhile, for 60 s at most

---One record to publish. The value is encoded now: what is changed later is not seen.
---@param output millrace.output_fields
---@return millrace.output
---@nodiscard
function millrace.output(output) end

---@class millrace.output_fields
---@field value any                        the event; `millrace.json.null` for a tombstone
---@field to? string                       name of a configured sink; the first one unless given
---@field key? string                      Kafka key; made by the configuration's `key` unless given
---@field headers? table<string, string>   Kafka headers; the input's unless given
---@field timestamp? number                Kafka timestamp; the input's unless given

---Several records for one: all of them are published, or none and one error event. An event stands for an
---output to the first sink.
---@param ... millrace.output|millrace.event
---@return millrace.outputs
---@nodiscard
function millrace.outputs(...) end


-- ---------------------------------------------------------------------------------------------------------
-- Around
-- ---------------------------------------------------------------------------------------------------------

---`script.params` of the configuration. Changing them there loads the script anew.
---@type table<string, any>
millrace.params = {}

---@class millrace.json
millrace.json = {}

---null, as it stands in events.
---@type userdata
millrace.json.null = nil

---An error with the offset and what was expected where the text is not JSON.
---@param text string
---@return any
---@nodiscard
function millrace.json.decode(text) end

---@param value any
---@return string
---@nodiscard
function millrace.json.encode(value) end

---Makes a table without a metatable an array, so that it is `[]` when it is empty.
---@param list? any[]
---@return any[]
---@nodiscard
function millrace.json.array(list) end

---Would it be encoded as an array?
---@param value any
---@return boolean
---@nodiscard
function millrace.json.is_array(value) end

---What is encoded as exactly this text: a number where that is printed so, else a `millrace.number`.
---@param text string
---@return number|millrace.number
---@nodiscard
function millrace.json.number(text) end

---Lines in the log of the process: values of any type, joined by spaces. Never write an event's content above
---debug. What goes beyond 100 lines in 10 s is left out, and counted.
---@class millrace.log
millrace.log = {}

---@param ... any
function millrace.log.debug(...) end

---@param ... any
function millrace.log.info(...) end

---@param ... any
function millrace.log.warn(...) end

---@param ... any
function millrace.log.error(...) end

---Digests in lower-case hexadecimal digits.
---@class millrace.hash
millrace.hash = {}

---@param bytes string
---@return string
---@nodiscard
function millrace.hash.md5(bytes) end

---@param bytes string
---@return string
---@nodiscard
function millrace.hash.sha1(bytes) end

---@param bytes string
---@return string
---@nodiscard
function millrace.hash.sha256(bytes) end

---@class millrace.uuid
millrace.uuid = {}

---A random one.
---@return string
---@nodiscard
function millrace.uuid.v4() end

---The one that belongs to a name: the same for the same arguments (RFC 4122, SHA-1).
---@param namespace string  a UUID
---@param name string
---@return string
---@nodiscard
function millrace.uuid.v5(namespace, name) end

---@class millrace.time
millrace.time = {}

---@return number  seconds since 1970
---@nodiscard
function millrace.time.now() end

---Reads an RFC 3339 date-time such as "2025-03-14T15:09:26.535Z"; nil where it is none.
---@param text any
---@return number?
---@nodiscard
function millrace.time.parse(text) end

---"2025-03-14T15:09:26.535Z"
---@param seconds number
---@return string
---@nodiscard
function millrace.time.format(seconds) end

return millrace
