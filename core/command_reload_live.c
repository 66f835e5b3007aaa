/* Waits until engines run the script that is expected of them; asks them for nothing but their status. */
#include "adminclient.h"
#include "clock.h"
#include "command.h"
#include "command_reload.h"
#include "jsontree.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REST_MS = 500, ANSWER_MS = 3000, SHA256_DIGITS = 64, SHOWN = 12 };

bool reload_expected_read(const char *text, struct reload_expected *expected)
{
	const char *equals = strrchr(text, '='), *sum = equals ? equals + 1 : text;
	*expected = (struct reload_expected){equals ? text : NULL, equals ? (size_t)(equals - text) : 0, sum};
	return equals != text && strlen(sum) == SHA256_DIGITS &&
	       strspn(sum, "0123456789abcdef") == SHA256_DIGITS;
}

/* ---- what one engine says ---- */

struct answer {
	struct jsontree tree;
	struct buf room;
	uint32_t script;
};

/* The text of a member of an object, "" when it has none. */
static struct bytes text_of(struct answer *answer, uint32_t object, const char *name)
{
	uint32_t at = jsontree_member(&answer->tree, object, name, strlen(name));
	if (at == 0 || answer->tree.nodes[at].kind != JSONTREE_STRING)
		return (struct bytes){"", 0};
	return jsontree_string(&answer->tree, at, &answer->room);
}

static bool is(struct bytes text, const char *other, size_t size)
{
	return text.size == size && memcmp(text.data, other, size) == 0;
}

static char *other_sum(struct answer *answer, const char *name, size_t name_size, struct bytes sum)
{
	char *runs = mem_printf("it runs %.*s%s%.*s", (int)name_size, name, name_size ? " " : "",
	        sum.size < SHOWN ? (int)sum.size : SHOWN, sum.data);
	struct bytes why = text_of(answer, answer->script, "last_error");
	char *fault = why.size ? mem_printf("%s; its last reload failed: %.*s", runs, (int)why.size, why.data)
	                       : mem_strdup(runs);
	mem_free(runs);
	return fault;
}

static const struct reload_expected *expected_of(
        struct bytes name, const struct reload_expected *expected, size_t expected_count)
{
	for (size_t i = 0; i < expected_count; i++)
		if (expected[i].name && is(name, expected[i].name, expected[i].name_size))
			return &expected[i];
	return NULL;
}

/* The files that the script was loaded from against those expected. */
static char *files_fault(struct answer *answer, const struct reload_expected *expected, size_t expected_count)
{
	const struct jsontree_node *nodes = answer->tree.nodes;
	uint32_t files = jsontree_member(&answer->tree, answer->script, "files", 5);
	if (files == 0 || nodes[files].kind != JSONTREE_ARRAY || nodes[files].count == 0)
		return mem_strdup("its status does not name the script's files: it is another version");
	for (uint32_t at = files + 1, i = 0; i < nodes[files].count; i++, at = nodes[at].next) {
		struct bytes given = text_of(answer, at, "name");
		char *name = mem_dup(given.data, given.size);
		const struct reload_expected *wanted =
		        expected_of((struct bytes){name, strlen(name)}, expected, expected_count);
		struct bytes sum = text_of(answer, at, "sha256");
		char *fault = NULL;
		if (wanted && !is(sum, wanted->sha256, SHA256_DIGITS))
			fault = other_sum(answer, name, strlen(name), sum);
		else if (wanted == NULL && i == 0)
			fault = mem_printf("it runs another script: %s", name);
		mem_free(name);
		if (fault)
			return fault;
	}
	return NULL;
}

static char *fault_of(struct answer *answer, const struct reload_expected *expected, size_t expected_count)
{
	size_t named = 0;
	for (size_t i = 0; i < expected_count; i++) {
		struct bytes sum = text_of(answer, answer->script, "sha256");
		if (expected[i].name)
			named++;
		else if (!is(sum, expected[i].sha256, SHA256_DIGITS))
			return other_sum(answer, "", 0, sum);
	}
	return named ? files_fault(answer, expected, expected_count) : NULL;
}

char *reload_live_fault(
        const char *status, size_t size, const struct reload_expected *expected, size_t expected_count)
{
	struct answer answer = {.room = {0}};
	char *fault;
	jsontree_init(&answer.tree);
	buf_init(&answer.room, 0);
	if (jsontree_parse(&answer.tree, status, size, NULL, NULL) &&
	        answer.tree.nodes[0].kind == JSONTREE_OBJECT &&
	        (answer.script = jsontree_member(&answer.tree, 0, "script", 6)) != 0 &&
	        answer.tree.nodes[answer.script].kind == JSONTREE_OBJECT)
		fault = fault_of(&answer, expected, expected_count);
	else
		fault = mem_strdup("what answers there tells of no script");
	buf_free(&answer.room);
	jsontree_free(&answer.tree);
	return fault;
}

/* ---- all of them ---- */

struct looking {
	const struct reload_live *live;
	int64_t deadline;
	struct buf found; /* a line for each engine, and for each name that has none */
	size_t engines, good, answered;
};

static int64_t patience(const struct looking *looking)
{
	int64_t left = looking->deadline - clock_now();
	return left > ANSWER_MS ? ANSWER_MS : left > 1000 ? left : 1000;
}

static void look_at(struct looking *looking, const char *url)
{
	const struct reload_live *live = looking->live;
	struct adminclient client = {.url = url, .timeout_ms = patience(looking)};
	struct err err = {""};
	struct buf body;
	buf_init(&body, 0);
	int status = adminclient_ask(&client, "GET", "/api/v1/status", &body, &err);
	char *fault = status == 200 && body.size
	                      ? reload_live_fault(body.data, body.size, live->expected, live->expected_count)
	              : status ? mem_printf("it answers %d", status)
	                       : NULL;
	looking->engines++;
	looking->answered += status == 200;
	looking->good += status == 200 && fault == NULL;
	if (status == 0)
		buf_printf(&looking->found, "  %s\n", err.text);
	else
		buf_printf(&looking->found, "  %s: %s\n", url, fault ? fault : "it runs what is expected");
	mem_free(fault);
	buf_free(&body);
}

static void look_at_all(struct looking *looking, const char *url)
{
	struct err err = {""};
	size_t count;
	char **urls = adminclient_addresses(url, patience(looking), &count, &err);
	if (count == 0)
		buf_printf(&looking->found, "  %s\n", err.text);
	for (size_t i = 0; i < count; i++)
		look_at(looking, urls[i]);
	adminclient_free_addresses(urls, count);
}

/* One round; true when all is as expected. */
static bool look(struct looking *looking)
{
	const struct reload_live *live = looking->live;
	buf_clear(&looking->found);
	looking->engines = looking->good = 0;
	for (size_t i = 0; i < live->url_count; i++)
		if (live->all)
			look_at_all(looking, live->urls[i]);
		else
			look_at(looking, live->urls[i]);
	return looking->good == looking->engines && looking->engines >= live->at_least;
}

static void tell(const struct looking *looking)
{
	size_t wanted =
	        looking->engines > looking->live->at_least ? looking->engines : looking->live->at_least;
	fprintf(stderr, "%zu of %zu engines run what is expected\n", looking->good, wanted);
}

int reload_live_wait(const struct reload_live *live)
{
	struct looking looking = {.live = live, .deadline = clock_now() + live->timeout_ms};
	size_t told = (size_t)-1;
	bool good, late;
	buf_init(&looking.found, 0);
	for (;;) {
		late = clock_now() >= looking.deadline;
		good = look(&looking);
		if (good || late)
			break;
		if (looking.good != told)
			tell(&looking);
		told = looking.good;
		nanosleep(&(struct timespec){.tv_nsec = REST_MS * 1000000L}, NULL);
	}
	if (good) {
		printf("live: %zu engine%s\n%.*s", looking.good, looking.good == 1 ? "" : "s",
		        (int)looking.found.size, looking.found.size ? looking.found.data : "");
	} else {
		tell(&looking);
		fprintf(stderr, "millrace reload: the time is up\n%.*s", (int)looking.found.size,
		        looking.found.size ? looking.found.data : "");
	}
	buf_free(&looking.found);
	return good ? EXIT_SUCCESS : looking.answered ? EXIT_FAILURE : EXIT_UNREACHABLE;
}
