/* libFuzzer: what a script says about a request becomes a URL of its upstream, read by libcurl as it was
 * meant: the upstream's scheme, host and port, its path in front, and every parameter as it was given. */
#include "script.h"
#include "url.h"

#include <curl/curl.h>

enum { PAIRS = 6, PIECES = 4 };

static const char text[] =
        "local millrace = require 'millrace'\n"
        "return {api = 1, transform = function(event) return event end,\n"
        "  request = function(event)\n"
        "    local r = {upstream = event.upstream, host = event.host, query = event.query}\n"
        "    r.path = event.path or millrace.path('/', event[1] or '', '/', event[2] or '')\n"
        "    r.merge = event.merge and {param = event.merge, max = 9}\n"
        "    return r\n"
        "  end}\n";

struct pair {
	const char *name, *value;
	size_t name_size, value_size;
};

/* What the script is told to ask. */
struct question {
	const char *piece[2], *host, *path, *merge;
	size_t piece_size[2], host_size, path_size, merge_size;
	struct pair pairs[PAIRS];
	size_t count;
	unsigned upstream;
};

static void set(lua_State *L, int table, const char *name, const char *value, size_t size)
{
	lua_pushstring(L, name);
	lua_pushlstring(L, value, size);
	lua_rawset(L, table);
}

static void instruct(const struct script_event *event, const struct question *q)
{
	lua_State *L = fuzz_push_event(event);
	int table = lua_gettop(L);
	set(L, table, "upstream", fuzz_upstreams[q->upstream].name, strlen(fuzz_upstreams[q->upstream].name));
	if (q->host_size)
		set(L, table, "host", q->host, q->host_size);
	if (q->path_size)
		set(L, table, "path", q->path, q->path_size);
	if (q->merge_size)
		set(L, table, "merge", q->merge, q->merge_size);
	for (int i = 0; i < 2; i++) {
		lua_pushlstring(L, q->piece[i], q->piece_size[i]);
		lua_rawseti(L, table, i + 1);
	}
	lua_pushliteral(L, "query");
	lua_newtable(L);
	for (size_t i = 0; i < q->count; i++) {
		lua_pushlstring(L, q->pairs[i].name, q->pairs[i].name_size);
		lua_pushlstring(L, q->pairs[i].value, q->pairs[i].value_size);
		lua_rawset(L, -3);
	}
	lua_rawset(L, table);
	lua_settop(L, table - 1);
}

static void read_question(struct fuzz *fuzz, struct question *q)
{
	*q = (struct question){.upstream = fuzz_byte(fuzz) % FUZZ_UPSTREAMS};
	q->host = fuzz_until(fuzz, '\n', &q->host_size);
	q->path = fuzz_until(fuzz, '\n', &q->path_size);
	q->merge = fuzz_until(fuzz, '\n', &q->merge_size);
	for (int i = 0; i < 2; i++)
		q->piece[i] = fuzz_until(fuzz, '\n', &q->piece_size[i]);
	for (; q->count < PAIRS && fuzz_left(fuzz); q->count++) {
		struct pair *pair = &q->pairs[q->count];
		pair->name = fuzz_until(fuzz, '\n', &pair->name_size);
		pair->value = fuzz_until(fuzz, '\n', &pair->value_size);
	}
}

/* ---- what libcurl reads ---- */

static char *part(CURLU *url, CURLUPart what)
{
	char *found = NULL;
	curl_url_get(url, what, &found, 0);
	return found;
}

static void expect_part(CURLU *url, CURLUPart what, const char *expected, const char *whole)
{
	char *found = part(url, what);
	fuzz_require(
	        (found == NULL) == (expected == NULL) && (found == NULL || strcasecmp(found, expected) == 0),
	        "'%s' for '%s' in %s", found ? found : "(none)", expected ? expected : "(none)", whole);
	curl_free(found);
}

/* Is the pair the next but `nth` of the query? Later pairs of one name win in Lua, so any order will do. */
static bool holds(const char *query, const struct pair *pair, bool more)
{
	for (const char *at = query; at; at = strchr(at, '&') ? strchr(at, '&') + 1 : NULL) {
		int name_size = 0, value_size = 0;
		size_t length = strcspn(at, "&"), equals = strcspn(at, "=&");
		if (equals >= length)
			continue;
		char *name = curl_easy_unescape(NULL, at, (int)equals, &name_size);
		char *value =
		        curl_easy_unescape(NULL, at + equals + 1, (int)(length - equals - 1), &value_size);
		bool same = equals ? (size_t)name_size == pair->name_size &&
		                             memcmp(name, pair->name, pair->name_size) == 0
		                   : pair->name_size == 0;
		size_t got = length == equals + 1 ? 0 : (size_t)value_size;
		same = same &&
		       (more ? got > pair->value_size && value[pair->value_size] == '|'
		             : got == pair->value_size) &&
		       memcmp(value, pair->value, pair->value_size) == 0;
		curl_free(name);
		curl_free(value);
		if (same)
			return true;
	}
	return false;
}

static bool last_of_its_name(const struct question *q, size_t i)
{
	for (size_t n = i + 1; n < q->count; n++)
		if (q->pairs[n].name_size == q->pairs[i].name_size &&
		        memcmp(q->pairs[n].name, q->pairs[i].name, q->pairs[i].name_size) == 0)
			return false;
	return true;
}

static void check_query(
        const char *query, const struct question *q, const struct request *request, const char *whole)
{
	for (size_t i = 0; i < q->count; i++) {
		const struct pair *pair = &q->pairs[i];
		bool merged = request->merge_param && pair->name_size == strlen(request->merge_param) &&
		              memcmp(pair->name, request->merge_param, pair->name_size) == 0;
		if (last_of_its_name(q, i))
			fuzz_require(query && holds(query, pair, merged), "'%.*s' is not in %s",
			        (int)pair->name_size, pair->name, whole);
	}
}

static void check_url(const char *whole, const struct question *q, const struct request *request)
{
	static const char *const hosts[FUZZ_UPSTREAMS] = {"api.test", NULL, "127.0.0.1"};
	static const char *const ports[FUZZ_UPSTREAMS] = {"6500", NULL, "8000"};
	static const char *const paths[FUZZ_UPSTREAMS] = {"/w/api.php", "/w/api.php", "/"};
	for (const char *at = whole; *at; at++)
		fuzz_require(*at > ' ' && *at < 127, "byte %d in %s", *at, whole);
	CURLU *url = curl_url();
	if (q->upstream == 1) { /* {host} in front of a query: path and query end up behind it */
		fuzz_require(strncmp(whole, "https://", 8) == 0, "%s", whole);
		fuzz_require(strncasecmp(whole + 8, request->host, strlen(request->host)) == 0, "%s", whole);
		curl_url_cleanup(url);
		return;
	}
	CURLUcode code = curl_url_set(url, CURLUPART_URL, whole, CURLU_PATH_AS_IS);
	fuzz_require(code == CURLUE_OK, "curl refuses %s: %d", whole, (int)code);
	expect_part(url, CURLUPART_SCHEME, "http", whole);
	expect_part(url, CURLUPART_HOST, hosts[q->upstream], whole);
	expect_part(url, CURLUPART_PORT, ports[q->upstream], whole);
	expect_part(url, CURLUPART_USER, NULL, whole);
	expect_part(url, CURLUPART_FRAGMENT, NULL, whole);
	char *path = part(url, CURLUPART_PATH), *query = part(url, CURLUPART_QUERY);
	fuzz_require(strncmp(path, paths[q->upstream], strlen(paths[q->upstream])) == 0, "%s", whole);
	fuzz_require(strstr(path, "/../") == NULL, "%s", whole);
	check_query(query, q, request, whole);
	curl_free(path);
	curl_free(query);
	curl_url_cleanup(url);
}

static void build(const struct question *q, const struct request *request)
{
	const struct upstream_config *upstream = &fuzz_upstreams[request->upstream];
	const char *values[] = {request->merge_value, "other"};
	struct err err = {""};
	struct buf url;
	buf_init(&url, 0);
	fuzz_require(request->upstream == q->upstream, "%zu", request->upstream);
	if (url_build(&url, upstream, request, values, request->merge_param ? 2 : 0, &err))
		check_url(url.data, q, request);
	else
		fuzz_require(err.text[0], "no reason was given");
	buf_free(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct script *script;
	struct fuzz fuzz = {data, data + size};
	struct script_event event;
	struct script_input input;
	struct script_result result = {0};
	struct question question;
	if (script == NULL)
		script = fuzz_script(text);
	read_question(&fuzz, &question);
	fuzz_event(script, &event, &input);
	instruct(&event, &question);
	script_request(&event, 1, &result);
	if (result.verdict == VERDICT_ASK)
		build(&question, &result.requests[0]);
	else
		fuzz_require(result.verdict == VERDICT_FAIL && result.message[0], "%d", result.verdict);
	script_result_free(&result);
	script_forget(&event);
	script_collect(script);
	return 0;
}
