/* The configuration file: read, checked, defaulted; every key declared once in config_table.c.
 *
 * Nothing below main includes this header: each part is handed its own struct. */
#ifndef MILLRACE_CONFIG_H
#define MILLRACE_CONFIG_H

#include "backfill.h"
#include "budget.h"
#include "buf.h"
#include "diagnostic.h"
#include "err.h"
#include "log.h"
#include "rollback.h"
#include "schemas.h"
#include "script.h"
#include "sink.h"
#include "source.h"
#include "upstream.h"

#include <stdbool.h>
#include <stdint.h>

struct config_origins;

/* What makes a changed script take over: a watch of its folder (and all of the next), HUP and POST /-/reload,
 * nothing. */
enum script_reload { SCRIPT_RELOAD_WATCH, SCRIPT_RELOAD_SIGNAL, SCRIPT_RELOAD_OFF };

enum order { ORDER_KEY, ORDER_PARTITION, ORDER_NONE };

struct config {
	char *path; /* of the file */
	char *name;
	char *topic_prefix;
	struct kafka_property *routes; /* origin -> where it is asked instead */
	size_t route_count;
	char *streams_uri;   /* of the EventStreamConfig API; NULL = none */
	char *streams_cache; /* file; NULL = none */
	struct tls_config streams_tls;
	char **schema_uris; /* of the repositories, tried in this order; none = events are not checked */
	size_t schema_uri_count;
	enum schemas_mode schema_input, schema_output;
	struct tls_config schema_tls;
	struct source_config source;
	struct script_config script; /* path resolved against the file's folder, else the working directory */
	enum script_reload script_reload;
	bool script_tests; /* run before a changed script takes over */
	struct rollback_config rollback;
	char *script_params_file; /* whose members are in script.params_json already; NULL = none */
	char *user_agent;
	struct retry_config
	        retry; /* what upstreams have that set none of their own; theirs is in each upstream */
	double rate;   /* likewise: lookups per second; 0 = no limit */
	struct backfill_config backfill;
	struct backfill_limits backfill_limits; /* likewise, while there is a backlog */
	struct upstream_config *upstreams;      /* none = nothing can be asked */
	size_t upstream_count;
	struct key_field *key; /* count 0 = `record`: the record's own */
	size_t key_count;
	enum order order;
	struct sink_config *sinks; /* the error stream is not among them */
	size_t sink_count;
	struct sink_config errors;
	char *emitter_id;
	size_t limit_records;
	size_t limit_memory; /* bytes; auto is resolved (70 % of the cgroup's limit, else of the machine's
	                        memory / 4) */
	bool limit_memory_auto;
	struct budget budget; /* what it is divided into */
	char *checkpoint_dir; /* NULL = none */
	int64_t checkpoint_interval_ms;
	unsigned checkpoint_keep;
	int64_t drain_ms;
	char *admin_listen; /* "127.0.0.1:9464"; NULL = off */
	char *admin_token;  /* NULL = none */
	char **admin_hosts; /* names that callers on this machine may call it by */
	size_t admin_host_count;
	enum log_level log_level;
	enum log_format log_format;
	char *endpoint;                 /* private: short for one upstream; NULL once it is among them */
	struct config_origins *origins; /* private: where each value came from, for config_show */
};

/* Errors and warnings of one file, in the order of its lines: "FILE:LINE:COL: error: ...", caret line and
 * hint. */
struct config_report {
	struct buf text;
	unsigned errors, warnings;
	bool colour;              /* set by the caller: text with colours for a terminal */
	struct diagnostics found; /* the same as a list */
};

/* NULL when the report has errors. The report is to be zeroed before (but colour). The environment is read by
 * getenv. */
struct config *config_load(const char *path, struct config_report *report);
/* Only the section `script` of the file, for a reload: whatever the other sections say is not looked at, and
 * the members of the others are empty. */
struct config *config_load_script(const char *path, struct config_report *report);
/* All of it from memory, for tests and the demo; `name` stands where the path would. */
struct config *config_parse(const char *name, const char *text, size_t size, struct config_report *report);
/* For who writes the text of a configuration: appends a part of it in which no variable is replaced, and a
 * text as a scalar in quotes. */
void config_verbatim(struct buf *out, const char *text, size_t size);
void config_quoted(struct buf *out, const char *text, size_t size);
/* Asks the EventStreamConfig API (streams.config_uri) for the streams that the configuration names, and takes
 * topics and key fields from its answer: blocks up to 15 s. Where nobody knows, topics are named by
 * convention (topic_prefix and the stream's name); without a prefix there is no convention. Problems are
 * added to the report, which was zeroed before. */
enum config_streams {
	CONFIG_STREAMS_GOOD, /* or there was nothing to ask */
	CONFIG_STREAMS_AWAY, /* nobody knows the topics: worth another try */
	CONFIG_STREAMS_BAD   /* the configuration contradicts the answer */
};
enum config_streams config_resolve_streams(struct config *config, struct config_report *report);
/* The configured repositories; borrows from config. Free with mem_free(repo->fetch.routes). */
void config_schemarepo(const struct config *config, struct schemarepo *repo);
/* Looks for the schemas that the configuration names, and for that of error events, and tells what is there;
 * blocks, up to 10 s for each document. What is there and not good, or not there, is added to the report,
 * which was zeroed before. */
struct config_schemas_listener {
	void *context;
	/* there: `what` `good`; else err says why it could not be reached. */
	void (*reached)(void *context, bool there, const char *what, const char *good, const struct err *err);
};
void config_check_schemas(
        struct config *config, const struct config_schemas_listener *listener, struct config_report *report);
void config_free(struct config *config);
/* What two loads of one file say differently. Which keys count: */
enum config_part {
	CONFIG_PART_SCRIPT, /* of `script`, those that take effect without a restart */
	CONFIG_PART_OTHER,  /* the same of everything else */
	CONFIG_PART_FIXED   /* those that want a restart */
};
/* Appends the names of keys whose values differ: "http.rate, log.level". */
void config_changes(const struct config *a, const struct config *b, enum config_part part, struct buf *names);
/* The same, and exchanges their values: `live` has then what `now` had, in the same structs as before. What
 * borrowed a text of `live` keeps it until `now` is freed. Not for CONFIG_PART_FIXED. */
void config_adopt(struct config *live, struct config *now, enum config_part part, struct buf *names);
/* Effective values as YAML with `# FILE:LINE`, `# default` or `# $VAR`; secrets as "<redacted>". */
void config_show(const struct config *config, struct buf *out);
void config_defaults(struct buf *out);  /* a commented full file */
void config_schema(struct buf *out);    /* JSON Schema 2020-12 */
void config_reference(struct buf *out); /* the Markdown table of the README */
/* What script_open needs to know; borrows from config. Free with mem_free(world->sinks) . */
void config_world(const struct config *config, struct script_world *world);
void config_report_free(struct config_report *report);

#endif
