/* The official JSON-Schema-Test-Suite (Debian's json-schema-test-suite): all required cases of draft-07, 06
 * and 04 with their remote schemas, and the optional ones but for what SKIPPED lists. */
#include "mem.h"
#include "schema.h"
#include "jsontree.h"
#include "unit.h"

#include <dirent.h>
#include <sys/stat.h>

/* Another one, of any age, may be named: MILLRACE_SCHEMA_SUITE=FOLDER. */
static const char *suite = "/usr/share/json-schema-test-suite";
/* The drafts' own schemas, which some cases refer to; Debian's python3-jsonschema has them. */
static const char METASCHEMAS[] = "/usr/lib/python3/dist-packages/jsonschema/schemas";

static bool read_file(const char *path, struct buf *text)
{
	char bytes[65536];
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return false;
	for (size_t size; (size = fread(bytes, 1, sizeof bytes, file)) > 0;)
		buf_append(text, bytes, size);
	fclose(file);
	return true;
}

/* ---- what is skipped, and why ---- */

struct skip {
	const char *file;  /* as in "draft7/optional/content" */
	const char *group; /* NULL: the whole file */
	const char *test;  /* NULL: the whole group */
};

/* clang-format off */
static const struct skip SKIPPED[] = {
	/* contentEncoding and contentMediaType are notes */
	{"draft7/optional/content", NULL, NULL},
	/* formats that are notes: no schema of events has them */
	{"draft7/optional/format/idn-email", NULL, NULL},
	{"draft7/optional/format/idn-hostname", NULL, NULL},
	{"draft7/optional/format/iri", NULL, NULL},
	{"draft7/optional/format/iri-reference", NULL, NULL},
	{"draft7/optional/format/uri-template", NULL, NULL},
	{"draft6/optional/format", "format: uri-template", NULL},
	/* drafts later than 07 are refused */
	{"draft7/optional/cross-draft", "refs to future drafts are processed as future drafts", NULL},
};
/* clang-format on */

static bool is_skipped(const char *file, const char *group, const char *test)
{
	for (size_t i = 0; i < sizeof SKIPPED / sizeof *SKIPPED; i++) {
		const struct skip *skip = &SKIPPED[i];
		if (strcmp(skip->file, file) == 0 && (!skip->group || strcmp(skip->group, group) == 0) &&
		        (!skip->test || strcmp(skip->test, test) == 0))
			return true;
	}
	return false;
}

/* ---- schemas ---- */

static bool load(void *context, const char *uri, struct buf *text, struct err *err)
{
	static const char here[] = "http://localhost:1234/", drafts[] = "http://json-schema.org/draft-0";
	const struct bytes *schema = context;
	char path[500];
	if (strcmp(uri, "suite:schema") == 0)
		return buf_append(text, schema->data, schema->size);
	if (strncmp(uri, here, strlen(here)) == 0)
		snprintf(path, sizeof path, "%s/remotes/%s", suite, uri + strlen(here));
	else if (strncmp(uri, drafts, strlen(drafts)) == 0)
		snprintf(path, sizeof path, "%s/draft%c.json", METASCHEMAS, uri[strlen(drafts)]);
	else
		return err_set(err, "not found");
	return read_file(path, text) || err_set(err, "there is no file %s", path);
}

struct tally {
	const char *file; /* "draft7/optional/bignum" */
	enum schema_draft draft;
	struct schema_checker *checker;
	unsigned passed, failed, skipped;
};

static char *text_of(const struct jsontree *tree, uint32_t object, const char *name)
{
	struct buf room;
	buf_init(&room, 0);
	struct bytes text = jsontree_string(tree, jsontree_member(tree, object, name, strlen(name)), &room);
	char *copy = mem_dup(text.data, text.size);
	buf_free(&room);
	return copy;
}

static void run_case(struct tally *tally, const struct jsontree *cases, uint32_t test, const char *group,
        const struct schema *schema)
{
	char *name = text_of(cases, test, "description");
	struct schema_errors errors;
	schema_errors_init(&errors, 0);
	struct bytes data = jsontree_raw(cases, jsontree_member(cases, test, "data", 4));
	bool valid = cases->nodes[jsontree_member(cases, test, "valid", 5)].kind == JSONTREE_TRUE;
	if (is_skipped(tally->file, group, name)) {
		tally->skipped++;
	} else {
		bool quiet = schema_check(tally->checker, schema, data.data, data.size, 0, NULL);
		bool said = schema_check(tally->checker, schema, data.data, data.size, 0, &errors);
		bool good = quiet == valid && said == valid && (valid || errors.count);
		good ? tally->passed++ : tally->failed++;
		if (!good)
			printf("  %s | %s | %s: should be %svalid: %.*s\n", tally->file, group, name,
			        valid ? "" : "in", data.size < 200 ? (int)data.size : 200, data.data);
	}
	schema_errors_free(&errors);
	mem_free(name);
}

static void check_group(struct tally *tally, const struct jsontree *cases, uint32_t group)
{
	char *name = text_of(cases, group, "description");
	uint32_t tests = jsontree_member(cases, group, "tests", 5);
	struct bytes text = jsontree_raw(cases, jsontree_member(cases, group, "schema", 6));
	struct schema_source source = {&text, load};
	struct schema_settings settings = {.draft = tally->draft};
	struct err err;
	bool skip = is_skipped(tally->file, name, "");
	struct schema *schema = skip ? NULL : schema_compile("suite:schema", &source, &settings, &err);
	uint32_t at = tests + 1;
	if (skip) {
		tally->skipped += cases->nodes[tests].count;
	} else if (schema == NULL) {
		tally->failed += cases->nodes[tests].count;
		printf("  %s | %s: %s\n", tally->file, name, err.text);
	} else {
		for (uint32_t i = 0; i < cases->nodes[tests].count; i++, at = cases->nodes[at].next)
			run_case(tally, cases, at, name, schema);
	}
	schema_free(schema);
	mem_free(name);
}

static void run_file(struct tally *tally, const char *path)
{
	struct buf text;
	struct jsontree cases;
	struct json_error why = {0};
	buf_init(&text, 0);
	jsontree_init(&cases);
	assert_true(read_file(path, &text));
	if (!jsontree_parse(&cases, text.data, text.size, NULL, &why))
		fail_msg("%s: %s at %zu", path, why.message, why.offset);
	uint32_t at = 1;
	for (uint32_t i = 0; i < cases.nodes[0].count; i++, at = cases.nodes[at].next)
		check_group(tally, &cases, at);
	jsontree_free(&cases);
	buf_free(&text);
}

static int is_json(const struct dirent *entry)
{
	size_t size = strlen(entry->d_name);
	return size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
}

static void run_folder(struct tally *tally, const char *folder)
{
	struct dirent **files;
	char path[500], file[300];
	snprintf(path, sizeof path, "%s/tests/%s", suite, folder);
	int count = scandir(path, &files, is_json, alphasort);
	if (count < 0)
		fail_msg("%s is missing: apt-get install json-schema-test-suite python3-jsonschema", path);
	for (int i = 0; i < count; i++) {
		snprintf(file, sizeof file, "%s/%.*s", folder, (int)strlen(files[i]->d_name) - 5,
		        files[i]->d_name);
		snprintf(path, sizeof path, "%s/tests/%s.json", suite, file);
		tally->file = file;
		run_file(tally, path);
		free(files[i]);
	}
	free(files);
}

static void run(enum schema_draft draft, const char *const *folders, unsigned at_least)
{
	struct tally tally = {.draft = draft, .checker = schema_checker_new(NULL)};
	for (; *folders; folders++)
		run_folder(&tally, *folders);
	printf("draft %d: %u cases passed, %u failed, %u skipped\n", (int)draft, tally.passed, tally.failed,
	        tally.skipped);
	schema_checker_free(tally.checker);
	assert_int_equal(tally.failed, 0);
	assert_true(tally.passed >= at_least);
}

static void draft_07_is_what_the_suite_says(void **state)
{
	static const char *const folders[] = {"draft7", "draft7/optional", "draft7/optional/format", NULL};
	(void)state;
	run(SCHEMA_DRAFT_7, folders, 500);
}

static void draft_06_is_what_the_suite_says(void **state)
{
	static const char *const folders[] = {"draft6", "draft6/optional", NULL};
	(void)state;
	run(SCHEMA_DRAFT_6, folders, 480);
}

static void draft_04_is_what_the_suite_says(void **state)
{
	static const char *const folders[] = {"draft4", "draft4/optional", NULL};
	(void)state;
	run(SCHEMA_DRAFT_4, folders, 360);
}

int main(void)
{
	if (getenv("MILLRACE_SCHEMA_SUITE"))
		suite = getenv("MILLRACE_SCHEMA_SUITE");
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(draft_07_is_what_the_suite_says),
	        cmocka_unit_test(draft_06_is_what_the_suite_says),
	        cmocka_unit_test(draft_04_is_what_the_suite_says),
	};
	return cmocka_run_group_tests_name("JSON Schema test suite", tests, NULL, NULL);
}
