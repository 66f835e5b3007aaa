/* What a script can name. */
#include "script_api.h"
#include "text.h"

#include <string.h>

const struct script_function script_functions[] = {
        {"counter", "name, help, labels?"},
        {"diff", "a, b, options"},
        {"drop", "reason"},
        {"escape", "value"},
        {"fail", "type, message?"},
        {"fetch", "request"},
        {"hash.md5", "bytes"},
        {"hash.sha1", "bytes"},
        {"hash.sha256", "bytes"},
        {"json.array", "list?"},
        {"json.decode", "text"},
        {"json.encode", "value"},
        {"json.is_array", "value"},
        {"json.null", NULL},
        {"json.number", "text"},
        {"log.debug", "..."},
        {"log.error", "..."},
        {"log.info", "..."},
        {"log.warn", "..."},
        {"output", "output"},
        {"outputs", "..."},
        {"params", NULL},
        {"pass", ""},
        {"path", "..."},
        {"retry", "reason, options?"},
        {"time.format", "seconds"},
        {"time.now", ""},
        {"time.parse", "text"},
        {"uuid.v4", ""},
        {"uuid.v5", "namespace, name"},
};
const size_t script_function_count = sizeof script_functions / sizeof *script_functions;

static const char no_files[] = "give what is needed by script.params, or ask for it over HTTP";
static const char no_process[] =
        "nothing of the machine can be reached; script.params can say what is needed";

const struct script_absent script_absents[] = {
        {"io", no_files},
        {"os.execute", no_process},
        {"os.exit", "a script does not end the engine: answer millrace.fail(type, message)"},
        {"os.getenv", "scripts do not see the environment: write {name: \"${NAME}\"} into script.params"},
        {"os.remove", no_files},
        {"os.rename", no_files},
        {"os.setlocale", no_process},
        {"os.tmpname", no_files},
        {"os.difftime", "times are numbers of seconds: subtract them"},
        {"debug", "scripts have no debug library; print writes to the log"},
        {"package", "modules are found in the script's folder and in lib: use require"},
        {"ffi", "scripts run no native code"},
        {"jit", "the engine decides about the JIT compiler"},
        {"dofile", "use require: it reads modules from the script's folder"},
        {"loadfile", "use require: it reads modules from the script's folder"},
        {"xpcall", "use pcall"},
        {"newproxy", "use a table with a metatable"},
        {"getfenv", "scripts have no environments: keep what you need in locals"},
        {"setfenv", "load(text, name, \"t\", environment) gives a chunk its own globals"},
        {"module", "a module returns a table: local M = {} ... return M"},
        {"string.dump", "scripts are loaded from text only"},
        {"string.pack", "that is of Lua 5.3; scripts are Lua 5.1"},
        {"string.unpack", "that is of Lua 5.3; scripts are Lua 5.1"},
        {"string.gfind", "use string.gmatch"},
        {"string.split", "Lua has none: for word in text:gmatch(\"[^,]+\") do"},
        {"string.trim", "Lua has none: text:match(\"^%s*(.-)%s*$\")"},
        {"string.startswith", "Lua has none: text:sub(1, #prefix) == prefix"},
        {"string.contains", "Lua has none: text:find(word, 1, true)"},
        {"table.unpack", "that is of Lua 5.2; here it is unpack(list)"},
        {"table.pack", "that is of Lua 5.2; write {n = select(\"#\", ...), ...}"},
        {"table.move", "copy the elements in a loop"},
        {"table.getn", "use #list"},
        {"table.foreach", "use for key, value in pairs(t) do"},
        {"table.foreachi", "use for i, value in ipairs(t) do"},
        {"table.contains", "Lua has none: keep a table of keys, {[word] = true}"},
        {"math.tointeger", "that is of Lua 5.3; numbers here have no integer type"},
        {"math.type", "that is of Lua 5.3; use type"},
        {"utf8", "that is of Lua 5.3; strings are bytes, and \"[%z\\1-\\127\\194-\\244][\\128-\\191]*\" "
                 "matches one character"},
        {"rawlen", "use #t"},
        {"warn", "use millrace.log.warn"},
        {"require_once", "use require: it loads a module once"},
        {"null", "null is millrace.json.null; what is absent is nil"},
        {"json", "it is millrace.json"},
        {"log", "it is millrace.log.info(...)"},
        {"event",
                "the event is the first argument of request and of transform: hand it on to your functions"},
        {"meta", "meta is an argument: request(event, meta), transform(event, response, meta)"},
        {"response", "the response is the second argument of transform"},
        {"params", "it is millrace.params"},
        {"millrace", "it has to be required: local millrace = require \"millrace\""},
        {"cjson", "it has to be required, and events need millrace.json: local millrace = require "
                  "\"millrace\""},
        {"try", "Lua has no try: local good, result = pcall(f, ...)"},
        {"import", "use require: local name = require \"name\""},
        {"len", "use #text or #list"},
        {"str", "use tostring"},
        {"int", "use math.floor(tonumber(x))"},
};
const size_t script_absent_count = sizeof script_absents / sizeof *script_absents;

static const struct {
	const char *name;
	const char *const *members;
} lists[] = {
        {"", (const char *const[]){"_G", "_VERSION", "assert", "bit", "collectgarbage", "coroutine", "error",
                     "getmetatable", "ipairs", "load", "loadstring", "math", "next", "os", "pairs", "pcall",
                     "print", "rawequal", "rawget", "rawset", "require", "select", "setmetatable", "string",
                     "table", "tonumber", "tostring", "type", "unpack", NULL}},
        {"string", (const char *const[]){"byte", "char", "find", "format", "gmatch", "gsub", "len", "lower",
                           "match", "rep", "reverse", "sub", "upper", NULL}},
        {"table", (const char *const[]){"concat", "insert", "maxn", "remove", "sort", NULL}},
        {"os", (const char *const[]){"clock", "date", "time", NULL}},
        {"coroutine", (const char *const[]){"create", "resume", "running", "status", "wrap", "yield", NULL}},
        {"math", (const char *const[]){"abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cosh", "deg",
                         "exp", "floor", "fmod", "frexp", "huge", "ldexp", "log", "log10", "max", "min",
                         "modf", "pi", "pow", "rad", "random", "randomseed", "sin", "sinh", "sqrt", "tan",
                         "tanh", NULL}},
        {"bit", (const char *const[]){"arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift", "rol",
                        "ror", "rshift", "tobit", "tohex", NULL}},
        {"millrace",
                (const char *const[]){"counter", "diff", "drop", "escape", "fail", "fetch", "hash", "json",
                        "log", "output", "outputs", "params", "pass", "path", "retry", "time", "uuid", NULL}},
        {"millrace.hash", (const char *const[]){"md5", "sha1", "sha256", NULL}},
        {"millrace.json",
                (const char *const[]){"array", "decode", "encode", "is_array", "null", "number", NULL}},
        {"millrace.log", (const char *const[]){"debug", "error", "info", "warn", NULL}},
        {"millrace.time", (const char *const[]){"format", "now", "parse", NULL}},
        {"millrace.uuid", (const char *const[]){"v4", "v5", NULL}},
        {"response", (const char *const[]){"status", "headers", "body", "json", "error", "attempts",
                             "elapsed", NULL}},
        {"meta", (const char *const[]){"topic", "partition", "offset", "timestamp", "key", "headers",
                         "attempt", "now", NULL}},
};

const char *const *script_members(const char *name)
{
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		if (strcmp(lists[i].name, name) == 0)
			return lists[i].members;
	return NULL;
}

const char *script_instead(const char *name)
{
	for (size_t i = 0; i < script_absent_count; i++)
		if (strcmp(script_absents[i].name, name) == 0)
			return script_absents[i].instead;
	return NULL;
}

const char *script_nearest(const char *name, const char *word)
{
	const char *const *members = script_members(name);
	size_t count = 0;
	while (members && members[count])
		count++;
	return count ? text_did_you_mean(word, members, count) : NULL;
}
