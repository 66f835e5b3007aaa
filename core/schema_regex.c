/* Patterns of schemas, matched by PCRE2 with bounded work. */
#include "schema_regex.h"
#include "mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
	FREE_WORK = 1000000,      /* steps that any match may take */
	WORK_PER_BYTE = 16,       /* and those for each byte of the text */
	HEAP_KIB = 32 * 1024,     /* for what a match must remember to go back to */
	PARENTHESES = 100,        /* nested */
	PATTERN_BYTES = 16 * 1024 /* of the translated pattern */
};

struct schema_regex {
	pcre2_code *code;
};

struct schema_regex_scratch {
	pcre2_match_data *match;
	pcre2_match_context *context;
	size_t last; /* where in the text the last callout was */
	size_t work; /* steps that are left */
};

static int count_work(pcre2_callout_block *block, void *context)
{
	struct schema_regex_scratch *scratch = context;
	size_t at = block->current_position, last = scratch->last;
	size_t steps = 1 + (at > last ? at - last : last - at);
	scratch->last = at;
	if (steps > scratch->work)
		return PCRE2_ERROR_CALLOUT;
	scratch->work -= steps;
	return 0;
}

static pcre2_code *compile(const char *pattern, size_t size, struct err *err)
{
	const uint32_t options = PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY |
	                         PCRE2_NEVER_BACKSLASH_C | PCRE2_MATCH_UNSET_BACKREF | PCRE2_AUTO_CALLOUT;
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	int number;
	PCRE2_SIZE offset;
	if (context == NULL) {
		err_set(err, "PCRE2 has no memory");
		return NULL;
	}
	pcre2_set_parens_nest_limit(context, PARENTHESES);
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, size, options, &number, &offset, context);
	pcre2_compile_context_free(context);
	if (code == NULL) {
		PCRE2_UCHAR message[200];
		pcre2_get_error_message(number, message, sizeof message);
		err_set(err, "%s", (const char *)message);
	}
	return code;
}

struct schema_regex *schema_regex_compile(const char *pattern, size_t size, struct err *err)
{
	struct schema_regex *regex = NULL;
	struct buf perl;
	buf_init(&perl, PATTERN_BYTES);
	if (schema_ecma_translate(pattern, size, &perl, err)) {
		pcre2_code *code = NULL;
		if (perl.full)
			err_set(err, "the pattern is too long");
		else
			code = compile(perl.data ? perl.data : "", perl.size, err);
		if (code) {
			regex = mem_alloc(sizeof *regex);
			regex->code = code;
		}
	}
	buf_free(&perl);
	return regex;
}

void schema_regex_free(struct schema_regex *regex)
{
	if (regex == NULL)
		return;
	pcre2_code_free(regex->code);
	mem_free(regex);
}

struct schema_regex_scratch *schema_regex_scratch_new(void)
{
	struct schema_regex_scratch *scratch = mem_zalloc(1, sizeof *scratch);
	scratch->match = pcre2_match_data_create(1, NULL);
	scratch->context = pcre2_match_context_create(NULL);
	if (scratch->context) {
		pcre2_set_callout(scratch->context, count_work, scratch);
		pcre2_set_heap_limit(scratch->context, HEAP_KIB);
	}
	return scratch;
}

void schema_regex_scratch_free(struct schema_regex_scratch *scratch)
{
	if (scratch == NULL)
		return;
	pcre2_match_data_free(scratch->match);
	pcre2_match_context_free(scratch->context);
	mem_free(scratch);
}

enum schema_match schema_regex_match(
        const struct schema_regex *regex, struct schema_regex_scratch *scratch, const char *text, size_t size)
{
	if (scratch->match == NULL || scratch->context == NULL)
		return SCHEMA_MATCH_GAVE_UP;
	scratch->last = 0;
	scratch->work = FREE_WORK + WORK_PER_BYTE * size;
	int found = pcre2_match(regex->code, (PCRE2_SPTR)(text ? text : ""), size, 0, PCRE2_NO_UTF_CHECK,
	        scratch->match, scratch->context);
	if (found == PCRE2_ERROR_NOMATCH)
		return SCHEMA_MATCH_NO;
	return found >= 0 ? SCHEMA_MATCH_YES : SCHEMA_MATCH_GAVE_UP;
}
