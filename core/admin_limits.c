/* The admin port's pages on limits: shown and set, and intake held. */
#include "admin_limits.h"
#include "mem.h"
#include "yaml_tree.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MAX_SIZE = 256, VALUE_MAX_SIZE = 64 };

static void show(const struct governor *governor, struct admin_answer *answer)
{
	answer->type = "application/json";
	governor_print(governor, &answer->body);
	buf_append_text(&answer->body, "\n");
}

static void answer_limits(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	(void)request;
	show(context, answer);
}

/* ---- what is posted ---- */

static bool want_form(struct governor_wish *wish, const char *text, struct err *err)
{
	char name[NAME_MAX_SIZE], value[VALUE_MAX_SIZE];
	while (*text) {
		if (!admin_pair(&text, name, sizeof name, value, sizeof value))
			return err_set(err, "expected NAME=VALUE, such as rate=50/s");
		if (!governor_want(wish, name, value, err))
			return false;
	}
	return true;
}

static bool want_node(
        struct governor_wish *wish, const char *key, const struct yaml_node *node, struct err *err)
{
	bool null = node->kind == YAML_TEXT && yaml_tree_is_null(node);
	if (node->kind != YAML_TEXT)
		return err_set(err, "%.128s: expected a number or a text such as \"50/s\"", key);
	return governor_want(wish, key, null ? "default" : node->text, err);
}

/* {"records": 500, "mediawiki": {"rate": "50/s"}} and {"mediawiki.rate": "50/s"} alike. */
static bool want_members(
        struct governor_wish *wish, const char *above, const struct yaml_node *map, struct err *err)
{
	bool good = true;
	for (size_t i = 0; good && i < map->count; i++) {
		const char *name = map->keys[i].text ? map->keys[i].text : "";
		char *key = *above ? mem_printf("%s.%s", above, name) : mem_strdup(name);
		if (map->items[i].kind == YAML_MAP && *above == '\0')
			good = want_members(wish, key, &map->items[i], err);
		else
			good = want_node(wish, key, &map->items[i], err);
		mem_free(key);
	}
	return good;
}

static void note_problem(void *context, const struct yaml_place *place, const char *text, const char *hint)
{
	struct err *err = context;
	(void)hint;
	if (err->text[0] == '\0')
		err_set(err, "the body, line %u, column %u: %s", place->line, place->column, text);
}

static bool want_json(struct governor_wish *wish, const char *text, size_t size, struct err *err)
{
	struct yaml_listener listener = {err, note_problem};
	struct yaml_node *root = yaml_tree_parse(text, size, &listener);
	bool good = err->text[0] == '\0';
	if (good && (root == NULL || root->kind != YAML_MAP))
		good = err_set(err, "the body: expected an object such as {\"rate\": \"50/s\"}");
	if (good)
		good = want_members(wish, "", root, err);
	yaml_tree_free(root);
	return good;
}

static bool want_all(struct governor_wish *wish, const struct admin_request *request, struct err *err)
{
	const struct bytes *body = &request->body;
	char *text = mem_dup(body->size ? body->data : "", body->size);
	const char *start = text + strspn(text, " \t\r\n");
	bool good = want_form(wish, request->query, err);
	if (good && memchr(text, '\0', body->size))
		good = err_set(err, "the body holds a NUL character; expected JSON or a form");
	else if (good && *start == '{')
		good = want_json(wish, start, strlen(start), err);
	else if (good)
		good = want_form(wish, start, err);
	if (good && *start == '\0' && request->query[0] == '\0')
		good = err_set(err,
		        "nothing is asked for; expected limits, as JSON such as {\"rate\": \"50/s\"} "
		        "or as a form such as rate=50/s");
	mem_free(text);
	return good;
}

/* All of what is asked for, or nothing of it. */
static void set_limits(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct governor *governor = context;
	struct governor_wish *wish = governor_wish(governor);
	struct err err = {""};
	bool good = want_all(wish, request, &err);
	governor_use(governor, wish, good);
	if (good) {
		show(governor, answer);
		return;
	}
	answer->status = 400;
	buf_printf(&answer->body, "%s\n", err.text);
}

static void pause_intake(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	(void)request;
	governor_pause(context, true);
	show(context, answer);
}

static void resume_intake(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	(void)request;
	governor_pause(context, false);
	show(context, answer);
}

void admin_limits_route(struct admin *admin, struct governor *governor)
{
	const struct admin_route routes[] = {
	        {"GET", "/-/limits", "the limits that hold, and who set each, as JSON", answer_limits,
	                governor},
	        {"POST", "/-/limits", "set some until a restart or reload: rate=50/s", set_limits, governor},
	        {"POST", "/-/pause", "take no more records; what is open ends", pause_intake, governor},
	        {"POST", "/-/resume", "take records again", resume_intake, governor},
	};
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		admin_route(admin, &routes[i]);
}
