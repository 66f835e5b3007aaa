/* The codes of what people are told is wrong, and a page about each. */
#include "explain.h"

#include <ctype.h>
#include <string.h>

static const struct {
	const char *text;
	enum severity severity;
} codes[EXPLAIN_COUNT] = {[M000_NONE] = {"", SEVERITY_ERROR},
#define EXPLAIN_TEXT(number, name, severity) [M##number##_##name] = {"M" #number, SEVERITY_##severity},
        EXPLAIN_CODES(EXPLAIN_TEXT)
#undef EXPLAIN_TEXT
};

/* Paragraphs are wrapped where they are printed; causes are one a line. */
static const struct explain_page pages[EXPLAIN_COUNT] = {
        [M100_FILE] = {"the file cannot be read",
                .meaning = "The configuration that was named on the command line is not there, is a folder, "
                           "or may "
                           "not be read.",
                .causes = "a typing error in the path\n"
                          "another working directory than you think: paths are relative to it\n"
                          "a ConfigMap or volume that is not mounted",
                .todo = "Look with `ls -l` at the path that the message names."},
        [M101_UNKNOWN_KEY] = {"unknown key",
                .meaning = "The configuration has a key that Millrace does not know at this place. Unknown "
                           "keys are "
                           "errors, for one that is misspelt would silently have no effect.",
                .causes = "a typing error\n"
                          "the right key at the wrong level\n"
                          "a key of a later version",
                .before = "source: {topic: [my.events]}", .after = "source: {topics: [my.events]}",
                .todo = "Take the name from the hint, or look it up: `millrace config reference`."},
        [M102_YAML] = {"not the YAML that Millrace reads",
                .meaning = "The file is not well-formed, has a key twice, or uses something that a "
                           "configuration "
                           "does not need: tags, anchors, aliases, merge keys, several documents.",
                .causes = "a tab in the indentation\n"
                          "a text with ': ' or '{' in it without quotes\n"
                          "a line that is indented differently from its neighbours\n"
                          "the same key in two places of one section",
                .before = "sink: {stream: ${STREAM}}", .after = "sink: {stream: \"${STREAM}\"}",
                .todo = "Begin at the line and column of the message; the mistake is there or one line "
                        "above."},
        [M103_KEY_MISSING] = {"a required key is missing",
                .meaning = "The section has no value for a key that has no default.",
                .causes = "the key was never written\n"
                          "it stands in another section, by its indentation\n"
                          "its value is empty",
                .before = "source: {topics: [my.events]}",
                .after = "source: {topics: [my.events], kafka: {bootstrap.servers: \"localhost:9092\"}}",
                .todo = "Add the key; `millrace config defaults` prints a whole file to start from."},
        [M104_KEYS_EXCLUDE] = {"two keys exclude each other",
                .meaning = "Both keys say the same thing in different ways, so only one of them may stand "
                           "there.",
                .causes = "`topic` and `stream`\n`sink` and `sinks`\n`http.endpoint` and `http.upstreams`",
                .before = "sink: {stream: my.stream, topic: eqiad.my.stream}",
                .after = "sink: {stream: my.stream}", .todo = "Keep one of them."},
        [M105_VALUE] = {"a value that the key cannot take",
                .meaning = "The value is of another kind than the key wants, is out of its range, or "
                           "contradicts "
                           "another key. The message says what was expected and what stands there.",
                .causes = "a duration or a size without its unit\n"
                          "one value where a list belongs, or the reverse\n"
                          "a word that is none of the choices",
                .before = "drain: 25", .after = "drain: 25s",
                .todo = "Write what the message expects; `millrace config reference` has the type and range "
                        "of every key."},
        [M106_NO_SUCH_FILE] = {"a file that the configuration names cannot be read",
                .meaning = "A path, or a {file: PATH}, leads to nothing that can be read as text.",
                .causes = "a path relative to another folder: the configuration's own folder is tried first, "
                          "then the "
                          "working directory\n"
                          "a secret that is not mounted\n"
                          "a folder, or a file larger than 1 MiB",
                .todo = "Correct the path or the rights; an absolute path leaves no doubt."},
        [M107_VARIABLE] = {"a variable is not set, or not written right",
                .meaning = "${NAME} in a value is replaced from the environment. Without a default the "
                           "variable must "
                           "be set.",
                .causes = "the variable is not exported, or not set in the container\n"
                          "a dollar sign that was meant as such",
                .before = "sink: {topic: \"${PREFIX}.out\"}",
                .after = "sink: {topic: \"${PREFIX:-eqiad}.out\"}",
                .todo = "Set the variable, give a default by ${NAME:-default}, or write $$ for a dollar "
                        "sign."},
        [M108_NAME] = {"a name that cannot be used",
                .meaning = "Names of sinks, upstreams and streams become labels of metrics and parts of "
                           "paths, so "
                           "they have letters, digits, '_' and '-' only.",
                .causes = "a dot or a space in the name\nthe word `errors`, which is the error stream's",
                .before = "sinks: {my.scores: {...}}", .after = "sinks: {my-scores: {...}}",
                .todo = "Choose another name, and use it in the script's `to` or `upstream`, too."},
        [M109_KAFKA_PROPERTY] = {"a Kafka property that cannot be set",
                .meaning = "The property is unknown to librdkafka, has a value that it refuses, contradicts "
                           "another "
                           "one, or is the engine's: offsets, acknowledgements and the order of delivery are "
                           "what its "
                           "promises rest on.",
                .causes = "a property of the Java client: librdkafka has names of its own\n"
                          "enable.auto.commit, enable.idempotence and their like, which the engine sets\n"
                          "a certificate that is not there",
                .before = "kafka: {bootstrap.servers: \"localhost:9092\", fetch.max.wait.ms: 100}",
                .after = "kafka: {bootstrap.servers: \"localhost:9092\", fetch.wait.max.ms: 100}",
                .todo = "Look the property up in librdkafka's CONFIGURATION.md, or leave it out."},
        [M110_HOSTS] = {"an address with {host} needs a list of hosts",
                .meaning = "Where a request names the host that is connected to, the configuration says "
                           "which hosts "
                           "those may be: otherwise an event could make the engine call any machine.",
                .causes = "`hosts` is missing",
                .before = "upstreams: {wiki: {url: \"https://{host}/w/api.php\"}}",
                .after = "upstreams: {wiki: {url: \"https://{host}/w/api.php\", hosts: "
                         "[\"*.wikipedia.org\"]}}",
                .todo = "List the hosts, `*.` at the front stands for any name below."},
        [M111_MEMORY] = {"limits.memory is too little",
                .meaning = "The parts of the engine that cannot shrink do not fit: itself, the script's "
                           "heap, and "
                           "room for four of the largest answers.",
                .causes = "a container limit that is lower than planned (`auto` takes 70 % of it)\n"
                          "a max_body or script.memory that is larger than needed",
                .before = "limits: {memory: 256MiB}", .after = "limits: {memory: 512MiB}",
                .todo = "Raise limits.memory (or the container's limit), or lower script.memory or "
                        "max_body."},
        [M112_STREAM] = {"a stream that cannot be resolved",
                .meaning = "The EventStreamConfig API does not know the stream, or knows other topics for it "
                           "than "
                           "the configuration names.",
                .causes = "a typing error in the stream's name\n"
                          "topic_prefix is that of another data centre\n"
                          "the stream is not declared yet",
                .todo = "Compare with streams.config_uri, or name the topic by `topic` instead of the "
                        "stream."},
        [M131_KAFKA_DOUBT] = {"a Kafka property that is taken, but hardly meant",
                .meaning = "The value is allowed and works against what the engine does, or lets others pose "
                           "as the brokers.",
                .causes = "a value copied from another consumer\n"
                          "a check of certificates that was switched off for a test",
                .todo = "Leave the property out unless you know why it is there."},
        [M132_USER_AGENT] = {"http.user_agent is not set",
                .meaning = "Whoever runs the service that is asked wants to know whom to write to when "
                           "something "
                           "goes wrong; Wikimedia's policy demands it.",
                .causes = "the key was never written", .before = "http: {upstreams: {...}}",
                .after = "http: {user_agent: \"my-job/1.0 (team@example.org)\", upstreams: {...}}",
                .todo = "Give the job's name, its version and an address."},
        [M133_TLS_UNUSED] = {"TLS settings without TLS",
                .meaning = "The address begins with http://, so certificates are never looked at.",
                .causes = "the address of a plain-text proxy\na typing error: http for https",
                .before = "url: \"http://inference.example:30443\"",
                .after = "url: \"https://inference.example:30443\"",
                .todo = "Correct the address, or take the `tls` section out."},
        [M134_MEMORY_TIGHT] = {"an output as large as is allowed would not fit",
                .meaning = "A sink's max_bytes promises more than limits.memory leaves for records.",
                .causes = "max_bytes was raised, and limits.memory was not",
                .todo = "Raise limits.memory, or lower max_bytes to what outputs really have."},
        [M135_NO_UPSTREAM] = {"the script may ask, and there is nobody to ask",
                .meaning = "The script has a hook `request`, but the configuration names no upstream: each "
                           "event "
                           "about which it asks will fail.",
                .causes = "`http` was left out", .before = "script: {path: my.lua}",
                .after = "script: {path: my.lua}\nhttp: {endpoint: \"http://localhost:8080\"}",
                .todo = "Name the service in http.upstreams, or take the hook out."},
        [M136_STREAM_DOUBT] = {"what is known of a stream speaks against the configuration",
                .meaning = "Nothing is refused, but what the EventStreamConfig API says is not what the "
                           "configuration says, or the API did not answer.",
                .causes = "`key` has other fields than the stream's message_key_fields\nthe API is away",
                .todo = "Ask whoever owns the stream which of both is right."},

        [M200_SCRIPT] = {"an error in the script", .type = "ScriptError",
                .meaning =
                        "A hook, a function that it calls, or the file itself raised an error: by `error` or "
                        "`assert`, or because Lua could not go on. Only this event fails.",
                .causes = "an `error` or `assert` of the script's own\n"
                          "an error inside a library that the script uses",
                .before = "local id = assert(tonumber(event.page_id))",
                .after = "local id = tonumber(event.page_id)\n"
                         "if not id then return millrace.fail(\"NoPageId\", \"page_id is no number\") end",
                .todo = "The place in the message is where it was raised. For events that are wrong by "
                        "themselves "
                        "answer millrace.fail: its type is counted apart."},
        [M201_INDEX] = {"a field of something that has no fields", .type = "ScriptError",
                .meaning = "`a.b.c` was asked for while `a.b` is nil, null or a plain value.",
                .causes = "the event does not have the member: a page that was deleted has no content, say\n"
                          "a typing error in its name, or the member lies at another level\n"
                          "the member is null, which is millrace.json.null and true in a condition\n"
                          "a library that scripts do not have, such as `io`",
                .before = "local id = event.page.revision.rev_id",
                .after = "local id = event.revision and event.revision.rev_id",
                .todo = "Compare the path with the event that is shown, and test for what may be missing."},
        [M202_CALL] = {"a call of something that is no function", .type = "ScriptError",
                .meaning = "What stands before the parentheses is nil, or a value.",
                .causes = "a typing error in a function's name\n"
                          "a function that scripts do not have, such as os.execute\n"
                          "a local function that is declared below the place where it is used\n"
                          "`a.b(x)` where `a:b(x)` was meant",
                .before = "return { path = string.fromat(\"/%d\", id) }",
                .after = "return { path = string.format(\"/%d\", id) }",
                .todo = "scripts/types/millrace.lua (`millrace types`) and the Limits of scripts/README.md "
                        "list what there is."},
        [M203_ARITHMETIC] = {"arithmetic with something that is no number", .type = "ScriptError",
                .meaning = "+, -, *, /, %, ^ or a numeric `for` met nil, null, a table, or an integer that a "
                           "Lua number cannot "
                           "hold.",
                .causes = "the member is missing or null\n"
                          "an integer beyond 2^53 is a millrace.number: it is moved digit for digit, and "
                          "nothing can "
                          "be added to it\n"
                          "a text that is no number",
                .before = "event.total = event.total + 1", .after = "event.total = (event.total or 0) + 1",
                .todo = "Test for what may be missing; where rounding does no harm use "
                        "tonumber(tostring(x))."},
        [M204_CONCATENATE] = {"`..` with something that is no text", .type = "ScriptError",
                .meaning = "Only strings and numbers (a millrace.number, too) can be joined by `..`.",
                .causes = "the member is missing or null\na boolean or a table",
                .before = "local path = \"/page/\" .. event.title",
                .after = "local path = millrace.path(\"/page/\", event.title)",
                .todo = "Test for what may be missing; use tostring for booleans and millrace.json.encode "
                        "for "
                        "tables. For paths use millrace.path: it encodes, and prints all digits."},
        [M205_COMPARE] = {"a comparison of values that have no order", .type = "ScriptError",
                .meaning = "<, <=, > and >= compare two numbers, two strings, or two millrace.numbers.",
                .causes = "the member is missing or null\n"
                          "a number that came as a text\n"
                          "an integer beyond 2^53 (a millrace.number) and a Lua number",
                .before = "if event.revision.rev_size > 1000 then",
                .after = "if (event.revision.rev_size or 0) > 1000 then",
                .todo = "Test for what may be missing; compare a large integer with "
                        "millrace.json.number(\"9007199254740993\")."},
        [M206_ARGUMENT] = {"a bad argument", .type = "ScriptError",
                .meaning = "A function was given something else than it takes.",
                .causes = "the member is missing or null\n"
                          "`string.format(\"%d\", x)` of a text or of nil\n"
                          "pairs or ipairs of something that is no table",
                .before = "for _, tag in ipairs(event.tags) do",
                .after = "for _, tag in ipairs(event.tags or {}) do",
                .todo = "Test for what may be missing, or give a default."},
        [M207_GLOBAL] = {"globals cannot be set", .type = "ScriptError",
                .meaning = "A script keeps nothing between events: several Lua states may live at once, and "
                           "scripts "
                           "are exchanged while they run. Libraries are read-only for the same reason.",
                .causes = "`local` is missing\n`function name()` instead of `local function name()`",
                .before = "function helper(event) ... end", .after = "local function helper(event) ... end",
                .todo = "Write `local` before the first use."},
        [M210_SYNTAX] = {"the file is not Lua", .type = "ScriptError",
                .meaning = "The file does not parse. Scripts are Lua 5.1 with LuaJIT's extensions.",
                .causes = "a missing `end`, `then`, `do`, comma or quote: often one line above the place\n"
                          "!=, &&, ||, +=, ++ or // of another language",
                .before = "if event.kind != \"edit\" then", .after = "if event.kind ~= \"edit\" then",
                .todo = "The place is where Lua noticed; the mistake is there or above."},
        [M211_MODULE] = {"a module cannot be loaded", .type = "ScriptError",
                .meaning = "`require` looks in the script's folder, and for `lib.NAME` in the library that "
                           "comes with the engine. "
                           "Besides there are `millrace`, `bit` and `cjson`. Modules are read while the "
                           "script loads, "
                           "never inside a hook.",
                .causes = "the file is not there: \"lib.wiki\" is lib/wiki.lua beside the script\n"
                          "`require` inside a hook\n"
                          "a module that requires itself through others",
                .before = "local wiki = require \"wiki.lua\"", .after = "local wiki = require \"wiki\"",
                .todo = "Put the file beside the script, and require it at the top."},
        [M212_SHAPE] = {"the file returns no hooks", .type = "ScriptError",
                .meaning =
                        "A script returns a table with `api = 1` and at least one of the hooks `request` and "
                        "`transform`.",
                .causes = "the `return {...}` at the end is missing\n"
                          "`api = 1` is missing\n"
                          "a hook's name is misspelt, or is no function",
                .before = "return { tranform = function(event) return event end }",
                .after = "return { api = 1, transform = function(event) return event end }",
                .todo = "Compare with scripts/examples, or begin with `millrace init`."},
        [M213_SELFTEST] = {"selftest failed", .type = "ScriptError",
                .meaning = "The script's own hook `selftest`, which runs when it is loaded, answered false "
                           "or raised "
                           "an error. A script whose selftest fails is not taken over.",
                .causes = "the script does not do what it says\na param that the script cannot work with",
                .todo = "The message is the script's own; look at the place that it names."},
        [M220_NO_ANSWER] = {"a hook answered nothing", .type = "ScriptAnswer",
                .meaning = "The hook ended without a `return`, returned nil, or returned an empty table. "
                           "That is "
                           "never taken for consent: no event vanishes for want of a `return`.",
                .causes = "`return` is missing at the end, or on one way through an `if`\n"
                          "a verdict was made and not returned: millrace.drop(...) alone does nothing\n"
                          "a helper function that returns nothing on one of its ways",
                .before = "if event.canary then millrace.drop(\"canary\") end",
                .after = "if event.canary then return millrace.drop(\"canary\") end",
                .todo = "Return something on each way: to publish the event as it came, millrace.pass()."},
        [M221_ANSWER] = {"a hook answered something that it cannot", .type = "ScriptAnswer",
                .meaning = "`request` answers a request, an array of them, pass, drop or fail; `transform` "
                           "answers the "
                           "event, output, outputs, pass, drop, retry or fail; a `split` function answers a "
                           "table of parts, retry or "
                           "fail.",
                .causes = "a verdict without its parentheses: millrace.pass for millrace.pass()\n"
                          "a verdict of the other hook: output and retry are transform's\n"
                          "an array of events, which is millrace.outputs(a, b)",
                .before = "return millrace.pass", .after = "return millrace.pass()",
                .todo = "The table of verdicts in scripts/README.md says which hook may answer what."},
        [M222_REQUEST] = {"a request that cannot be sent", .type = "ScriptAnswer",
                .meaning = "The table that was answered is no request: a member is unknown, is of another "
                           "kind, names an "
                           "upstream or a host that is not configured, or would change the address.",
                .causes = "a typing error in a member's name\n"
                          "the event was answered: that is transform's to do\n"
                          "a path with spaces or letters that must be encoded\n"
                          "a host that `hosts` does not allow",
                .before = "return { path = \"/page/\" .. event.title }",
                .after = "return { path = millrace.path(\"/page/\", event.title) }",
                .todo = "The message names the member. scripts/README.md has them all."},
        [M223_IDENTIFIER] = {"a reason or type that is no identifier", .type = "ScriptError",
                .meaning = "Reasons of drop and retry and types of fail become labels of metrics: a letter, "
                           "then "
                           "letters, digits, '_', '.' or '-', at most 64.",
                .causes = "a sentence instead of a word\na value of the event as the reason",
                .before = "return millrace.drop(\"no such page\")",
                .after = "return millrace.drop(\"no_such_page\")",
                .todo = "Use a few fixed words; a sentence goes into the message of millrace.fail(type, "
                        "message)."},
        [M224_OUTPUT] = {"millrace.output was given something that it does not take", .type = "ScriptError",
                .meaning = "millrace.output takes a table with `value`, and maybe `to`, `key`, `headers` and "
                           "`timestamp`; millrace.outputs takes outputs of this event, or events.",
                .causes = "the event itself instead of {value = event}\n"
                          "a sink that is not configured\n"
                          "an output that belongs to another event",
                .before = "return millrace.output(event)",
                .after = "return millrace.output { value = event }",
                .todo = "The message names the member and what was expected."},
        [M225_FETCH] = {"millrace.fetch where it cannot wait", .type = "ScriptError",
                .meaning =
                        "fetch lets other events go on while it waits, and that works in transform only: not "
                        "in "
                        "request, not in a callback of gsub or sort, not in a coroutine of the script's own.",
                .causes = "fetch in request: return the request instead\n"
                          "fetch inside a function that was given to string.gsub or table.sort",
                .before = "request = function(event) return millrace.fetch { path = \"/a\" } end",
                .after = "request = function(event) return { path = \"/a\" } end",
                .todo = "Fetch first, then go through what came."},
        [M230_TIME] = {"a hook took too much CPU time", .type = "ScriptTimeout",
                .meaning = "A hook may use script.budget (1 s) of CPU time between two waits. It was "
                           "stopped; the "
                           "state goes on with the next event.",
                .causes = "a loop without end\n"
                          "a pattern that tries very many ways: (.-)(.-)x\n"
                          "an event that is much larger than the others",
                .todo = "The message names the line at which it was stopped. Raise script.budget only when "
                        "the work is "
                        "really meant."},
        [M231_HEAP] = {"a hook needs too much memory", .type = "ScriptMemory",
                .meaning =
                        "script.memory (128 MiB) bounds all that the script's state holds: events in flight, "
                        "answers, and what the hook makes.",
                .causes = "a table or string that grows in a loop\n"
                          "something kept between events in an upvalue\n"
                          "answers larger than planned",
                .todo = "Keep nothing between events; raise script.memory where events are that large."},
        [M232_CRASH] = {"a hook killed the process", .type = "ScriptCrash",
                .meaning = "Two processes died while a hook worked on this event; it was failed without "
                           "being run a "
                           "third time, so that the others go on. Which hook it was stands in the message.",
                .causes = "code of the engine that no budget stops, and the watchdog ended the process\n"
                          "a crash in a library\n"
                          "the machine or the container ran out of memory twice just then",
                .todo = "Please report it with the event and the script. `millrace errors replay` runs it "
                        "again."},
        [M240_FAILED] = {"the script says that the event failed",
                .meaning = "A hook answered millrace.fail(type, message). Type and message are the script's; "
                           "the "
                           "event is in the error stream with both.",
                .causes = "what the script looks for is not there",
                .todo = "Search the script for the type."},
        [M241_RETRIED] = {"retried until its deadline", .type = "RetryDeadline",
                .meaning = "The script answered millrace.retry again and again, longer than retry.deadline "
                           "allows.",
                .causes = "what it waits for never comes\na deadline shorter than what it waits for",
                .todo = "Let the script give up by pass or fail, or raise retry.deadline of the upstream."},

        [M301_INPUT_SCHEMA] = {"the input is not what its schema says", .type = "InputInvalid",
                .meaning = "schemas.input is `enforce`, and the event does not fit the schema that it names.",
                .causes = "the producer changed\na hand-written sample",
                .todo = "The message names the member and the rule. `schemas.input: warn` lets such events "
                        "through."},
        [M302_OUTPUT_SCHEMA] = {"the output is not what its schema says", .type = "OutputInvalid",
                .meaning = "Outputs to a sink with a stream are held against the schema that the sink pins, "
                           "or that "
                           "the event names.",
                .causes = "the script adds a member that the schema does not have\n"
                          "a number where a text belongs\n"
                          "an empty array that is written {}: make it by millrace.json.array {}\n"
                          "the $schema of the input is kept: pin the output's by sink.schema",
                .before = "event.links = {}", .after = "event.links = millrace.json.array {}",
                .todo = "The message names the member and the rule."},
        [M303_UNKNOWN_SCHEMA] = {"a schema that is in no repository", .type = "UnknownSchema",
                .meaning =
                        "The event has no $schema, or names one whose title is in none of schemas.uris. (An "
                        "unknown version of a known title is held against the newest one.)",
                .causes = "a typing error in $schema\na repository that is missing in schemas.uris",
                .todo = "Add the repository, or pin the schema by sink.schema."},
        [M304_PINNED_SCHEMA] = {"the schema that a sink pins cannot be used",
                .meaning = "sink.schema names a schema that is in no repository, or that does not compile.",
                .causes = "a typing error in the path\na version that is not published yet",
                .before = "sink: {stream: my.stream, schema: my/output/1.0.0}",
                .after = "sink: {stream: my.stream, schema: /my/output/1.0.0}",
                .todo = "Look for the path below each of schemas.uris."},
        [M331_NO_SCHEMAS] = {"no schema repositories are configured",
                .meaning = "Events and outputs are not held against schemas: what is wrong with them is "
                           "found by "
                           "whoever reads the output.",
                .causes = "schemas.uris was left out",
                .todo = "Give schemas.uris, or check without --schemas."},
        [M332_ERROR_SCHEMA] = {"the schema of error events is not there",
                .meaning = "Error events follow /error/2.1.0, which is in none of the repositories.",
                .causes = "schemas.uris has the secondary repository only",
                .todo = "Add the repository that has /error; the engine writes error events anyway."},

        [M401_TEST_FILE] = {"a test file that cannot be run as it is",
                .meaning = "The tests beside a script are data: each member is known, and what is misspelt "
                           "would "
                           "test nothing.",
                .causes = "a typing error in a member's name\n"
                          "a test without an event, or without a name\n"
                          "a file or a cassette that is not there: paths begin at the test file's folder",
                .before = "expect: {droped: canary}", .after = "expect: {dropped: canary}",
                .todo = "The message names line and column; scripts/README.md has every member."},

        [M501_HTTP_STATUS] = {"an answer with a status that is none", .type = "HttpStatus",
                .meaning = "The service answered, with a status that is neither 2xx nor in the request's "
                           "`accept`. "
                           "5xx, 408, 425 and 429 were retried before; others are final.",
                .causes = "404: what was asked for is not there, which may well be an answer\n"
                          "400: a parameter is wrong\n"
                          "401 and 403: the service wants to know who asks",
                .before = "return { path = path }", .after = "return { path = path, accept = { 404 } }",
                .todo = "List statuses that are answers in `accept`, or take any refusal by `optional = "
                        "true`."},
        [M502_HTTP_TIMEOUT] = {"no answer in time", .type = "HttpTimeout",
                .meaning = "No whole answer came within the timeout, in all attempts.",
                .causes = "the service is slow or overloaded\na timeout shorter than what is asked takes",
                .todo = "Raise `timeout` of the upstream or of the request, or ask for less at once "
                        "(merge.max)."},
        [M503_HTTP_TRANSPORT] = {"the service cannot be reached", .type = "HttpTransport",
                .meaning = "The connection could not be made, or broke, in all attempts.",
                .causes = "nobody listens at that address\na name that does not resolve\na certificate that "
                          "is not trusted",
                .todo = "Try the address with curl from the same machine; `millrace check --connect` asks "
                        "all of them."},
        [M504_HTTP_UNPARSABLE] = {"an answer that is not JSON", .type = "HttpUnparsable",
                .meaning = "The request expects JSON (the default), and a 2xx came with something else. It "
                           "was asked "
                           "again first: a proxy's page or a half answer may be gone the next time.",
                .causes = "HTML where JSON belongs: format=json is missing\nbytes are wanted",
                .before = "return { path = path }", .after = "return { path = path, expect = \"bytes\" }",
                .todo = "Ask for JSON, or say `expect = \"bytes\"`."},
        [M505_HTTP_INVALID] = {"a request that curl refuses", .type = "HttpInvalid",
                .meaning = "Address, headers or answer break the rules of HTTP, so that asking again cannot "
                           "help.",
                .causes = "an address that is none\na redirect to another host",
                .todo = "The message has curl's words."},
        [M506_ANSWER_TOO_LARGE] = {"an answer larger than max_body", .type = "ContentTooLarge",
                .meaning = "The answer, after decompression, is larger than the upstream's max_body allows.",
                .causes = "an unusually large page\nmore values in one call than fit: merge.bytes",
                .todo = "Raise max_body (and limits.memory with it), or ask for less."},
        [M507_HOST_UNAVAILABLE] = {"one host is away for too long", .type = "HostUnavailable",
                .meaning = "The host is paused or in trouble, and half of limits.records already wait for "
                           "it. What "
                           "comes beyond ends in the error stream, so that other hosts go on.",
                .causes = "one wiki is read-only, throttled or down",
                .todo = "When the host is back: `millrace errors replay`."},

        [M601_POISON] = {"the input is no event", .type = "PoisonEvent",
                .meaning = "The record's value is not JSON, or is JSON but not an object.",
                .causes = "a message of another format in the topic\n"
                          "a key twice in one object, which is refused because nobody can say which one "
                          "counts\n"
                          "in a file: an event that is spread over several lines",
                .before = "{\"a\": 1, \"a\": 2}", .after = "{\"a\": 2}",
                .todo = "Look at the original in the error stream; for files use one event a line (jq -c "
                        ".)."},
        [M602_OUTPUT_TOO_LARGE] = {"an output larger than its sink accepts", .type = "OutputTooLarge",
                .meaning = "The encoded output is larger than the sink's max_bytes. It was found before it "
                           "was sent.",
                .causes = "an unusually large page\nmax_bytes lower than the topic's max.message.bytes",
                .todo = "Raise max_bytes and the topic's max.message.bytes together, or publish less."},
        [M603_OUTPUT_REFUSED] = {"an output that the broker refused", .type = "OutputRefused",
                .meaning = "The broker will never take this message, whatever is tried.",
                .causes = "max.message.bytes of the topic is lower than the sink's max_bytes\n"
                          "an interceptor or a quota of the broker's",
                .todo = "The message has the broker's word."},
        [M604_OUTPUT_INVALID] = {"an output that cannot be encoded", .type = "OutputInvalid",
                .meaning = "What was answered has no form in JSON, or is not what a stream's events are.",
                .causes = "a function, or a table with keys of several kinds\n"
                          "a number that is none: 0/0\n"
                          "a string that is not UTF-8\n"
                          "a table that contains itself",
                .before = "event.ratio = hits / total",
                .after = "event.ratio = total > 0 and hits / total or millrace.json.null",
                .todo = "The message has the path of the member."},
};

const char *explain_code(enum code code)
{
	return codes[code].text;
}

enum severity explain_severity(enum code code)
{
	return codes[code].severity;
}

const struct explain_page *explain_page(enum code code)
{
	return code == M000_NONE ? NULL : &pages[code];
}

enum code explain_find(const char *text)
{
	if (toupper((unsigned char)text[0]) == 'M')
		text++;
	for (int code = M000_NONE + 1; code < EXPLAIN_COUNT; code++)
		if (strcmp(codes[code].text + 1, text) == 0)
			return (enum code)code;
	return M000_NONE;
}

enum code explain_type(const char *type)
{
	static const enum code general[] = {M200_SCRIPT, M221_ANSWER, M604_OUTPUT_INVALID};
	for (size_t i = 0; i < sizeof general / sizeof *general; i++)
		if (strcmp(pages[general[i]].type, type) == 0)
			return general[i];
	for (int code = M000_NONE + 1; code < EXPLAIN_COUNT; code++)
		if (pages[code].type && strcmp(pages[code].type, type) == 0)
			return (enum code)code;
	return M240_FAILED;
}
