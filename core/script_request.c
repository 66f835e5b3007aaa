/* What `request` and millrace.fetch ask becomes struct request, checked in every member. */
#include "script_private.h"
#include "mem.h"
#include "text.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAMES_MAX = 128, TIMEOUT_MAX = 3600, HOST_MAX = 255, MERGE_MAX = 500 };

static const char *const members[] = {"upstream", "host", "path", "query", "method", "headers", "body",
        "timeout", "accept", "optional", "expect", "merge"};
enum { MEMBERS = sizeof members / sizeof *members };

/* One request table at stack index `at`. */
struct reader {
	lua_State *L;
	struct script *script;
	struct request *request;
	const struct upstream_config *upstream;
	int at;
	int number; /* in an array, from 1; 0 = alone */
	const char *where;
	bool fetched;
	size_t left; /* bytes that the requests may still have */
};

static void refuse(const struct reader *reader, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static void refuse(const struct reader *reader, const char *format, ...)
{
	char why[700], which[32] = "";
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	if (reader->number)
		snprintf(which, sizeof which, " (number %d)", reader->number);
	if (reader->fetched)
		state_raise_here(reader->L, "ScriptError", "%s%s: %s", reader->where, which, why);
	state_raise(reader->L, "ScriptAnswer", "%s answered a request that cannot be sent%s: %s",
	        reader->where, which, why);
}

/* Before it is copied: Lua does not count what it is copied to. */
static void count_bytes(struct reader *reader, size_t size)
{
	if (size > reader->left)
		refuse(reader, "the requests are larger than script.memory together");
	reader->left -= size;
}

/* Pushes the member, whatever the table's metatable says. */
static int member(const struct reader *reader, const char *name)
{
	lua_pushstring(reader->L, name);
	lua_rawget(reader->L, reader->at);
	return lua_type(reader->L, -1);
}

static bool has_control(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < 32 || text[i] == 127)
			return true;
	return false;
}

/* A string member without control characters, or NULL when it is absent. Leaves it on the stack. */
static const char *text_member(const struct reader *reader, const char *name, size_t *size)
{
	int type = member(reader, name);
	if (type == LUA_TNIL)
		return NULL;
	if (type != LUA_TSTRING)
		refuse(reader, "`%s` must be a string, it is %s", name, verdict_describe(reader->L, -1));
	const char *text = lua_tolstring(reader->L, -1, size);
	if (has_control(text, *size))
		refuse(reader, "`%s` holds a control character (a line break, a NUL, ...)", name);
	return text;
}

static void check_members(const struct reader *reader)
{
	lua_State *L = reader->L;
	for (lua_pushnil(L); lua_next(L, reader->at); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			refuse(reader, "a request has named members, this one has a key of type %s",
			        luaL_typename(L, -2));
		const char *name = lua_tostring(L, -2);
		if (verdict_known(name, members, MEMBERS))
			continue;
		const char *meant = text_did_you_mean(name, members, MEMBERS);
		if (meant)
			refuse(reader, "unknown member `%.60s`; did you mean `%s`?", name, meant);
		refuse(reader,
		        "unknown member `%.60s`; a request has upstream, host, path, query, method, headers, "
		        "body, "
		        "timeout, accept, optional, expect and merge",
		        name);
	}
}

static void read_upstream(struct reader *reader)
{
	const struct script_world *world = &reader->script->world;
	struct buf *out = &reader->script->scratch;
	size_t size;
	const char *name = text_member(reader, "upstream", &size);
	if (world->upstream_count == 0)
		refuse(reader, "there is no upstream to ask; name one in http.upstreams, or give millrace "
		               "enrich an --endpoint");
	size_t i = 0;
	while (name && i < world->upstream_count && strcmp(name, world->upstreams[i].name) != 0)
		i++;
	if (i == world->upstream_count) {
		buf_clear(out);
		for (size_t j = 0; j < world->upstream_count; j++)
			buf_printf(out, "%s%s", j ? ", " : "", world->upstreams[j].name);
		refuse(reader, "there is no upstream '%.60s'; http.upstreams has %.400s", name, out->data);
	}
	reader->request->upstream = i;
	reader->upstream = &world->upstreams[i];
	lua_pop(reader->L, 1);
}

static bool host_well_formed(const char *host, size_t size)
{
	size_t name = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
	if (size > HOST_MAX || name == 0 || host[0] == '.' || host[0] == '-')
		return false;
	if (host[name] == '\0')
		return true;
	size_t port = strspn(host + name + 1, "0123456789");
	return host[name] == ':' && port > 0 && port < 6 && name + 1 + port == size;
}

static void check_host_allowed(const struct reader *reader, const char *host)
{
	const struct upstream_config *upstream = reader->upstream;
	struct buf *out = &reader->script->scratch;
	buf_clear(out);
	for (size_t i = 0; i < upstream->host_count; i++) {
		if (url_host_matches(host, upstream->hosts[i]))
			return;
		buf_printf(out, "%s%s", i ? ", " : "", upstream->hosts[i]);
	}
	if (upstream->host_count)
		refuse(reader, "host '%s' is none of the hosts of upstream '%s': %.400s", host,
		        upstream->name, out->data);
}

static void read_host(const struct reader *reader)
{
	size_t size = 0;
	const char *host = text_member(reader, "host", &size);
	if (host == NULL && reader->upstream->url && strstr(reader->upstream->url, "{host}"))
		refuse(reader, "`host` is missing: the url of upstream '%s' needs it",
		        reader->upstream->name);
	if (host) {
		if (!host_well_formed(host, size))
			refuse(reader,
			        "`host` must be a host name (letters, digits, '.', '-', maybe a port), it is "
			        "'%.80s'",
			        host);
		check_host_allowed(reader, host);
		char *copy = reader->request->host = mem_dup(host, size);
		for (size_t i = 0; i < size; i++)
			copy[i] = copy[i] >= 'A' && copy[i] <= 'Z' ? (char)(copy[i] + 32) : copy[i];
	}
	lua_pop(reader->L, 1);
}

/* A segment "." or "..", also percent-encoded, would leave the upstream's path. */
static bool is_dots(const char *segment, size_t size)
{
	size_t dots = 0, at = 0;
	while (at < size) {
		size_t width = segment[at] == '.'                                           ? 1
		               : size - at >= 3 && strncasecmp(segment + at, "%2e", 3) == 0 ? 3
		                                                                            : 0;
		if (width == 0)
			return false;
		at += width;
		dots++;
	}
	return dots == 1 || dots == 2;
}

static void read_path(struct reader *reader)
{
	size_t size = 0;
	const char *path = text_member(reader, "path", &size);
	if (path && size && path[0] != '/')
		refuse(reader, "`path` must begin with '/', it is '%.80s'", path);
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)path[i] > 126 || strchr(" ?#\"<>\\^`{|}", path[i]))
			refuse(reader,
			        "`path` holds the byte 0x%02x, which must be percent-encoded (millrace.path "
			        "does it); "
			        "parameters go into `query`",
			        (unsigned char)path[i]);
	for (size_t i = 0, next; i < size; i = next) {
		next = i + 1 + strcspn(path + i + 1, "/");
		if (is_dots(path + i + 1, next - i - 1))
			refuse(reader, "`path` has a segment '.' or '..'");
	}
	count_bytes(reader, size);
	reader->request->path = mem_dup(path ? path : "", size);
	lua_pop(reader->L, 1);
}

/* The text of a string, boolean or number (every digit of it); NULL for anything else. Valid while the value
 * is on the stack; numbers use `digits`. */
static const char *scalar(lua_State *L, int index, char digits[JSON_NUMBER_TEXT], size_t *size)
{
	switch (lua_type(L, index)) {
	case LUA_TSTRING: return lua_tolstring(L, index, size);
	case LUA_TNUMBER:
		*size = json_print_number(lua_tonumber(L, index), digits);
		return *size ? digits : NULL;
	case LUA_TBOOLEAN:
		*size = lua_toboolean(L, index) ? 4 : 5;
		return lua_toboolean(L, index) ? "true" : "false";
	default: return json_number_text(L, index, size);
	}
}

/* The value on top as one parameter's text; an array's values are joined by '|'. */
static void add_parameter(struct reader *reader, const char *name, struct buf *out, bool escaped)
{
	lua_State *L = reader->L;
	char digits[JSON_NUMBER_TEXT];
	size_t size;
	const char *text = scalar(L, -1, digits, &size);
	size_t count = text || !lua_istable(L, -1) ? 0 : lua_objlen(L, -1);
	if (text == NULL && count == 0)
		refuse(reader,
		        "query.%.60s must be a string, a number, a boolean or an array of them, it is %s",
		        name, verdict_describe(L, -1));
	if (text && escaped)
		url_append_encoded_bytes(out, text, size);
	else if (text)
		buf_append(out, text, size);
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(L, -1, (int)i);
		text = scalar(L, -1, digits, &size);
		if (text == NULL)
			refuse(reader, "query.%.60s[%zu] must be a string, a number or a boolean, it is %s",
			        name, i, verdict_describe(L, -1));
		if (i > 1)
			buf_append_text(out, escaped ? "%7C" : "|");
		if (escaped)
			url_append_encoded_bytes(out, text, size);
		else
			buf_append(out, text, size);
		lua_pop(L, 1);
		if (out->size > reader->left)
			refuse(reader, "query.%.60s is larger than script.memory", name);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of the table on top, sorted, so that equal questions are equal texts. They live as long as the
 * table. */
static size_t sorted_names(const struct reader *reader, const char *what, const char *names[NAMES_MAX])
{
	lua_State *L = reader->L;
	size_t count = 0;
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			refuse(reader, "`%s` must be a table of names and values; it has a key of type %s",
			        what, luaL_typename(L, -2));
		if (count == NAMES_MAX)
			refuse(reader, "`%s` has more than %d members", what, NAMES_MAX);
		size_t size;
		names[count] = lua_tolstring(L, -2, &size);
		if (has_control(names[count++], size))
			refuse(reader, "a name in `%s` holds a control character", what);
	}
	qsort(names, count, sizeof *names, by_name);
	return count;
}

static void add_merged(struct reader *reader, const char *name)
{
	struct buf *out = &reader->script->encoded;
	if (lua_istable(reader->L, -1))
		refuse(reader, "query.%.60s is merge.param and must be one value, not an array", name);
	buf_clear(out);
	add_parameter(reader, name, out, false);
	if (out->size == 0 || memchr(out->data, '|', out->size))
		refuse(reader, "query.%.60s is merge.param: it must not be empty or hold a '|'", name);
	if (memchr(out->data, '\0', out->size))
		refuse(reader, "query.%.60s is merge.param: it must not hold a NUL", name);
	count_bytes(reader, out->size);
	reader->request->merge_value = mem_dup(out->data, out->size);
}

/* After read_merge: the parameter that may be merged stands apart. */
static void read_query(struct reader *reader)
{
	lua_State *L = reader->L;
	struct request *request = reader->request;
	struct buf *out = &reader->script->scratch;
	const char *names[NAMES_MAX];
	int type = member(reader, "query");
	if (type != LUA_TNIL && type != LUA_TTABLE)
		refuse(reader, "`query` must be a table of names and values, it is %s",
		        verdict_describe(L, -1));
	size_t count = type == LUA_TTABLE ? sorted_names(reader, "query", names) : 0;
	buf_clear(out);
	for (size_t i = 0; i < count; i++) {
		lua_pushstring(L, names[i]);
		lua_rawget(L, -2);
		if (request->merge_param && strcmp(request->merge_param, names[i]) == 0) {
			add_merged(reader, names[i]);
		} else {
			if (out->size)
				buf_append_byte(out, '&');
			url_append_encoded(out, names[i]);
			buf_append_byte(out, '=');
			add_parameter(reader, names[i], out, true);
		}
		lua_pop(L, 1);
	}
	if (request->merge_param && request->merge_value == NULL)
		refuse(reader, "merge.param names '%.60s', which `query` does not have",
		        request->merge_param);
	count_bytes(reader, out->size);
	if (out->size)
		request->query = mem_dup(out->data, out->size);
	lua_pop(L, 1);
}

static double number_of(
        const struct reader *reader, const char *name, double least, double most, double otherwise)
{
	lua_State *L = reader->L;
	if (lua_isnil(L, -1))
		return otherwise;
	double value = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
	if (!(value >= least && value <= most))
		refuse(reader, "`%s` must be a number from %g to %g, it is %s", name, least, most,
		        lua_type(L, -1) == LUA_TNUMBER ? "out of that range" : verdict_describe(L, -1));
	return value;
}

static void read_split(const struct reader *reader)
{
	lua_State *L = reader->L;
	if (lua_type(L, -1) != LUA_TSTRING)
		refuse(reader,
		        "merge.split must name the function of the script that takes the answer apart, it is "
		        "%s",
		        verdict_describe(L, -1));
	lua_rawgeti(L, LUA_REGISTRYINDEX, reader->script->members);
	lua_pushvalue(L, -2);
	lua_rawget(L, -2);
	if (!lua_isfunction(L, -1))
		refuse(reader, "merge.split names '%.60s', which is no function of the script's table",
		        lua_tostring(L, -3));
	lua_pop(L, 2);
	reader->request->split = mem_strdup(lua_tostring(L, -1));
}

static void read_merge(const struct reader *reader)
{
	static const char *const options[] = {"param", "max", "bytes", "split"};
	lua_State *L = reader->L;
	struct request *request = reader->request;
	int type = member(reader, "merge");
	if (type == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	if (type != LUA_TTABLE)
		refuse(reader, "`merge` must be a table, it is %s", verdict_describe(L, -1));
	struct reader inner = *reader;
	inner.at = lua_gettop(L);
	for (lua_pushnil(L); lua_next(L, inner.at); lua_pop(L, 1)) {
		const char *name =
		        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
		if (!verdict_known(name, options, 4))
			refuse(reader, "unknown member `merge.%.60s`; there are param, max, bytes and split",
			        name);
	}
	if (member(&inner, "param") != LUA_TSTRING)
		refuse(reader, "merge.param must name a query parameter, it is %s", verdict_describe(L, -1));
	request->merge_param = mem_strdup(lua_tostring(L, -1));
	member(&inner, "max");
	request->merge_max = (unsigned)number_of(reader, "merge.max", 1, MERGE_MAX, 50);
	member(&inner, "bytes");
	request->merge_bytes = (size_t)number_of(reader, "merge.bytes", 0, 1e12, 0);
	member(&inner, "split");
	read_split(reader);
	lua_pop(L, 5);
}

static bool is_token(const char *name)
{
	return *name &&
	       name[strspn(name,
	               "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] ==
	               '\0';
}

static void check_header_name(const struct reader *reader, const char *name)
{
	static const char *const forbidden[] = {"Host", "Content-Length", "Transfer-Encoding", "Connection"};
	const struct request *request = reader->request;
	if (!is_token(name))
		refuse(reader, "'%.60s' is no name of a header", name);
	if (strcasecmp(name, "Host") == 0)
		refuse(reader, "the header Host is set by `host`");
	for (size_t i = 1; i < sizeof forbidden / sizeof *forbidden; i++)
		if (strcasecmp(name, forbidden[i]) == 0)
			refuse(reader, "the header %s is the engine's to set", forbidden[i]);
	for (size_t i = 0; i < request->header_count; i++)
		if (strcasecmp(name, request->headers[i].name) == 0)
			refuse(reader, "the header %s is there twice", name);
}

static void add_header(struct reader *reader, const char *name, const char *value, size_t size)
{
	struct request *request = reader->request;
	count_bytes(reader, strlen(name) + size);
	request->headers =
	        mem_realloc(request->headers, (request->header_count + 1) * sizeof *request->headers);
	request->headers[request->header_count++] =
	        (struct header){.name = mem_strdup(name), .value = mem_dup(value, size)};
}

static void read_headers(struct reader *reader)
{
	lua_State *L = reader->L;
	const char *names[NAMES_MAX];
	char digits[JSON_NUMBER_TEXT];
	int type = member(reader, "headers");
	if (type != LUA_TNIL && type != LUA_TTABLE)
		refuse(reader, "`headers` must be a table of names and values, it is %s",
		        verdict_describe(L, -1));
	size_t size, count = type == LUA_TTABLE ? sorted_names(reader, "headers", names) : 0;
	for (size_t i = 0; i < count; i++) {
		check_header_name(reader, names[i]);
		lua_pushstring(L, names[i]);
		lua_rawget(L, -2);
		const char *value = scalar(L, -1, digits, &size);
		if (value == NULL)
			refuse(reader, "headers['%.60s'] must be a string, it is %s", names[i],
			        verdict_describe(L, -1));
		if (memchr(value, '\r', size) || memchr(value, '\n', size) || memchr(value, '\0', size))
			refuse(reader, "headers['%.60s'] holds a line break or a NUL", names[i]);
		add_header(reader, names[i], value, size);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void read_body(struct reader *reader)
{
	lua_State *L = reader->L;
	struct request *request = reader->request;
	struct buf *encoded = &reader->script->encoded;
	struct json_error error;
	size_t size;
	int type = member(reader, "body");
	if (type == LUA_TSTRING) {
		const char *body = lua_tolstring(L, -1, &size);
		count_bytes(reader, size);
		request->body = mem_dup(body, size);
		request->body_size = size;
	} else if (type == LUA_TTABLE) {
		buf_clear(encoded);
		if (!json_encode(L, -1, encoded, &error))
			refuse(reader, "`body` cannot be JSON: %s",
			        encoded->full ? "it is too large" : error.message);
		count_bytes(reader, encoded->size);
		request->body = mem_dup(encoded->data, encoded->size);
		request->body_size = encoded->size;
		if (headers_get(request->headers, request->header_count, "Content-Type") == NULL)
			add_header(reader, "Content-Type", "application/json", strlen("application/json"));
	} else if (type != LUA_TNIL) {
		refuse(reader, "`body` must be a string, or a table that is sent as JSON; it is %s",
		        verdict_describe(L, -1));
	}
	lua_pop(L, 1);
}

static void read_method(const struct reader *reader)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
	size_t size, i = 0;
	const char *method = text_member(reader, "method", &size);
	while (method && i < 6 && strcmp(method, methods[i]) != 0)
		i++;
	if (i == 6)
		refuse(reader, "`method` must be GET, HEAD, POST, PUT, PATCH or DELETE, it is '%.20s'",
		        method);
	reader->request->method = mem_strdup(method ? method : reader->request->body ? "POST" : "GET");
	lua_pop(reader->L, 1);
}

static void read_accept(const struct reader *reader)
{
	lua_State *L = reader->L;
	struct request *request = reader->request;
	int type = member(reader, "accept");
	if (type != LUA_TNIL && type != LUA_TTABLE)
		refuse(reader, "`accept` must be an array of statuses such as {404}, it is %s",
		        verdict_describe(L, -1));
	size_t count = type == LUA_TTABLE ? lua_objlen(L, -1) : 0;
	if (count > REQUEST_ACCEPT_MAX)
		refuse(reader, "`accept` has more than %d statuses", REQUEST_ACCEPT_MAX);
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		double status = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
		if (!(status >= 200 && status <= 599) || status != (int)status)
			refuse(reader, "`accept` must hold statuses from 200 to 599");
		request->accept[request->accept_count++] = (int)status;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void read_rest(const struct reader *reader)
{
	lua_State *L = reader->L;
	struct request *request = reader->request;
	size_t size;
	member(reader, "timeout");
	request->timeout_ms = (int64_t)(number_of(reader, "timeout", 0.001, TIMEOUT_MAX, 0) * 1000 + 0.5);
	if (member(reader, "optional") != LUA_TNIL && !lua_isboolean(L, -1))
		refuse(reader, "`optional` must be true or false, it is %s", verdict_describe(L, -1));
	request->optional = lua_toboolean(L, -1);
	const char *expect = text_member(reader, "expect", &size);
	if (expect && strcmp(expect, "bytes") == 0)
		request->expect = EXPECT_BYTES;
	else if (expect && strcmp(expect, "json") != 0)
		refuse(reader, "`expect` must be \"json\" or \"bytes\", it is '%.20s'", expect);
	if (request->split && request->expect == EXPECT_BYTES)
		refuse(reader, "`merge` needs expect = \"json\": bytes cannot be taken apart");
	lua_pop(L, 3);
}

static void read_one(struct reader *reader)
{
	luaL_checkstack(reader->L, 16, "too many values in a request");
	check_members(reader);
	read_upstream(reader);
	read_host(reader);
	read_path(reader);
	read_merge(reader);
	read_query(reader);
	read_headers(reader);
	read_body(reader);
	read_method(reader);
	read_accept(reader);
	read_rest(reader);
}

void request_read(lua_State *L, int index, const char *where, bool fetched, bool *array)
{
	struct script *script = script_of(L);
	struct script_result *result = script->result;
	struct reader reader = {.L = L,
	        .script = script,
	        .at = index,
	        .where = where,
	        .fetched = fetched,
	        .left = script->heap.limit};
	size_t count = lua_objlen(L, index);
	*array = count > 0 || json_is_array(L, index);
	if (*array && (count == 0 || count > REQUESTS_MAX))
		refuse(&reader, "an array of requests holds 1 to %d of them, this one %zu", REQUESTS_MAX,
		        count);
	result->requests = mem_zalloc(*array ? count : 1, sizeof *result->requests);
	for (size_t i = 0; i < (*array ? count : 1); i++) {
		reader.request = &result->requests[result->request_count++];
		if (*array) {
			reader.number = (int)i + 1;
			lua_rawgeti(L, index, (int)i + 1);
			reader.at = lua_gettop(L);
			if (!lua_istable(L, -1))
				refuse(&reader, "a request is a table, this is %s", verdict_describe(L, -1));
		}
		read_one(&reader);
		lua_settop(L, *array ? reader.at - 1 : lua_gettop(L));
	}
}

int request_path(lua_State *L)
{
	struct buf *out = &script_of(L)->scratch;
	char digits[JSON_NUMBER_TEXT];
	size_t size;
	int count = lua_gettop(L);
	buf_clear(out);
	for (int i = 1; i <= count; i++) {
		const char *text = lua_isboolean(L, i) ? NULL : scalar(L, i, digits, &size);
		if (text == NULL)
			return luaL_error(L,
			        "millrace.path: argument %d must be a string or a number, it is %s", i,
			        verdict_describe(L, i));
		if (lua_type(L, i) == LUA_TSTRING && text[0] != '/')
			url_append_encoded_bytes(out, text, size);
		else
			buf_append(out, text, size);
		if (out->size > script_of(L)->heap.limit)
			return luaL_error(L, "millrace.path: the path is larger than script.memory");
	}
	lua_pushlstring(L, out->data ? out->data : "", out->size);
	return 1;
}

int request_escape(lua_State *L)
{
	struct buf *out = &script_of(L)->scratch;
	char digits[JSON_NUMBER_TEXT];
	size_t size;
	const char *text = scalar(L, 1, digits, &size);
	if (text == NULL)
		return luaL_error(
		        L, "millrace.escape: a string or a number expected, got %s", verdict_describe(L, 1));
	buf_clear(out);
	url_append_encoded_bytes(out, text, size);
	lua_pushlstring(L, out->data ? out->data : "", out->size);
	return 1;
}
