/* Which limits hold right now, and who set each: the configuration, `backfill`, or an operator. */
#include "governor.h"
#include "clock.h"
#include "http.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "pipeline.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum {
	LOOK_MS = 1000,
	CONCURRENCY_MAX = 4096, /* as in the configuration */
	RECORDS_MAX = 1000000,
	RATE_MAX = 1000000
};

enum origin { FROM_CONFIG, FROM_BACKFILL, FROM_OPERATOR };

static const char *const origin_names[] = {
        [FROM_CONFIG] = "config", [FROM_BACKFILL] = "backfill", [FROM_OPERATOR] = "operator"};

/* What an operator set of one upstream. */
struct own {
	bool has_rate, has_concurrency;
	double rate;          /* 0 = no limit */
	unsigned concurrency; /* 0 = auto */
};

struct governor_wish {
	const struct config *config;
	struct own *upstreams;
	size_t records; /* 0 = not set */
};

struct governor {
	const struct config *config;
	struct pipeline *pipeline;
	struct http *http;
	struct metrics *metrics;
	struct backfill backfill;
	int64_t look_at;
	struct governor_wish own;
	bool paused;
};

/* ---- what holds ---- */

static bool in_backfill(const struct governor *governor)
{
	return governor->backfill.why != BACKFILL_NONE;
}

static double rate_of(const struct governor *governor, size_t i, enum origin *from)
{
	const struct upstream_config *config = &governor->config->upstreams[i];
	const struct own *own = &governor->own.upstreams[i];
	*from = own->has_rate                                        ? FROM_OPERATOR
	        : in_backfill(governor) && config->backfill.rate > 0 ? FROM_BACKFILL
	                                                             : FROM_CONFIG;
	return *from == FROM_OPERATOR   ? own->rate
	       : *from == FROM_BACKFILL ? config->backfill.rate
	                                : config->rate;
}

static unsigned concurrency_of(const struct governor *governor, size_t i, enum origin *from)
{
	const struct upstream_config *config = &governor->config->upstreams[i];
	const struct own *own = &governor->own.upstreams[i];
	*from = own->has_concurrency                                    ? FROM_OPERATOR
	        : in_backfill(governor) && config->backfill.concurrency ? FROM_BACKFILL
	                                                                : FROM_CONFIG;
	return *from == FROM_OPERATOR   ? own->concurrency
	       : *from == FROM_BACKFILL ? config->backfill.concurrency
	                                : config->concurrency;
}

static size_t records_of(const struct governor *governor)
{
	return governor->own.records ? governor->own.records : governor->config->limit_records;
}

static const char *agent_of(const struct governor *governor, enum origin *from)
{
	const char *agent = in_backfill(governor) ? governor->config->backfill.user_agent : NULL;
	*from = agent ? FROM_BACKFILL : FROM_CONFIG;
	return agent ? agent : governor->config->user_agent;
}

static void apply(struct governor *governor)
{
	enum origin from;
	for (size_t i = 0; i < governor->config->upstream_count; i++) {
		double rate = rate_of(governor, i, &from);
		pipeline_limit(governor->pipeline, i, concurrency_of(governor, i, &from), rate);
	}
	pipeline_limit_records(governor->pipeline, records_of(governor));
	http_use_agent(governor->http, agent_of(governor, &from));
	*metrics_value_at(governor->metrics, METRIC_BACKFILL, NULL) = in_backfill(governor);
}

/* ---- a backlog begins and ends ---- */

static bool bounded(const struct governor *governor)
{
	return governor->config->source.until != NULL;
}

static void tell(const struct governor *governor, const struct backfill_lag *lag)
{
	enum origin from;
	char behind[32];
	text_human_duration(lag->behind_ms, behind);
	if (governor->backfill.why == BACKFILL_BOUNDED)
		log_info("backfill", "a bounded run: the limits of `backfill` hold, User-Agent \"%s\"",
		        agent_of(governor, &from));
	else if (in_backfill(governor))
		log_info("backfill",
		        "%llu records behind, the oldest by %s: the limits of `backfill` hold, User-Agent "
		        "\"%s\"",
		        (unsigned long long)lag->records, behind, agent_of(governor, &from));
	else
		log_info("backfill", "caught up: the usual limits hold again");
}

/* While the lag is not known it looks each turn: what is read before is asked about as if it were live. */
static void look(struct governor *governor, int64_t now)
{
	struct backfill_lag lag;
	pipeline_lag(governor->pipeline, clock_wall(), &lag);
	governor->look_at = lag.known ? now + LOOK_MS : 0;
	if (!backfill_look(&governor->backfill, &governor->config->backfill, bounded(governor), &lag, now))
		return;
	apply(governor);
	tell(governor, &lag);
}

void governor_turn(struct governor *governor, int64_t now)
{
	if (now >= governor->look_at)
		look(governor, now);
}

/* ---- what an operator wants ---- */

static void wish_copy(struct governor_wish *to, const struct governor_wish *from)
{
	size_t bytes = from->config->upstream_count * sizeof *from->upstreams;
	*to = *from;
	to->upstreams = mem_zalloc(from->config->upstream_count + 1, sizeof *to->upstreams);
	memcpy(to->upstreams, from->upstreams, bytes);
}

struct governor_wish *governor_wish(const struct governor *governor)
{
	struct governor_wish *wish = mem_zalloc(1, sizeof *wish);
	wish_copy(wish, &governor->own);
	return wish;
}

static bool read_whole(const char *text, unsigned long most, unsigned long *number)
{
	size_t size = strlen(text);
	if (size == 0 || size > 9 || text[strspn(text, "0123456789")] != '\0')
		return false;
	*number = strtoul(text, NULL, 10);
	return *number >= 1 && *number <= most;
}

static bool want_rate(struct own *own, const char *key, const char *value, struct err *err)
{
	double rate = 0;
	own->has_rate = strcmp(value, "default") != 0;
	if (!own->has_rate || strcmp(value, "none") == 0 ||
	        (text_rate(value, &rate) && rate > 0 && rate <= RATE_MAX)) {
		own->rate = rate;
		return true;
	}
	return err_set(err,
	        "%s: expected a rate such as 50/s or 12000/m, none for no limit, or default for what the "
	        "configuration says, found '%s'",
	        key, value);
}

static bool want_concurrency(struct own *own, const char *key, const char *value, struct err *err)
{
	unsigned long number = 0;
	own->has_concurrency = strcmp(value, "default") != 0;
	if (own->has_concurrency && strcmp(value, "auto") != 0 &&
	        !read_whole(value, CONCURRENCY_MAX, &number))
		return err_set(err,
		        "%s: expected a number from 1 to %d, auto, or default for what the configuration "
		        "says, found '%s'",
		        key, CONCURRENCY_MAX, value);
	own->concurrency = (unsigned)number;
	return true;
}

static bool want_records(struct governor_wish *wish, const char *value, struct err *err)
{
	unsigned long number = 0;
	if (strcmp(value, "default") != 0 && !read_whole(value, RECORDS_MAX, &number))
		return err_set(err,
		        "records: expected a number from 1 to %d, or default for what the configuration "
		        "says, found '%s'",
		        RECORDS_MAX, value);
	wish->records = number;
	return true;
}

static bool no_such_key(const struct governor_wish *wish, const char *key, struct err *err)
{
	const char *name = wish->config->upstream_count ? wish->config->upstreams[0].name : "UPSTREAM";
	struct buf names;
	buf_init(&names, 0);
	for (size_t i = 0; i < wish->config->upstream_count; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", wish->config->upstreams[i].name);
	err_set(err,
	        "%.128s: no such limit; expected records, rate, concurrency, or of one upstream (there are: "
	        "%s) "
	        "%s.rate or %s.concurrency",
	        key, names.size ? names.data : "none", name, name);
	buf_free(&names);
	return false;
}

/* It is repeated in answers and in the log. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7E)
			return false;
	return true;
}

static bool want_of(struct own *own, bool rate, const char *key, const char *value, struct err *err)
{
	return rate ? want_rate(own, key, value, err) : want_concurrency(own, key, value, err);
}

bool governor_want(struct governor_wish *wish, const char *key, const char *value, struct err *err)
{
	const char *dot = strrchr(key, '.'), *last = dot ? dot + 1 : key;
	bool rate = strcmp(last, "rate") == 0, known = rate || strcmp(last, "concurrency") == 0;
	size_t size = dot ? (size_t)(dot - key) : 0, found = 0;
	if (!is_plain(key) || !is_plain(value))
		return err_set(err, "a name or value is not plain ASCII; expected such as rate=50/s");
	if (strcmp(key, "records") == 0)
		return want_records(wish, value, err);
	for (size_t i = 0; known && i < wish->config->upstream_count; i++) {
		const char *name = wish->config->upstreams[i].name;
		if (dot && (strlen(name) != size || strncmp(name, key, size) != 0))
			continue;
		found++;
		if (!want_of(&wish->upstreams[i], rate, key, value, err))
			return false;
	}
	return found > 0 || no_such_key(wish, key, err);
}

static void wish_free(struct governor_wish *wish)
{
	mem_free(wish->upstreams);
	mem_free(wish);
}

void governor_use(struct governor *governor, struct governor_wish *wish, bool use)
{
	if (use) {
		struct buf text;
		mem_free(governor->own.upstreams);
		wish_copy(&governor->own, wish);
		apply(governor);
		buf_init(&text, 0);
		governor_print(governor, &text);
		log_info("limits", "an operator set limits: %s", text.data);
		buf_free(&text);
	}
	wish_free(wish);
}

static bool is_any(const struct governor_wish *own)
{
	bool any = own->records != 0;
	for (size_t i = 0; i < own->config->upstream_count; i++)
		any |= own->upstreams[i].has_rate || own->upstreams[i].has_concurrency;
	return any;
}

void governor_configured(struct governor *governor, bool forget)
{
	if (forget && is_any(&governor->own)) {
		log_info("limits", "the configuration was read again: the operator's limits end");
		memset(governor->own.upstreams, 0,
		        governor->config->upstream_count * sizeof *governor->own.upstreams);
		governor->own.records = 0;
	}
	governor->look_at = 0;
	apply(governor);
}

bool governor_pause(struct governor *governor, bool pause)
{
	if (governor->paused == pause)
		return false;
	governor->paused = pause;
	pipeline_hold(governor->pipeline, pause);
	log_info("limits", pause ? "an operator paused intake: what is open ends, nothing more is taken"
	                         : "an operator resumed intake");
	return true;
}

/* ---- told ---- */

static void print_from(struct buf *out, enum origin from)
{
	buf_printf(out, ",\"from\":\"%s\"}", origin_names[from]);
}

static void print_upstream(const struct governor *governor, size_t i, struct buf *out)
{
	const char *name = governor->config->upstreams[i].name;
	enum origin from;
	buf_append_text(out, i ? "," : "");
	text_json_string(out, name, strlen(name));
	double rate = rate_of(governor, i, &from);
	if (rate > 0)
		buf_printf(out, ":{\"rate\":{\"value\":%.15g", rate);
	else
		buf_append_text(out, ":{\"rate\":{\"value\":null");
	print_from(out, from);
	unsigned concurrency = concurrency_of(governor, i, &from);
	if (concurrency)
		buf_printf(out, ",\"concurrency\":{\"value\":%u", concurrency);
	else
		buf_append_text(out, ",\"concurrency\":{\"value\":\"auto\"");
	print_from(out, from);
	buf_append_text(out, "}");
}

void governor_print(const struct governor *governor, struct buf *out)
{
	enum origin from;
	const char *agent = agent_of(governor, &from);
	buf_printf(out, "{\"paused\":%s,\"backfill\":\"%s\",\"user_agent\":{\"value\":",
	        governor->paused ? "true" : "false", backfill_why_name(governor->backfill.why));
	text_json_string(out, agent, strlen(agent));
	print_from(out, from);
	buf_printf(out, ",\"records\":{\"value\":%zu", records_of(governor));
	print_from(out, governor->own.records ? FROM_OPERATOR : FROM_CONFIG);
	buf_append_text(out, ",\"upstreams\":{");
	for (size_t i = 0; i < governor->config->upstream_count; i++)
		print_upstream(governor, i, out);
	buf_append_text(out, "}}");
}

/* ---- building ---- */

struct governor *governor_open(
        const struct config *config, struct pipeline *pipeline, struct http *http, struct metrics *metrics)
{
	struct governor *governor = mem_zalloc(1, sizeof *governor);
	governor->config = config;
	governor->pipeline = pipeline;
	governor->http = http;
	governor->metrics = metrics;
	governor->own = (struct governor_wish){
	        .config = config, .upstreams = mem_zalloc(config->upstream_count + 1, sizeof(struct own))};
	apply(governor);
	return governor;
}

void governor_close(struct governor *governor)
{
	if (governor == NULL)
		return;
	mem_free(governor->own.upstreams);
	mem_free(governor);
}
