/* JSON Schema: what is wrong is found, named and placed; what is right passes; nothing hangs. */
#include "jsontree.h"
#include "mem.h"
#include "schema_fixture.h"

#include <pthread.h>

static void says(const char *schema_text, const char *event, const char *errors)
{
	struct schema *schema = fixture_schema(schema_text);
	char *found = fixture_errors(schema, event, 0);
	if (strcmp(found, errors) != 0)
		fail_msg("%s of %s:\nexpected: %s\n   found: %s", event, schema_text, errors, found);
	free(found);
	schema_free(schema);
}

static void accepts(const char *schema, const char *event)
{
	says(schema, event, "");
}

static void refuses(const char *schema_text, const char *event)
{
	struct schema *schema = fixture_schema(schema_text);
	char *found = fixture_errors(schema, event, 0);
	if (*found == '\0')
		fail_msg("%s of %s: nothing was found wrong", event, schema_text);
	free(found);
	schema_free(schema);
}

static void does_not_compile(const char *schema_text, const char *why)
{
	const struct texts texts[] = {{"/test", schema_text}, {NULL, NULL}};
	struct err err = {""};
	struct schema *schema = fixture_schema_of(texts, "/test", &err);
	if (schema || strcmp(err.text, why) != 0)
		fail_msg("%s:\nexpected: %s\n   found: %s", schema_text, why,
		        schema ? "(it compiled)" : err.text);
}

/* ---- promise: events are what their schemas say ---- */

/* Schemas as Wikimedia publishes them: YAML, fragments copied in with their $id, `$schema` by https. */
static void an_event_as_its_schema_says_passes(void **state)
{
	static const char *const uris[] = {"/mediawiki/page/change/1.0.0", "/mediawiki/page/change/1.1.0",
	        "/mediawiki/page/change/1.2.0", "/error/2.0.0", "/error/2.1.0"};
	static const char event[] =
	        "{\"$schema\":\"/mediawiki/page/change/1.2.0\",\"changelog_kind\":\"update\",\"dt\":"
	        "\"2024-03-01T12:00:00Z\",\"meta\":{\"stream\":\"s\"},\"page\":{\"page_id\":1,\"page_title\":"
	        "\"A\"},"
	        "\"page_change_kind\":\"edit\",\"performer\":{},\"revision\":{\"rev_id\":9007199254740991,"
	        "\"rev_dt\":"
	        "\"2024-03-01T12:00:00Z\"},\"wiki_id\":\"w\"}";
	(void)state;
	for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
		struct schema *schema = fixture_repository_schema(uris[i]);
		assert_string_equal(schema_uri(schema), uris[i]);
		assert_string_equal(schema_title(schema), i < 3 ? "mediawiki/page/change" : "error");
		char *errors = fixture_errors(schema, event, 0);
		if (i < 3)
			assert_string_equal(errors, "");
		else
			assert_non_null(strstr(errors, "the event: expected the property \"emitter_id\""));
		free(errors);
		schema_free(schema);
	}
}

static void an_error_says_where_and_what_was_expected(void **state)
{
	static const char *const cases[][3] = {
	        {"{type: integer}", "\"12\"", "the event: expected an integer, found \"12\" (type, /test#)"},
	        {"{properties: {a/b: {items: {type: [string, 'null', number]}}}}",
	                "{\"a/b\":[\"x\",{\"y\":1}]}",
	                "/a~1b/1: expected null or a number or a string, found an object of 1 property "
	                "(type, "
	                "/test#/properties/a~1b/items)"},
	        {"{required: [a, b]}", "{\"b\":1}",
	                "the event: expected the property \"a\", found an object without it (required, "
	                "/test#)"},
	        {"{properties: {a: {}}, additionalProperties: false}", "{\"a\":1,\"b c\":[2]}",
	                "/b c: expected no property \"b c\", found an array of 1 element "
	                "(additionalProperties, "
	                "/test#)"},
	        {"{enum: [edit, move, 3]}", "\"x\"",
	                "the event: expected one of \"edit\", \"move\", 3, found \"x\" (enum, /test#)"},
	        {"{const: {a: 1}}", "1", "the event: expected {\"a\":1}, found 1 (const, /test#)"},
	        {"{minLength: 1}", "\"\"",
	                "the event: expected at least 1 character, found \"\" (minLength, /test#)"},
	        {"{maxLength: 2}", "\"\\u00e4\\ud83d\\ude00x\"",
	                "the event: expected at most 2 characters, found \"\\u00e4\\ud83d\\ude00x\" "
	                "(maxLength, "
	                "/test#)"},
	        {"{pattern: '^a+$'}", "\"b\"",
	                "the event: expected a text that matches ^a+$, found \"b\" (pattern, /test#)"},
	        {"{format: date-time}", "\"2024-02-30T00:00:00Z\"",
	                "the event: expected a text of the format date-time, found \"2024-02-30T00:00:00Z\" "
	                "(format, /test#)"},
	        {"{minimum: 0}", "-1", "the event: expected at least 0, found -1 (minimum, /test#)"},
	        {"{exclusiveMaximum: 5}", "5.0",
	                "the event: expected less than 5, found 5.0 (exclusiveMaximum, /test#)"},
	        {"{multipleOf: 0.01}", "1.005",
	                "the event: expected a multiple of 0.01, found 1.005 (multipleOf, /test#)"},
	        {"{minItems: 2}", "[1]",
	                "the event: expected at least 2 elements, found an array of 1 element (minItems, "
	                "/test#)"},
	        {"{uniqueItems: true}", "[1,2,1.0]",
	                "the event: expected elements that differ from each other, found the same at 0 and 2 "
	                "(uniqueItems, /test#)"},
	        {"{dependencies: {a: [b]}}", "{\"a\":1}",
	                "the event: expected the property \"b\" beside \"a\", found an object without it "
	                "(dependencies, /test#)"},
	        {"{propertyNames: {maxLength: 1}}", "{\"ab\":1}",
	                "/ab: expected at most 1 character, found \"ab\" (maxLength, /test#/propertyNames)"},
	        {"{not: {type: 'null'}}", "null",
	                "the event: expected what /test#/not does not describe, found null (not, /test#)"},
	        {"{oneOf: [{minimum: 1}, {minimum: 2}]}", "3",
	                "the event: expected what exactly one of 2 schemas describes, found what several "
	                "describe "
	                "(oneOf, /test#)"},
	        {"{properties: {a: false}}", "{\"a\":1}",
	                "/a: expected nothing, found 1 (false, /test#/properties/a)"},
	        {"{}", "{\"a\":1,}",
	                "the event: expected JSON text, found expected a key in double quotes at offset 7 "
	                "(json)"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		says(cases[i][0], cases[i][1], cases[i][2]);
}

/* A union whose branches are told apart by their types: the reader wants to know what is wrong inside. */
static void where_only_one_branch_is_likely_its_errors_are_told(void **state)
{
	(void)state;
	says("{anyOf: [{type: 'null'}, {type: object, required: [a]}]}", "{}",
	        "the event: expected what one of 2 schemas describes, found an object of 0 properties "
	        "(anyOf, "
	        "/test#)\n"
	        "the event: expected the property \"a\", found an object without it (required, "
	        "/test#/anyOf/1)");
}

static void long_values_are_shortened_and_secret_ones_hidden(void **state)
{
	struct schema *schema = fixture_schema("{type: integer}");
	char event[400];
	(void)state;
	memset(event, 'x', sizeof event);
	event[0] = event[300] = '"';
	event[301] = '\0';
	memcpy(event + 58, "\xD0\x96", 2);
	char *errors = fixture_errors(schema, event, 0);
	assert_non_null(strstr(errors, "xxx\xD0\x96... (298 characters) (type"));
	free(errors);
	errors = fixture_errors(schema, event, SCHEMA_HIDE_VALUES);
	assert_string_equal(
	        errors, "the event: expected an integer, found a string of 298 characters (type, /test#)");
	free(errors);
	errors = fixture_errors(schema, "1.5", SCHEMA_HIDE_VALUES);
	assert_string_equal(errors, "the event: expected an integer, found a number (type, /test#)");
	free(errors);
	schema_free(schema);
}

static void all_errors_are_told_up_to_the_limit(void **state)
{
	struct schema *schema = fixture_schema("{items: {type: string}}");
	struct schema_checker *checker = schema_checker_new(NULL);
	struct schema_errors errors;
	static const char event[] = "[1,\"a\",2,3,4,5]";
	(void)state;
	schema_errors_init(&errors, 3);
	for (int round = 0; round < 2; round++) {
		assert_false(schema_check(checker, schema, event, strlen(event), 0, &errors));
		assert_int_equal(errors.count, 3);
		assert_string_equal(errors.list[2].pointer, "/3");
		assert_string_equal(errors.list[2].found, "3");
		assert_string_equal(errors.list[0].keyword, "type");
	}
	schema_errors_free(&errors);
	schema_checker_free(checker);
	schema_free(schema);
}

/* ---- promise: numbers are compared digit by digit ---- */

static void numbers_are_compared_exactly(void **state)
{
	(void)state;
	accepts("{maximum: 9007199254740991}", "9007199254740991");
	refuses("{maximum: 9007199254740991}", "9007199254740992");
	refuses("{maximum: 9007199254740992}", "9007199254740993");
	accepts("{minimum: 9223372036854775807}", "9223372036854775808");
	refuses("{maximum: 18446744073709551616}", "18446744073709551617");
	refuses("{exclusiveMaximum: 0.1}", "0.1000000000000000000000000000");
	accepts("{minimum: 1e400}", "1e401");
	refuses("{enum: [9007199254740992]}", "9007199254740993");
	accepts("{enum: [100, 1.50]}", "1e2");
	accepts("{enum: [100, 1.50]}", "15e-1");
	refuses("{uniqueItems: true}", "[0.1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10e-2]");
	accepts("{uniqueItems: true}", "[9007199254740992, 9007199254740993, -0.5, 0.5, 1e400, -1e400]");
	accepts("{multipleOf: 0.0001}", "0.0075");
	refuses("{multipleOf: 0.0001}", "0.00751");
	accepts("{multipleOf: 3}", "123456789012345678901234567890");
	refuses("{multipleOf: 3}", "123456789012345678901234567891");
	accepts("{multipleOf: 1e-8}", "12391239123");
	refuses("{multipleOf: 0.123456789}", "1e308");
	accepts("{multipleOf: 7}", "7e300");
	refuses("{multipleOf: 7}", "-8");
}

static void a_whole_decimal_is_an_integer_since_draft_06(void **state)
{
	(void)state;
	accepts("{type: integer}", "1.0");
	accepts("{type: integer}", "123.4e1");
	refuses("{type: integer}", "1.5");
	refuses("{type: integer}", "1e-400");
	accepts("{type: integer}", "123456789012345678901234567890");
	refuses("{$schema: 'http://json-schema.org/draft-04/schema#', type: integer}", "1.0");
	accepts("{$schema: 'http://json-schema.org/draft-04/schema#', type: number}", "1.0");
}

static void the_spellings_of_draft_04_are_known(void **state)
{
	(void)state;
	refuses("{minimum: 1, exclusiveMinimum: true}", "1");
	accepts("{minimum: 1, exclusiveMinimum: false}", "1");
	accepts("{$schema: 'http://json-schema.org/draft-04/schema#', id: /a/b, allOf: [{$ref: "
	        "'b#/definitions/c'}], "
	        "definitions: {c: {type: string}}}",
	        "\"x\"");
	accepts("{$schema: 'http://json-schema.org/draft-04/schema#', const: 1}", "2");
	accepts("{$schema: 'http://json-schema.org/draft-06/schema#', if: {}, then: false}", "2");
	refuses("{if: {}, then: false}", "2");
}

/* ---- promise: references lead anywhere, and a schema that cannot work is refused with its place ---- */

static void references_lead_across_documents(void **state)
{
	static const char *const events[][2] = {
	        {"{\"$schema\":\"/test/derived/"
	         "1.0.0\",\"meta\":{\"stream\":\"s\",\"dt\":\"2024-03-01T12:00:00Z\"},"
	         "\"entity\":{\"id\":1,\"parent\":{\"id\":2,\"parent\":{\"seen\":[\"2024-03-01T12:00:00Z\"]}}"
	         "}}",
	                ""},
	        {"{\"$schema\":\"/test/derived/"
	         "1.0.0\",\"meta\":{\"stream\":\"\",\"dt\":\"2024-03-01T12:00:00Z\"},"
	         "\"entity\":{\"parent\":{\"parent\":{\"id\":0}}}}",
	                "/entity/parent/parent/id: expected at least 1, found 0 (minimum, "
	                "/fragment/common/1.0.0#/definitions/id)\n"
	                "/meta/stream: expected at least 1 character, found \"\" (minLength, "
	                "/fragment/common/1.0.0#/properties/meta/properties/stream)"},
	};
	struct schema *schema = fixture_repository_schema("/test/derived/1.0.0");
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char *errors = fixture_errors(schema, events[i][0], 0);
		assert_string_equal(errors, events[i][1]);
		free(errors);
	}
	schema_free(schema);
}

static void a_part_of_a_document_can_be_asked_for(void **state)
{
	struct schema *schema = fixture_repository_schema("/fragment/common/1.0.0#/definitions/id");
	char *errors = fixture_errors(schema, "0", 0);
	(void)state;
	assert_string_equal(errors,
	        "the event: expected at least 1, found 0 (minimum, /fragment/common/1.0.0#/definitions/id)");
	free(errors);
	schema_free(schema);
}

/* Wikimedia's schemas hold copies of one fragment under one $id. */
static void an_identifier_may_stand_twice_unless_it_is_referred_to(void **state)
{
	(void)state;
	accepts("{properties: {a: {$id: /f/1, $ref: '#/definitions/x'}, b: {$id: /f/1, items: {$ref: '#/x'}, "
	        "x: {type: "
	        "string}}, c: {$id: /f/1, items: {$ref: '#/x'}, x: {}}}, definitions: {x: {}}}",
	        "{\"b\":[\"s\"],\"c\":[1]}");
	does_not_compile("{properties: {a: {$id: /f/1}, b: {$id: /f/1, type: string}, c: {$ref: /f/1}}}",
	        "/test#/properties/c: $ref: there is no schema /f/1: several schemas have it as $id, and "
	        "there is no "
	        "document of that name");
}

static void a_schema_that_cannot_work_is_refused_with_its_place(void **state)
{
	static const char *const cases[][2] = {
	        {"{properties: {a: {type: strin}}}",
	                "/test#/properties/a/type: unknown type \"strin\": did you mean \"string\"?"},
	        {"{required: true}", "/test#/required: expected a list of properties' names, found true: "
	                             "that is draft-03, name "
	                             "the property in the required list of the object that holds it"},
	        {"{required: [a, 3]}", "/test#/required/1: expected a property's name, found 3"},
	        {"{minLength: -1}", "/test#/minLength: expected a whole number from 0, found -1"},
	        {"{maximum: '5'}", "/test#/maximum: expected a number, found \"5\""},
	        {"{multipleOf: 0}", "/test#/multipleOf: expected a number above 0, found 0"},
	        {"{enum: a}", "/test#/enum: expected a list of values, found \"a\""},
	        {"{allOf: {}}", "/test#/allOf: expected a list of schemas, found an object"},
	        {"{items: 3}", "/test#/items: expected a schema (an object, true or false), found 3"},
	        {"{properties: []}", "/test#/properties: expected an object of properties and their schemas, "
	                             "found a list"},
	        {"{pattern: 'a(b'}", "/test#/pattern: the pattern \"a(b\" cannot be used: a '(' without its "
	                             "')' at character 4"},
	        {"{$ref: /nowhere/1.0.0}",
	                "/test#: $ref: there is no schema /nowhere/1.0.0: no repository has it"},
	        {"{items: {$ref: '#/definitions/x'}}", "/test#/items: $ref: there is no schema "
	                                               "/test#/definitions/x: the document has nothing at "
	                                               "that place"},
	        {"{$schema: 'https://json-schema.org/draft/2020-12/schema'}",
	                "/test#: its $schema is \"https://json-schema.org/draft/2020-12/schema\"; drafts 04, "
	                "06 and "
	                "07 of JSON Schema are known"},
	        {"{$ref: '#'}",
	                "/test#: the schema leads back to itself for the same value: a check would not end"},
	        {"{anyOf: [{not: {$ref: '#/definitions/x'}}], definitions: {x: {allOf: [{$ref: '#'}]}}}",
	                "/test#: the schema leads back to itself for the same value: a check would not end"},
	        {"a: &b {}",
	                "/test: line 1, column 4: anchors are not supported (leave out the '&...' word)"},
	        {"{\"a\": 1", "/test: expected ',' or '}' at offset 7"},
	        {"type: string\ntype: integer",
	                "/test: line 2, column 1: duplicate key 'type' (it already stands in line 1)"},
	        {"minimum: .nan", "/test: line 1, column 10: a number that JSON has no form for"},
	        {"[]", "/test#: expected a schema (an object, true or false), found a list"},
	        {"", "/test: line 1, column 1: nothing stands here"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		does_not_compile(cases[i][0], cases[i][1]);
}

/* Schemas that follow one another for one value cost a stack frame each. */
static void a_long_chain_of_schemas_is_refused(void **state)
{
	struct buf text;
	(void)state;
	buf_init(&text, 0);
	buf_append_text(&text, "{\"$ref\":\"#/d/0\",\"d\":[");
	for (int i = 0; i < 5000; i++)
		buf_printf(&text, "{\"$ref\":\"#/d/%d\"},", i + 1);
	buf_append_text(&text, "{}]}");
	does_not_compile(
	        text.data, "/test#/d/99: more than 100 schemas follow one another for the same value");
	buf_free(&text);
}

static void yaml_strings_stay_strings(void **state)
{
	static const char schema[] =
	        "enum:\n  - '1'\n  - \"true\"\n  - yes\n  - 2\n  - 0x10\n  - ~\n  - 2024-01-01\n";
	(void)state;
	accepts(schema, "\"1\"");
	refuses(schema, "1");
	accepts(schema, "\"true\"");
	refuses(schema, "true");
	accepts(schema, "\"yes\"");
	accepts(schema, "2");
	accepts(schema, "16");
	accepts(schema, "null");
	accepts(schema, "\"2024-01-01\"");
	accepts("{properties: {1: {type: string}, true: {type: integer}}}", "{\"1\":\"x\",\"true\":1}");
	refuses("{properties: {1: {type: string}}}", "{\"1\":1}");
}

/* ---- promise: names are names, however they are written ---- */

static void escaped_names_and_values_mean_what_they_say(void **state)
{
	(void)state;
	refuses("{properties: {abc: {type: string}}}", "{\"a\\u0062c\":1}");
	refuses("{additionalProperties: false, properties: {abc: {}}}", "{\"a\\u0062d\":1}");
	accepts("{additionalProperties: false, required: [abc], properties: {abc: {}}}", "{\"a\\u0062c\":1}");
	accepts("{enum: [\"\xC3\xA4/\"]}", "\"\\u00e4\\/\"");
	accepts("{\"const\": {\"\\u0061\": [\"\\n\"]}}", "{\"a\":[\"\\u000A\"]}");
	accepts("{patternProperties: {'^a': {type: integer}}, additionalProperties: false}",
	        "{\"\\u0061b\":1}");
	refuses("{}", "{\"a\":1,\"\\u0061\":2}");
}

/* ---- promise: the newest version's schema serves for a version that nobody knows ---- */

static void additional_properties_can_be_allowed(void **state)
{
	struct schema *schema = fixture_schema("{type: object, additionalProperties: false, properties: {a: "
	                                       "{additionalProperties: false}, b: "
	                                       "{additionalProperties: {type: integer}}}}");
	(void)state;
	char *errors =
	        fixture_errors(schema, "{\"a\":{\"x\":1},\"y\":2,\"b\":{\"z\":3}}", SCHEMA_ALLOW_ADDITIONAL);
	assert_string_equal(errors, "");
	free(errors);
	errors = fixture_errors(schema, "{\"b\":{\"z\":\"3\"}}", SCHEMA_ALLOW_ADDITIONAL);
	assert_string_equal(errors,
	        "/b/z: expected an integer, found \"3\" (type, /test#/properties/b/additionalProperties)");
	free(errors);
	schema_free(schema);
}

/* ---- promise: what a schema does not know can be left out, and nothing else changes ---- */

static void strips(const struct schema *schema, const char *event, const char *rest, size_t count)
{
	struct schema_checker *checker = schema_checker_new(NULL);
	struct buf out, pointers;
	size_t stripped, unknown;
	buf_init(&out, 0);
	buf_init(&pointers, 0);
	assert_true(schema_strip(checker, schema, event, strlen(event), &out, &stripped, NULL));
	assert_string_equal(out.data, rest);
	assert_int_equal(stripped, count);
	assert_true(schema_unknown(checker, schema, event, strlen(event), &pointers, &unknown, NULL));
	assert_int_equal(unknown, count);
	buf_clear(&pointers);
	assert_true(schema_unknown(checker, schema, rest, strlen(rest), &pointers, &unknown, NULL));
	assert_int_equal(unknown, 0);
	buf_free(&pointers);
	buf_free(&out);
	schema_checker_free(checker);
}

static void unknown_properties_are_left_out_and_the_rest_stays_byte_for_byte(void **state)
{
	struct schema *schema =
	        fixture_schema("{additionalProperties: false, properties: {a: {additionalProperties: false, "
	                       "properties: {b: {}}}, "
	                       "l: {items: {$ref: '#/properties/a'}}, n: {}, free: {type: object}}}");
	(void)state;
	strips(schema, " { \"a\" : { \"b\" : 1.0 } , \"n\":9007199254740993 } \n",
	        " { \"a\" : { \"b\" : 1.0 } , \"n\":9007199254740993 } \n", 0);
	strips(schema, "{\"x\":1,\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}", 1);
	strips(schema, "{\"a\":{\"b\":1},\"x\":1}", "{\"a\":{\"b\":1}}", 1);
	strips(schema, "{\"x\":1}", "{}", 1);
	strips(schema, "{ \"x\" : 1 , \"y\" : [ 2 ] }", "{  }", 2);
	strips(schema,
	        "{ \"x\":1, \"a\":{ \"y\":2 , \"b\": -0.0 , \"z\":3 }, \"w\":{\"a\":{\"q\":1}} , \"n\":1e400 "
	        "}",
	        "{ \"a\":{ \"b\": -0.0 } , \"n\":1e400 }", 4);
	strips(schema, "{\"l\":[{\"x\":1},{\"b\":2,\"x\":3},[],{\"b\\u0062\":1}]}",
	        "{\"l\":[{},{\"b\":2},[],{}]}", 3);
	strips(schema, "{\"free\":{\"x\":{\"y\":1}},\"\\u0061\":{\"b\":\"\\/\"}}",
	        "{\"free\":{\"x\":{\"y\":1}},\"\\u0061\":{\"b\":\"\\/\"}}", 0);
	strips(schema, "[{\"x\":1}]", "[{\"x\":1}]", 0);
	schema_free(schema);
}

static void what_is_unknown_is_seen_through_the_branch_that_matches(void **state)
{
	struct schema *schema = fixture_schema("{properties: {v: {anyOf: [{type: string}, {required: [k], "
	                                       "additionalProperties: false, properties: {k: "
	                                       "{const: 1}}}, {required: [k], additionalProperties: false, "
	                                       "properties: {k: {}, more: {}}}]}, w: {if: "
	                                       "{required: [p]}, then: {additionalProperties: false, "
	                                       "properties: {p: {}}}}}, allOf: [{properties: {u: "
	                                       "{additionalProperties: false}}}]}");
	(void)state;
	strips(schema, "{\"v\":{\"k\":1,\"more\":2}}", "{\"v\":{\"k\":1}}", 1);
	strips(schema, "{\"v\":{\"k\":2,\"more\":2,\"x\":3}}", "{\"v\":{\"k\":2,\"more\":2}}", 1);
	strips(schema, "{\"w\":{\"x\":1}}", "{\"w\":{\"x\":1}}", 0);
	strips(schema, "{\"w\":{\"x\":1,\"p\":1}}", "{\"w\":{\"p\":1}}", 1);
	strips(schema, "{\"u\":{\"x\":1}}", "{\"u\":{}}", 1);
	schema_free(schema);
}

static void unknown_properties_are_named(void **state)
{
	struct schema *schema = fixture_repository_schema("/error/2.1.0");
	struct schema_checker *checker = schema_checker_new(NULL);
	static const char event[] = "{\"a/b\":1,\"meta\":{\"x\":1},\"message\":\"m\",\"c\":{\"d\":1}}";
	struct schema_errors errors;
	struct buf pointers;
	size_t count;
	(void)state;
	buf_init(&pointers, 0);
	schema_errors_init(&errors, 0);
	assert_true(schema_unknown(checker, schema, event, strlen(event), &pointers, &count, &errors));
	assert_int_equal(count, 2);
	assert_int_equal(pointers.size, sizeof "/a~1b" + sizeof "/c");
	assert_memory_equal(pointers.data, "/a~1b\0/c", pointers.size);
	assert_false(schema_unknown(checker, schema, "{", 1, &pointers, &count, &errors));
	assert_string_equal(errors.list[0].keyword, "json");
	schema_errors_free(&errors);
	buf_free(&pointers);
	schema_checker_free(checker);
	schema_free(schema);
}

/* ---- promise: hostile events and patterns end soon ---- */

static void is_given_up(const char *schema_text, const struct buf *event)
{
	struct schema *schema = fixture_schema(schema_text);
	struct schema_checker *checker = schema_checker_new(NULL);
	struct schema_errors errors;
	schema_errors_init(&errors, 0);
	assert_false(schema_check(checker, schema, event->data, event->size, 0, &errors));
	assert_int_equal(errors.count, 1);
	assert_string_equal(errors.list[0].keyword, "limit");
	schema_errors_free(&errors);
	schema_checker_free(checker);
	schema_free(schema);
}

static void hostile_patterns_end(void **state)
{
	struct buf event;
	(void)state;
	buf_init(&event, 0);
	buf_append_byte(&event, '"');
	for (int i = 0; i < 200000; i++)
		buf_append_byte(&event, 'a');
	buf_append_text(&event, "!\"");
	is_given_up("{pattern: '^(a+)+$'}", &event);
	is_given_up("{pattern: '^(a|aa)*$'}", &event);
	is_given_up("{pattern: 'a*b|!!'}", &event);
	is_given_up("{pattern: '^(?:(?=[a-z]*!)[a-z])*$'}", &event);
	is_given_up("{not: {pattern: '^(a+)+$'}}", &event);
	is_given_up("{not: {not: {pattern: '^(a+)+$'}}}", &event);
	buf_free(&event);
}

static void equal_elements_are_looked_for_without_comparing_all(void **state)
{
	struct buf event;
	(void)state;
	buf_init(&event, 0);
	buf_append_text(&event, "[0");
	for (int i = 1; i < 200000; i++)
		buf_printf(&event, ",{\"a\":%d}", i);
	buf_append_text(&event, "]");
	accepts("{uniqueItems: true}", event.data);
	buf_free(&event);
}

/* Members in another order: each would be looked for among all. */
static void large_objects_are_compared_in_order(void **state)
{
	struct buf event;
	(void)state;
	buf_init(&event, 0);
	buf_append_text(&event, "[{\"a\":0");
	for (int i = 0; i < 100000; i++)
		buf_printf(&event, ",\"k%d\":1", i);
	buf_append_text(&event, "},{");
	for (int i = 100000; i-- > 0;)
		buf_printf(&event, "\"k%d\":1,", i);
	buf_append_text(&event, "\"\\u0061\":0.0}]");
	refuses("{uniqueItems: true}", event.data);
	buf_free(&event);
}

/* 2^40 ways through the schema: a check that took them all would not end. */
static void a_schema_that_multiplies_work_is_given_up(void **state)
{
	struct buf schema, event;
	(void)state;
	buf_init(&schema, 0);
	buf_init(&event, 0);
	buf_append_text(&event, "1");
	buf_append_text(&schema, "{\"$ref\":\"#/d/0\",\"d\":[");
	for (int i = 1; i <= 40; i++)
		buf_printf(&schema, "{\"allOf\":[{\"$ref\":\"#/d/%d\"},{\"$ref\":\"#/d/%d\"}]},", i, i);
	buf_append_text(&schema, "{\"minimum\":0}]}");
	is_given_up(schema.data, &event);
	buf_free(&schema);
	buf_free(&event);
}

static void deep_events_are_refused_not_followed(void **state)
{
	struct buf event;
	(void)state;
	buf_init(&event, 0);
	for (int i = 0; i < 100000; i++)
		buf_append_text(&event, "[");
	says("{items: {$ref: '#'}}", event.data,
	        "the event: expected JSON text, found nested deeper than 128 levels at offset 128 (json)");
	buf_free(&event);
}

/* ---- promise: compiled in one thread, used in another ---- */

static void *compile_in_thread(void *uri)
{
	return fixture_repository_schema(uri);
}

static void *check_in_thread(void *schema)
{
	static const char event[] = "{\"$schema\":\"x\"}";
	struct schema_checker *checker = schema_checker_new(NULL);
	size_t wrong = 0;
	for (int i = 0; i < 500; i++)
		wrong += !schema_check(checker, schema, event, strlen(event), 0, NULL);
	schema_checker_free(checker);
	return (void *)wrong;
}

static void a_schema_is_shared_by_threads(void **state)
{
	static char uri[] = "/test/derived/1.0.0";
	pthread_t compiler, users[2];
	void *schema, *wrong;
	(void)state;
	assert_int_equal(pthread_create(&compiler, NULL, compile_in_thread, uri), 0);
	assert_int_equal(pthread_join(compiler, &schema), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&users[i], NULL, check_in_thread, schema), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(users[i], &wrong), 0);
		assert_int_equal((size_t)wrong, 500);
	}
	schema_free(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_event_as_its_schema_says_passes),
	        cmocka_unit_test(an_error_says_where_and_what_was_expected),
	        cmocka_unit_test(where_only_one_branch_is_likely_its_errors_are_told),
	        cmocka_unit_test(long_values_are_shortened_and_secret_ones_hidden),
	        cmocka_unit_test(all_errors_are_told_up_to_the_limit),
	        cmocka_unit_test(numbers_are_compared_exactly),
	        cmocka_unit_test(a_whole_decimal_is_an_integer_since_draft_06),
	        cmocka_unit_test(the_spellings_of_draft_04_are_known),
	        cmocka_unit_test(references_lead_across_documents),
	        cmocka_unit_test(a_part_of_a_document_can_be_asked_for),
	        cmocka_unit_test(an_identifier_may_stand_twice_unless_it_is_referred_to),
	        cmocka_unit_test(a_schema_that_cannot_work_is_refused_with_its_place),
	        cmocka_unit_test(a_long_chain_of_schemas_is_refused),
	        cmocka_unit_test(yaml_strings_stay_strings),
	        cmocka_unit_test(escaped_names_and_values_mean_what_they_say),
	        cmocka_unit_test(additional_properties_can_be_allowed),
	        cmocka_unit_test(unknown_properties_are_left_out_and_the_rest_stays_byte_for_byte),
	        cmocka_unit_test(what_is_unknown_is_seen_through_the_branch_that_matches),
	        cmocka_unit_test(unknown_properties_are_named),
	        cmocka_unit_test(hostile_patterns_end),
	        cmocka_unit_test(equal_elements_are_looked_for_without_comparing_all),
	        cmocka_unit_test(large_objects_are_compared_in_order),
	        cmocka_unit_test(a_schema_that_multiplies_work_is_given_up),
	        cmocka_unit_test(deep_events_are_refused_not_followed),
	        cmocka_unit_test(a_schema_is_shared_by_threads),
	};
	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
