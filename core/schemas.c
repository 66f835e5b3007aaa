/* The schemas that events name: a cache in front of the repositories. */
#include "schemas.h"
#include "clock.h"
#include "helper.h"
#include "list.h"
#include "log.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	FORGET_MS = 60000,
	AGAIN_MIN_MS = 1000,
	AGAIN_MAX_MS = 60000,
	LOAD_MS = 60000,    /* a repository that takes longer is away */
	ENTRIES_MAX = 1000, /* of those without a schema of their own: events name whatever they like */
};

struct entry {
	struct list_node node; /* the oldest first */
	char *path;
	struct schema *schema; /* of this very version; NULL = none */
	char *newest;          /* the path that stands for it: no repository has this version */
	enum schemas_state state;
	char *why;
	int64_t due; /* when to look again; INT64_MAX = not at all */
	int64_t again;
	bool wanted; /* somebody has asked since it was last looked at */
	bool loading;
};

struct schemas {
	struct schemas_config config;
	struct schemarepo *repo; /* our own copy; left behind when a load still runs at the end */
	struct helper *helper;
	struct metrics *metrics;
	struct list entries;
	struct job *running;  /* the helper has one at a time */
	struct entry *loaded; /* that is for this entry; NULL: it was late, and its answer is for nobody */
	int64_t now;
};

struct job {
	struct schemas *schemas;
	const struct schemarepo *repo;
	char *path;
	enum schemas_state state;
	struct schema *schema;
	struct buf newest; /* path; empty = none */
	struct err err;
};

/* ---- compiling ---- */

struct loader {
	const struct schemarepo *repo;
	bool away, absent; /* absent: the first document */
	size_t loaded;
};

static enum fetch_outcome fetch_document(
        const struct schemarepo *repo, const char *uri, struct buf *text, struct err *err)
{
	if (schemarepo_path_valid(uri))
		return schemarepo_find(repo, uri, text, err);
	if (strncasecmp(uri, "http://", 7) == 0 || strncasecmp(uri, "https://", 8) == 0)
		return repo->get ? repo->get(&repo->fetch, uri, text, err)
		                 : fetch(&repo->fetch, uri, text, err);
	err_set(err, "\"%.200s\" is no path of a schema", uri);
	return FETCH_ABSENT;
}

static bool load_document(void *context, const char *uri, struct buf *text, struct err *err)
{
	struct loader *loader = context;
	enum fetch_outcome outcome = fetch_document(loader->repo, uri, text, err);
	loader->away = loader->away || outcome == FETCH_AWAY;
	loader->absent = loader->absent || (outcome == FETCH_ABSENT && loader->loaded == 0);
	loader->loaded++;
	return outcome == FETCH_GOT;
}

enum schemas_state schemas_compile(
        const struct schemarepo *repo, const char *path, struct schema **schema, struct err *err)
{
	struct loader loader = {.repo = repo};
	struct schema_source source = {&loader, load_document};
	*schema = NULL;
	if (!schemarepo_path_valid(path)) {
		err_set(err, "\"%.200s\" is no path of a schema, such as /my/output/1.0.0", path);
		return SCHEMAS_UNKNOWN;
	}
	*schema = schema_compile(path, &source, NULL, err);
	if (*schema)
		return SCHEMAS_READY;
	return loader.away ? SCHEMAS_AWAY : loader.absent ? SCHEMAS_UNKNOWN : SCHEMAS_BROKEN;
}

/* ---- the job, on the helper's thread ---- */

static void job_run(void *context)
{
	struct job *job = context;
	job->state = schemas_compile(job->repo, job->path, &job->schema, &job->err);
	if (job->state != SCHEMAS_UNKNOWN)
		return;
	struct err err = {""};
	char *title = mem_printf("%.*s", (int)schemarepo_title_size(job->path), job->path);
	if (schemarepo_newest(job->repo, title, &job->newest, &err) == FETCH_AWAY)
		job->state = SCHEMAS_AWAY;
	job->err = err;
	mem_free(title);
}

static void job_free(struct job *job)
{
	schema_free(job->schema);
	buf_free(&job->newest);
	mem_free(job->path);
	mem_free(job);
}

/* ---- entries ---- */

static struct entry *find(struct schemas *schemas, const char *path)
{
	list_each (&schemas->entries, node, after) {
		struct entry *entry = container_of(node, struct entry, node);
		if (strcmp(entry->path, path) == 0)
			return entry;
	}
	return NULL;
}

static void entry_free(struct schemas *schemas, struct entry *entry)
{
	if (schemas->loaded == entry)
		schemas->loaded = NULL;
	list_remove(&schemas->entries, &entry->node);
	schema_free(entry->schema);
	mem_free(entry->newest);
	mem_free(entry->why);
	mem_free(entry->path);
	mem_free(entry);
}

static void make_room(struct schemas *schemas)
{
	if (schemas->entries.count < ENTRIES_MAX)
		return;
	list_each (&schemas->entries, node, after) {
		struct entry *entry = container_of(node, struct entry, node);
		if (entry->schema == NULL && !entry->wanted && !entry->loading) {
			entry_free(schemas, entry);
			return;
		}
	}
}

static struct entry *add(struct schemas *schemas, const char *path, int64_t now)
{
	make_room(schemas);
	struct entry *entry = mem_zalloc(1, sizeof *entry);
	entry->path = mem_strdup(path);
	entry->state = SCHEMAS_LOADING;
	entry->due = now;
	list_append(&schemas->entries, &entry->node);
	return entry;
}

/* The highest version of that title that is here already, not counting the path itself. */
static const struct entry *highest(struct schemas *schemas, const char *path)
{
	size_t title = schemarepo_title_size(path) + 1;
	const struct entry *best = NULL;
	list_each (&schemas->entries, node, after) {
		const struct entry *entry = container_of(node, struct entry, node);
		if (entry->schema && strncmp(entry->path, path, title) == 0 &&
		        strchr(entry->path + title, '/') == NULL && strcmp(entry->path, path) != 0 &&
		        (best == NULL ||
		                schemarepo_compare_versions(entry->path + title, best->path + title) > 0))
			best = entry;
	}
	return best;
}

static void count_loaded(struct schemas *schemas)
{
	size_t count = 0;
	list_each (&schemas->entries, node, after)
		count += container_of(node, struct entry, node)->schema != NULL;
	*metrics_value_at(schemas->metrics, METRIC_SCHEMAS_LOADED, NULL) = (double)count;
}

/* ---- what a load means ---- */

static void set_why(struct entry *entry, const char *why)
{
	mem_free(entry->why);
	entry->why = mem_strdup(why);
}

static void ask_again(struct schemas *schemas, struct entry *entry, const char *why)
{
	entry->again = entry->again ? 2 * entry->again : AGAIN_MIN_MS;
	if (entry->again > AGAIN_MAX_MS)
		entry->again = AGAIN_MAX_MS;
	entry->due = schemas->now + entry->again;
	if (entry->schema == NULL && entry->newest == NULL) {
		entry->state = SCHEMAS_AWAY;
		set_why(entry, why);
	}
	log_throttled(LOG_WARN, "schemas", "a schema cannot be loaded yet, next try in %lld s: %s",
	        (long long)(entry->again / 1000), why);
}

static void use(struct schemas *schemas, struct entry *entry, struct job *job)
{
	bool first = entry->schema == NULL;
	schema_free(entry->schema);
	entry->schema = job->schema;
	job->schema = NULL;
	mem_free(entry->newest);
	entry->newest = NULL;
	entry->state = SCHEMAS_READY;
	entry->due = INT64_MAX;
	if (first)
		log_info("schemas", "%s is loaded", entry->path);
	count_loaded(schemas);
}

static void stand_in(struct schemas *schemas, struct entry *entry, const char *newest)
{
	char *copy = mem_strdup(newest);
	mem_free(entry->newest);
	entry->newest = copy;
	entry->due = schemas->now + schemas->config.forget_ms;
	log_throttled(LOG_WARN, "schemas",
	        "%s is in no repository: its events are checked by %s, and may have more properties",
	        entry->path, newest);
	if (find(schemas, newest) == NULL)
		add(schemas, newest, schemas->now)->wanted = true;
}

/* There is none, or it cannot be used: what is here already stays. */
static void refuse(struct schemas *schemas, struct entry *entry, enum schemas_state state, const char *why)
{
	entry->due = schemas->now + schemas->config.forget_ms;
	if (entry->schema) {
		log_warn("schemas", "%s is kept as it is: %s", entry->path, why);
		entry->due = INT64_MAX;
		return;
	}
	mem_free(entry->newest);
	entry->newest = NULL;
	entry->state = state;
	set_why(entry, why);
	log_throttled(LOG_WARN, "schemas", "%s cannot be used: %s", entry->path, why);
}

static void take(struct schemas *schemas, struct entry *entry, struct job *job)
{
	static const char *const outcomes[] = {[SCHEMAS_READY] = "loaded",
	        [SCHEMAS_AWAY] = "away",
	        [SCHEMAS_UNKNOWN] = "absent",
	        [SCHEMAS_BROKEN] = "broken"};
	const struct entry *here = job->state == SCHEMAS_READY ? NULL : highest(schemas, entry->path);
	size_t title = schemarepo_title_size(entry->path) + 1;
	*metrics_value(schemas->metrics, METRIC_SCHEMA_LOADS, outcomes[job->state]) += 1;
	if (job->state != SCHEMAS_AWAY)
		entry->again = 0;
	if (job->state == SCHEMAS_READY)
		use(schemas, entry, job);
	else if (job->state == SCHEMAS_AWAY)
		ask_again(schemas, entry, job->err.text);
	else if (job->state == SCHEMAS_BROKEN || entry->schema || (job->newest.size == 0 && here == NULL))
		refuse(schemas, entry, job->state, job->err.text[0] ? job->err.text : "it is gone");
	else if (job->newest.size == 0 ||
	         (here && schemarepo_compare_versions(here->path + title, job->newest.data + title) > 0))
		stand_in(schemas, entry, here->path);
	else
		stand_in(schemas, entry, job->newest.data);
}

static void load_next(struct schemas *schemas);

static void job_done(void *context, bool late)
{
	struct job *job = context;
	struct schemas *schemas = job->schemas;
	struct entry *entry = schemas->loaded;
	schemas->now = clock_now();
	schemas->loaded = NULL;
	if (entry) {
		entry->loading = entry->wanted = false;
		if (late)
			ask_again(schemas, entry, "the repository has not answered in 60 s");
		else
			take(schemas, entry, job);
	}
	if (!late) {
		schemas->running = NULL;
		job_free(job);
	}
	if (schemas->config.changed)
		schemas->config.changed(schemas->config.context);
	load_next(schemas);
}

static void job_forget(void *context)
{
	struct job *job = context;
	struct schemas *schemas = job->schemas;
	schemas->running = NULL;
	job_free(job);
	load_next(schemas);
}

/* ---- what is loaded next ---- */

static void load(struct schemas *schemas, struct entry *entry)
{
	struct job *job = mem_zalloc(1, sizeof *job);
	job->schemas = schemas;
	job->repo = schemas->repo;
	job->path = mem_strdup(entry->path);
	buf_init(&job->newest, 0);
	schemas->running = job;
	schemas->loaded = entry;
	entry->loading = true;
	struct helper_job work = {.name = "loading a schema",
	        .context = job,
	        .run = job_run,
	        .done = job_done,
	        .forget = job_forget,
	        .deadline_ms = LOAD_MS};
	helper_submit(schemas->helper, &work);
}

static void load_next(struct schemas *schemas)
{
	if (schemas->helper == NULL)
		return;
	list_each (&schemas->entries, node, after) {
		struct entry *entry = container_of(node, struct entry, node);
		if (schemas->running)
			return;
		if (entry->wanted && entry->due <= schemas->now)
			load(schemas, entry);
	}
}

int64_t schemas_turn(struct schemas *schemas, int64_t now)
{
	int64_t next = INT64_MAX;
	schemas->now = now;
	load_next(schemas);
	list_each (&schemas->entries, node, after) {
		const struct entry *entry = container_of(node, struct entry, node);
		if (entry->wanted && !entry->loading && entry->due > now && entry->due < next)
			next = entry->due;
	}
	return next < INT64_MAX ? next : -1;
}

/* ---- asking ---- */

static bool is_expired(const struct entry *entry, int64_t now)
{
	return entry->due <= now && (entry->state == SCHEMAS_UNKNOWN || entry->state == SCHEMAS_BROKEN);
}

static struct entry *look(struct schemas *schemas, const char *path, int64_t now)
{
	struct entry *entry = find(schemas, path);
	if (entry == NULL)
		entry = add(schemas, path, now);
	if (is_expired(entry, now))
		entry->state = SCHEMAS_LOADING;
	if (entry->due <= now || entry->state == SCHEMAS_AWAY)
		entry->wanted = true;
	return entry;
}

enum schemas_state schemas_get(
        struct schemas *schemas, const char *path, int64_t now, struct schemas_answer *answer)
{
	*answer = (struct schemas_answer){0};
	if (path == NULL || !schemarepo_path_valid(path)) {
		answer->why = "it is no path of a schema, such as /my/event/1.0.0";
		return SCHEMAS_UNKNOWN;
	}
	schemas->now = now;
	struct entry *entry = look(schemas, path, now);
	answer->exact = entry->newest == NULL;
	if (entry->newest) {
		char *newest = mem_strdup(entry->newest); /* looking may make room by this entry */
		entry = look(schemas, newest, now);
		mem_free(newest);
		if (entry->newest && entry->schema == NULL) {
			answer->why = "the newest version of its title is gone";
			return SCHEMAS_BROKEN;
		}
	}
	load_next(schemas);
	answer->schema = entry->schema;
	answer->path = entry->path;
	answer->why = entry->why ? entry->why : "";
	return entry->schema ? SCHEMAS_READY : entry->state;
}

void schemas_refresh(struct schemas *schemas, int64_t now)
{
	list_each (&schemas->entries, node, after) {
		struct entry *entry = container_of(node, struct entry, node);
		entry->due = now;
		entry->again = 0;
		if (entry->schema || entry->newest)
			entry->wanted = true;
	}
	schemas->now = now;
	load_next(schemas);
}

size_t schemas_entries(const struct schemas *schemas)
{
	return schemas->entries.count;
}

/* ---- opening, closing ---- */

static struct schemarepo *repo_copy(const struct schemarepo *from)
{
	struct schemarepo *repo = mem_zalloc(1, sizeof *repo);
	const char **uris = mem_zalloc(from->uri_count, sizeof *uris);
	struct fetch_route *routes = mem_zalloc(from->fetch.route_count, sizeof *routes);
	*repo = *from;
	for (size_t i = 0; i < from->uri_count; i++)
		uris[i] = mem_strdup(from->uris[i]);
	for (size_t i = 0; i < from->fetch.route_count; i++)
		routes[i] = (struct fetch_route){
		        mem_strdup(from->fetch.routes[i].origin), mem_strdup(from->fetch.routes[i].to)};
	repo->uris = uris;
	repo->fetch.routes = routes;
	repo->fetch.user_agent = mem_strdup(from->fetch.user_agent);
	repo->fetch.tls = (struct tls_config){mem_strdup(from->fetch.tls.ca),
	        mem_strdup(from->fetch.tls.cert), mem_strdup(from->fetch.tls.key)};
	return repo;
}

static void repo_free(struct schemarepo *repo)
{
	for (size_t i = 0; i < repo->uri_count; i++)
		mem_free((void *)(size_t)repo->uris[i]);
	for (size_t i = 0; i < repo->fetch.route_count; i++) {
		mem_free(repo->fetch.routes[i].origin);
		mem_free(repo->fetch.routes[i].to);
	}
	mem_free((void *)(size_t)repo->uris);
	mem_free((void *)(size_t)repo->fetch.routes);
	mem_free((void *)(size_t)repo->fetch.user_agent);
	mem_free(repo->fetch.tls.ca);
	mem_free(repo->fetch.tls.cert);
	mem_free(repo->fetch.tls.key);
	mem_free(repo);
}

struct schemas *schemas_open(struct event_base *base, const struct schemas_config *config,
        struct metrics *metrics, struct err *err)
{
	struct helper *helper = helper_open(base, err);
	if (helper == NULL)
		return NULL;
	struct schemas *schemas = mem_zalloc(1, sizeof *schemas);
	schemas->config = *config;
	if (schemas->config.forget_ms == 0)
		schemas->config.forget_ms = FORGET_MS;
	schemas->repo = repo_copy(&config->repo);
	schemas->helper = helper;
	schemas->metrics = metrics;
	list_init(&schemas->entries, "schemas");
	count_loaded(schemas);
	return schemas;
}

void schemas_close(struct schemas *schemas, int64_t wait_ms)
{
	if (schemas == NULL)
		return;
	struct helper *helper = schemas->helper;
	schemas->helper = NULL; /* nothing more is loaded */
	schemas->config.changed = NULL;
	schemas->loaded = NULL;
	helper_close(helper, wait_ms);
	list_each (&schemas->entries, node, after)
		entry_free(schemas, container_of(node, struct entry, node));
	if (schemas->running) /* its thread still reads this */
		return;
	repo_free(schemas->repo);
	mem_free(schemas);
}
