/* The one table of all configuration keys, and what config's own files share. Private to core/config*.c. */
#ifndef MILLRACE_CONFIG_TABLE_H
#define MILLRACE_CONFIG_TABLE_H

#include "config.h"
#include "yaml_tree.h"

enum config_type {
	CONFIG_SECTION,    /* keys of its own; its members lie in the section's struct at `offset` */
	CONFIG_ONE,        /* a section that is the only element of an array of structs */
	CONFIG_NAMED,      /* name -> section: an array of structs, each beginning with char *name */
	CONFIG_TEXT,       /* char * */
	CONFIG_FILE,       /* char *: a file that must exist */
	CONFIG_BOOL,       /* bool */
	CONFIG_INTEGER,    /* unsigned or size_t, by `size` */
	CONFIG_DURATION,   /* int64_t, milliseconds */
	CONFIG_BYTES,      /* size_t */
	CONFIG_MEMORY,     /* size_t; "auto" is 0 until it is resolved */
	CONFIG_RATE,       /* double, per second; "none" is 0 */
	CONFIG_SHARE,      /* double, from 0 to 1 */
	CONFIG_CHOICE,     /* an enum, by `choices` */
	CONFIG_TEXTS,      /* char ** and its count */
	CONFIG_STATUSES,   /* int [RETRY_ON_MAX] and its count */
	CONFIG_PROPERTIES, /* struct kafka_property * and its count */
	CONFIG_KEY_FIELDS, /* struct key_field * and its count; "record" is none */
	CONFIG_PARAMS      /* char *: a JSON object */
};

struct config_choice {
	const char *name;
	int value;
};

struct config_section;

struct config_key {
	const char *name;
	enum config_type type;
	size_t offset, size;                  /* of the member in the section's struct */
	size_t count;                         /* offset of the member that counts it: arrays only */
	const struct config_section *section; /* SECTION, ONE, NAMED */
	const struct config_choice *choices;  /* CHOICE; ends with name NULL */
	const char *fallback;                 /* default as it would be written; NULL = none */
	const char *derived;  /* where the default comes from, in words, when it is not a fixed one */
	const char *example;  /* what stands in the commented file for a key without a fixed default */
	const char *instead;  /* the key is the other way to say something: the name of the usual one */
	const char *nothing;  /* TEXT, INTEGER: the word that stands for NULL, or 0 */
	const char *inherits; /* path of the section, or of the key, whose values are the defaults */
	size_t inherits_from; /* offset in struct config of what they fill */
	double min, max;      /* of numbers, durations (ms), sizes (bytes); max 0 = no range */
	bool required, secret;
	bool reloadable; /* takes effect without a restart */
	const char *prose;
};

struct config_section {
	const struct config_key *keys;
	size_t count;
	size_t size; /* of the struct: ONE, NAMED, and sections that are inherited */
};

extern const struct config_section config_root; /* its struct is struct config */

/* Where the value of one path came from. */
struct config_origin {
	char *path;              /* "http.upstreams.mediawiki.timeout" */
	char *where;             /* for people: "FILE:LINE", "FILE:LINE, $VAR", "from name" */
	struct yaml_place place; /* line 0: not in the file */
	bool secret;
};

struct config_origins {
	struct config_origin *items;
	size_t count;
	char *params_shown; /* script.params with secrets redacted; NULL = nothing to redact */
};

const struct config_origin *config_origin_find(const struct config *config, const char *path);
void config_origin_add(struct config *config, const char *path, const char *where,
        const struct yaml_place *place, bool secret);

/* A scalar's text into its member (the old value is freed). False and err "expected ..., found '...'". */
bool config_value_set(const struct config_key *key, void *base, const char *text, struct err *err);
/* The unit that is missing in a bare number, most likely; NULL when it is not that. */
const char *config_value_unit(const struct config_key *key, const char *text);
/* The member as it would be written in YAML; false when there is nothing to write (a NULL text). */
bool config_value_print(const struct config_key *key, const void *base, struct buf *out);
/* Appends a number of the key's type (used for ranges and values): "250ms", "10MiB", "12". */
void config_value_print_number(const struct config_key *key, double value, struct buf *out);
/* "a duration such as 250ms, 5s or 2m": what the key wants. */
const char *config_value_wanted(enum config_type type);
/* Appends the text as a YAML scalar: plain where that reads back as the same string, else in double quotes.
 */
void config_value_quote(const char *text, struct buf *out);
static inline void *config_member(const void *base, size_t offset)
{
	return (char *)(size_t)base + offset;
}
/* A member that is a pointer to whatever. */
void *config_pointer(const void *base, size_t offset);
void config_pointer_set(void *base, size_t offset, void *pointer);

/* What the loader's steps share while a file is read. */
struct config_loader {
	struct config *config;
	struct diagnostics *found;
	const char *file;
	char *folder;          /* of the file; paths in it are looked for there first */
	bool aside;            /* another file than the report's: none of its lines are shown */
	struct yaml_place top; /* stands for places that the file does not have */
};

/* Adds a problem at a place; message is a format. */
void config_problem(struct config_loader *loader, enum code code, const struct yaml_place *place,
        const char *hint, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Writes the report's text and counts from what was found; `text` is the file's, for the lines, or NULL. */
void config_finish_report(struct config_report *report, const char *text, size_t size);
/* The place of the path, or of the nearest section around it that the file has. */
struct yaml_place config_place(const struct config_loader *loader, const char *path);
/* A scalar as the user meant it, with variables replaced and files read. */
struct config_text {
	char *text;  /* NULL: there was a problem, which has been told */
	char *where; /* origin, for people */
	bool secret; /* it came from a file */
};
/* `wanted` is what the message says was expected. Frees with config_text_free. */
struct config_text config_text(
        struct config_loader *loader, const struct yaml_node *node, const char *wanted);
void config_text_free(struct config_text *value);
/* Is this map a {file: PATH}? */
bool config_is_file_form(const struct yaml_node *node);
/* The file's own folder first, then the working directory; frees with mem_free. */
char *config_resolve(const struct config_loader *loader, const char *path);
/* script.params: a map of anything as JSON; *shown is the same with secrets redacted, NULL when there are
 * none. */
bool config_params(struct config_loader *loader, const struct yaml_node *node, char **json, char **shown);
/* The same with the members of `over` (of another file, hence its own loader) in the place of those of the
 * same name. node may be NULL. */
bool config_params_over(struct config_loader *loader, const struct yaml_node *node,
        struct config_loader *over_loader, const struct yaml_node *over, char **json, char **shown);
/* "list", "map", ...: what stands there instead of what was expected. */
const char *config_found(const struct yaml_node *node);
/* The walk over the whole tree. */
void config_read(struct config_loader *loader, struct yaml_node *root);
/* The walk over the section `script` alone. */
void config_read_script(struct config_loader *loader, const struct yaml_node *root);
/* A whole file of at most `most` bytes; frees with mem_free. NULL and why in words. */
char *config_read_file(const char *path, size_t most, size_t *size, const char **why);
/* The tree of another file that the configuration names, with a loader for its values. False: told as
 * problems of that file, or at `place` when it cannot be read at all. Ends with config_aside_close, whatever
 * the answer. */
struct config_aside {
	struct config_loader loader;
	struct yaml_node *root; /* NULL = nothing stands in the file */
};
bool config_aside_open(struct config_aside *aside, const struct config_loader *loader, const char *path,
        const struct yaml_place *place);
void config_aside_close(struct config_aside *aside);
/* After all keys were read: derived defaults, then everything that concerns more than one key. */
void config_derive(struct config_loader *loader);
void config_verify(struct config_loader *loader);

#endif
