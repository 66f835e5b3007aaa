/* What can be configured, told from the table: a commented file, a JSON Schema, a Markdown table. */
#include "config_table.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { PROSE_WIDTH = 96 };

static void indent(struct buf *out, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		buf_append_text(out, "  ");
}

static void quote(struct buf *out, const char *text)
{
	text_json_string(out, text, strlen(text));
}

/* ---- the commented file ---- */

static void defaults_section(const struct config_section *section, struct buf *out, unsigned depth);

/* Prose as comment lines; Markdown's back quotes are not for a YAML file. */
static void prose(struct buf *out, unsigned depth, const char *before, const char *text)
{
	char *whole = mem_printf("%s%s", before, text), *at = whole;
	for (char *mark = whole; *mark; mark++)
		if (*mark == '`')
			*mark = '\'';
	while (*at) {
		size_t width = PROSE_WIDTH - 2 * (size_t)depth, size = strlen(at);
		if (size > width)
			for (size = width; size > 0 && at[size] != ' '; size--)
				;
		indent(out, depth);
		buf_printf(out, "# %.*s\n", (int)size, at);
		at += size;
		at += strspn(at, " ");
	}
	mem_free(whole);
}

static void defaults_leaf(const struct config_key *key, struct buf *out, unsigned depth)
{
	prose(out, depth, "", key->prose);
	indent(out, depth);
	buf_append_text(out, key->required ? "" : "#");
	config_value_quote(key->name, out);
	buf_append_text(out, ": ");
	if (key->fallback && key->type == CONFIG_TEXT)
		config_value_quote(key->fallback, out);
	else
		buf_append_text(out, key->fallback ? key->fallback : key->example);
	if (key->derived) {
		char *text = mem_printf("  # default: %s", key->derived);
		for (char *mark = text; *mark; mark++)
			if (*mark == '`')
				*mark = '\'';
		buf_append_text(out, text);
		mem_free(text);
	}
	buf_append_text(out, key->required ? "  # required\n" : "\n");
}

static void defaults_instead(const struct config_key *key, struct buf *out, unsigned depth)
{
	char *before = key->type == CONFIG_NAMED
	                       ? mem_printf("Or, instead of '%s', '%s'. ", key->instead, key->name)
	                       : mem_printf("Or, instead of '%s', '%s: %s'. ", key->instead, key->name,
	                                 key->example);
	prose(out, depth, before, key->prose);
	mem_free(before);
}

static void defaults_key(const struct config_key *key, struct buf *out, unsigned depth)
{
	if (key->instead) {
		defaults_instead(key, out, depth);
	} else if (key->section && !key->inherits) {
		prose(out, depth, "", key->prose);
		indent(out, depth);
		buf_printf(out, "%s:\n", key->name);
		if (key->type == CONFIG_NAMED) {
			indent(out, ++depth);
			buf_printf(out, "%s:\n", key->example);
		}
		defaults_section(key->section, out, depth + 1);
	} else {
		defaults_leaf(key, out, depth);
	}
}

static void defaults_section(const struct config_section *section, struct buf *out, unsigned depth)
{
	for (size_t i = 0; i < section->count; i++) {
		defaults_key(&section->keys[i], out, depth);
		if (depth == 0)
			buf_append_byte(out, '\n');
	}
}

void config_defaults(struct buf *out)
{
	buf_append_text(out,
	        "# Every key of Millrace's configuration. A line that begins with '#' and a key shows its\n"
	        "# default, or an example where there is none: take the '#' away to set it.\n\n");
	defaults_section(&config_root, out, 0);
	out->data[--out->size] = '\0';
}

/* ---- JSON Schema ---- */

static void schema_section(
        const struct config_section *section, struct buf *out, unsigned depth, bool required);

#define UNIT(units) "\"type\":\"string\",\"pattern\":\"^([0-9]+([.][0-9]+)?(" units ")|0)$\""

static void schema_range(const struct config_key *key, struct buf *out)
{
	buf_printf(out, "{\"anyOf\":[{\"type\":\"integer\",\"minimum\":%.0f,\"maximum\":%.0f},", key->min,
	        key->max);
	if (key->nothing)
		buf_printf(out, "{\"const\":\"%s\"},", key->nothing);
	buf_append_text(out, "{\"$ref\":\"#/$defs/variable\"}]");
}

static void schema_share(const struct config_key *key, struct buf *out)
{
	buf_printf(out, "{\"anyOf\":[{\"type\":\"number\",\"minimum\":%.15g,\"maximum\":%.15g},", key->min,
	        key->max);
	if (key->nothing)
		buf_printf(out, "{\"const\":\"%s\"},", key->nothing);
	buf_append_text(out, "{\"$ref\":\"#/$defs/variable\"}]");
}

static void schema_choice(const struct config_key *key, struct buf *out)
{
	buf_append_text(out, "{\"anyOf\":[{\"enum\":[");
	for (const struct config_choice *choice = key->choices; choice->name; choice++)
		buf_printf(out, "%s\"%s\"", choice == key->choices ? "" : ",", choice->name);
	buf_append_text(out, "]},{\"$ref\":\"#/$defs/variable\"}]");
}

/* The opening of the value's schema, without its last brace. */
static void schema_value(const struct config_key *key, struct buf *out, unsigned depth)
{
	switch (key->type) {
	case CONFIG_BOOL: buf_append_text(out, "{\"$ref\":\"#/$defs/boolean\""); return;
	case CONFIG_INTEGER: schema_range(key, out); return;
	case CONFIG_CHOICE: schema_choice(key, out); return;
	case CONFIG_DURATION: buf_append_text(out, "{\"$ref\":\"#/$defs/duration\""); return;
	case CONFIG_BYTES: buf_append_text(out, "{\"$ref\":\"#/$defs/size\""); return;
	case CONFIG_MEMORY:
		buf_append_text(out, "{\"anyOf\":[{\"const\":\"auto\"},{\"$ref\":\"#/$defs/size\"}]");
		return;
	case CONFIG_RATE: buf_append_text(out, "{\"$ref\":\"#/$defs/rate\""); return;
	case CONFIG_SHARE: schema_share(key, out); return;
	case CONFIG_TEXTS:
		buf_append_text(
		        out, "{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/$defs/text\"}");
		return;
	case CONFIG_STATUSES:
		buf_append_text(out,
		        "{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"type\":\"integer\","
		        "\"minimum\":300,\"maximum\":599}");
		return;
	case CONFIG_PROPERTIES: buf_append_text(out, "{\"$ref\":\"#/$defs/properties\""); return;
	case CONFIG_KEY_FIELDS: buf_append_text(out, "{\"$ref\":\"#/$defs/key\""); return;
	case CONFIG_PARAMS: buf_append_text(out, "{\"type\":[\"object\",\"null\"]"); return;
	case CONFIG_NAMED:
		buf_append_text(out, "{\"type\":\"object\",\"minProperties\":1,\"additionalProperties\":");
		schema_section(key->section, out, depth, true);
		return;
	default: buf_append_text(out, "{\"$ref\":\"#/$defs/text\"");
	}
}

/* "[a, b]" as JSON. */
static void schema_default_texts(const char *text, struct buf *out)
{
	const char *between = "";
	for (text += strspn(text, "["); text[strcspn(text, "],")]; text += strspn(text, "], ")) {
		char name[64];
		size_t size = strcspn(text, "],");
		snprintf(name, sizeof name, "%.*s", (int)size, text);
		buf_append_text(out, *between ? between : "[");
		quote(out, name);
		between = ",";
		text += size;
	}
	buf_append_text(out, *between ? "]" : "[]");
}

static void schema_default(const struct config_key *key, struct buf *out)
{
	if (key->fallback == NULL)
		return;
	buf_append_text(out, ",\"default\":");
	bool word = key->nothing && strcmp(key->fallback, key->nothing) == 0;
	if (key->type == CONFIG_TEXTS)
		schema_default_texts(key->fallback, out);
	else if (((key->type == CONFIG_INTEGER || key->type == CONFIG_SHARE) && !word) ||
	         key->type == CONFIG_BOOL)
		buf_append_text(out, key->fallback);
	else
		quote(out, key->fallback);
}

static void schema_key(const struct config_key *key, struct buf *out, unsigned depth)
{
	indent(out, depth);
	quote(out, key->name);
	buf_append_byte(out, ':');
	if (key->section && key->type != CONFIG_NAMED) {
		schema_section(key->section, out, depth, key->required);
		out->data[--out->size] = '\0'; /* its last brace: there is more to say */
	} else {
		schema_value(key, out, depth);
	}
	schema_default(key, out);
	buf_append_text(out, ",\"description\":");
	quote(out, key->prose);
	buf_append_text(out, key->secret ? ",\"writeOnly\":true}" : "}");
}

static const struct config_key *alternative(
        const struct config_section *section, const struct config_key *key)
{
	for (size_t i = 0; i < section->count; i++)
		if (section->keys[i].instead && strcmp(section->keys[i].instead, key->name) == 0)
			return &section->keys[i];
	return NULL;
}

/* "required", and for two ways to say one thing: exactly one, or at most one. */
static void schema_presence(const struct config_section *section, struct buf *out)
{
	bool first = true;
	buf_append_text(out, ",\"required\":[");
	for (size_t i = 0; i < section->count; i++) {
		const struct config_key *key = &section->keys[i];
		if (!key->required || alternative(section, key))
			continue;
		buf_printf(out, "%s\"%s\"", first ? "" : ",", key->name);
		first = false;
	}
	buf_append_byte(out, ']');
	for (size_t i = 0; i < section->count; i++) {
		const struct config_key *key = &section->keys[i], *other = alternative(section, key);
		if (other && key->required)
			buf_printf(out, ",\"oneOf\":[{\"required\":[\"%s\"]},{\"required\":[\"%s\"]}]",
			        key->name, other->name);
		else if (other)
			buf_printf(out, ",\"not\":{\"type\":\"object\",\"required\":[\"%s\",\"%s\"]}",
			        key->name, other->name);
	}
}

static void schema_section(
        const struct config_section *section, struct buf *out, unsigned depth, bool required)
{
	bool first = true;
	buf_printf(out, "{\"type\":%s,\"additionalProperties\":false,\"properties\":{\n",
	        required ? "\"object\"" : "[\"object\",\"null\"]");
	for (size_t i = 0; i < section->count; i++) {
		buf_append_text(out, first ? "" : ",\n");
		schema_key(&section->keys[i], out, depth + 1);
		first = false;
	}
	buf_append_byte(out, '}');
	schema_presence(section, out);
	buf_append_byte(out, '}');
}

void config_schema(struct buf *out)
{
	static const char definitions[] =
	        "\"$defs\":{\n"
	        "  \"variable\":{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\",\"description\":\"A text "
	        "with "
	        "${VARIABLE} in it.\"},\n"
	        "  "
	        "\"file\":{\"type\":\"object\",\"required\":[\"file\"],\"additionalProperties\":false,"
	        "\"properties\":"
	        "{\"file\":{\"type\":\"string\"}},\"description\":\"The text of a file.\"},\n"
	        "  \"text\":{\"anyOf\":[{\"type\":\"string\"},{\"$ref\":\"#/$defs/file\"}]},\n"
	        "  \"boolean\":{\"anyOf\":[{\"type\":\"boolean\"},{\"$ref\":\"#/$defs/variable\"}]},\n"
	        "  \"duration\":{\"anyOf\":[{" UNIT(
	                "ms|s|m|h|d") "},{\"const\":0},{\"$ref\":\"#/$defs/variable\"}]},\n"
	                              "  \"size\":{\"anyOf\":[{" UNIT(
	                                      "B|kB|KB|MB|GB|KiB|MiB|GiB") "},{\"$ref\":\"#/$defs/"
	                                                                   "variable\"}]},\n"
	                                                                   "  \"rate\":{\"anyOf\":[{" UNIT(
	                                                                           "/s|/m|/h") "},{\"const\":"
	                                                                                       "\"none\"},{"
	                                                                                       "\"$ref\":\"#/"
	                                                                                       "$defs/"
	                                                                                       "variable\"}]}"
	                                                                                       ",\n"
	                                                                                       "  "
	                                                                                       "\"properties"
	                                                                                       "\":{\"type\":"
	                                                                                       "\"object\","
	                                                                                       "\"additionalP"
	                                                                                       "roperties\":{"
	                                                                                       "\"anyOf\":[{"
	                                                                                       "\"type\":["
	                                                                                       "\"string\","
	                                                                                       "\"number\","
	                                                                                       "\"boolean\"]}"
	                                                                                       ",{\"$ref\":"
	                                                                                       "\"#/$defs/"
	                                                                                       "file\"}]}},\n"
	                                                                                       "  "
	                                                                                       "\"key\":{"
	                                                                                       "\"anyOf\":[{"
	                                                                                       "\"const\":"
	                                                                                       "\"record\"},{"
	                                                                                       "\"type\":"
	                                                                                       "\"object\","
	                                                                                       "\"minProperti"
	                                                                                       "es\":1,"
	                                                                                       "\"maxProperti"
	                                                                                       "es\":16,"
	                                                                                       "\"additionalP"
	                                                                                       "roperties\":{"
	                                                                                       "\"$ref\":\"#/"
	                                                                                       "$defs/"
	                                                                                       "text\"}}]}},"
	                                                                                       "\n";
	struct buf root;
	buf_init(&root, 0);
	schema_section(&config_root, &root, 0, true);
	buf_append_text(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\n"
	                     "\"title\":\"Millrace configuration\",\n");
	buf_append_text(out, definitions);
	buf_append(
	        out, root.data + 1, root.size - 1); /* without its first brace: one object with the above */
	buf_append_byte(out, '\n');
	buf_free(&root);
}

/* ---- the Markdown table ---- */

static void reference_type(const struct config_key *key, struct buf *out)
{
	static const char *const names[] = {[CONFIG_SECTION] = "section",
	        [CONFIG_ONE] = "section",
	        [CONFIG_NAMED] = "names",
	        [CONFIG_TEXT] = "text",
	        [CONFIG_FILE] = "file",
	        [CONFIG_BOOL] = "boolean",
	        [CONFIG_INTEGER] = "number",
	        [CONFIG_DURATION] = "duration",
	        [CONFIG_BYTES] = "size",
	        [CONFIG_MEMORY] = "size or `auto`",
	        [CONFIG_RATE] = "rate or `none`",
	        [CONFIG_SHARE] = "share",
	        [CONFIG_TEXTS] = "list",
	        [CONFIG_STATUSES] = "list of statuses",
	        [CONFIG_PROPERTIES] = "properties",
	        [CONFIG_KEY_FIELDS] = "names and paths, or `record`",
	        [CONFIG_PARAMS] = "anything"};
	if (key->type == CONFIG_CHOICE) {
		for (const struct config_choice *choice = key->choices; choice->name; choice++)
			buf_printf(out, "%s`%s`", choice == key->choices ? "" : ", ", choice->name);
		return;
	}
	buf_append_text(out, names[key->type]);
	if (key->max > 0 && key->type != CONFIG_RATE) {
		buf_append_text(out, ", ");
		config_value_print_number(key, key->min, out);
		buf_append_text(out, " to ");
		config_value_print_number(key, key->max, out);
		if (key->nothing)
			buf_printf(out, ", or `%s`", key->nothing);
	}
}

static void reference_row(const struct config_key *key, const char *path, struct buf *out)
{
	buf_printf(out, "| `%s` | ", path);
	reference_type(key, out);
	buf_append_text(out, " | ");
	if (key->fallback)
		buf_printf(out, "`%s`", *key->fallback ? key->fallback : "\"\"");
	else
		buf_append_text(out, key->required ? "required" : key->derived ? key->derived : "");
	buf_printf(out, " | %s", key->prose);
	if (key->instead)
		buf_printf(out, " Instead of `%s`.", key->instead);
	buf_append_text(out, key->reloadable ? " Takes effect without a restart. |\n" : " |\n");
}

static void reference_section(const struct config_section *section, const char *path, struct buf *out)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct config_key *key = &section->keys[i];
		char *full = *path ? mem_printf("%s.%s", path, key->name) : mem_strdup(key->name);
		bool told_elsewhere = key->inherits || (key->type == CONFIG_NAMED && key->instead);
		if (key->section && !told_elsewhere) {
			char *below =
			        key->type == CONFIG_NAMED ? mem_printf("%s.NAME", full) : mem_strdup(full);
			reference_section(key->section, below, out);
			mem_free(below);
		} else {
			reference_row(key, full, out);
		}
		mem_free(full);
	}
}

void config_reference(struct buf *out)
{
	buf_append_text(out, "| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n");
	reference_section(&config_root, "", out);
}
