/* A file becomes a script, or a sentence that says why not. */
#include "script_fixture.h"

#include "digest.h"

static void refused(const char *text, const char *words)
{
	struct err err = {""};
	struct script *script = fixture_try(text, NULL, &err);
	if (script)
		fail_msg("this loads: %s", text);
	if (strstr(err.text, words) == NULL)
		fail_msg("%s\nsays: %s\nexpected: %s", text, err.text, words);
}

static void what_is_no_script_says_what_one_is(void **state)
{
	(void)state;
	refused("", "t.lua: a script returns a table with `api = 1` and the hooks `request` and `transform`; "
	            "this one returned "
	            "nil (is the `return {...}` at the end missing?)");
	refused("return 5", "this one returned a number");
	refused("return {}", "this one has no `api = 1`");
	refused("return {api = 2}", "`api` must be 1");
	refused("return {api = '1'}", "`api` must be 1");
	refused("return {api = 1}", "this one has neither hook");
	refused("return {api = 1, request = 5}", "`request` must be a function, it is a number");
	refused("return {api = 1, transfrom = print}", "unknown hook 'transfrom'; did you mean 'transform'?");
	refused("return {api = 1, reqest = print, transform = print}",
	        "unknown hook 'reqest'; did you mean 'request'?");
}

static void an_error_while_loading_begins_with_file_and_line(void **state)
{
	(void)state;
	refused("local x =\nreturn", "t.lua:2: unexpected symbol near 'return'");
	refused("\nlocal x = nil + 1", "t.lua:2: attempt to perform arithmetic on a nil value");
	refused("\n\nstray = 5", "t.lua:3: 'stray' is a global: scripts keep no globals, use `local stray`");
	refused("error('a setting is wrong', 0)", "t.lua: a setting is wrong");
	refused("\x1bLJ\x02", "attempt to load chunk with wrong mode");
	refused("while true do end", "t.lua took more CPU time than its budget");
	refused("local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end", "t.lua needs more memory");
	refused("require('millrace').fetch{path = '/'}", "works in transform only");
	struct err err = {""};
	assert_null(fixture_open_file("/nonexistent/x.lua", NULL, &err));
	assert_string_equal("/nonexistent/x.lua: No such file or directory", err.text);
	assert_null(fixture_open_file("/tmp", NULL, &err));
	assert_string_equal("/tmp: Is a directory", err.text);
}

static void params_must_be_an_object(void **state)
{
	struct err err = {""};
	(void)state;
	assert_null(fixture_try("return {api = 1, request = print}", "[1]", &err));
	assert_non_null(strstr(err.text, "script.params must be an object"));
	assert_null(fixture_try("return {api = 1, request = print}", "{", &err));
	assert_non_null(strstr(err.text, "script.params: "));
}

static void a_script_that_fails_its_own_test_is_refused(void **state)
{
	(void)state;
	refused("return {api = 1, request = print, selftest = function()\nassert(1 == 2, 'sums are wrong') "
	        "end}",
	        "hook 'selftest': ");
	refused("return {api = 1, request = print, selftest = function() return false, 'sums' end}",
	        "`selftest` answered false: sums");
	refused("return {api = 1, request = print, selftest = function() while true do end end}",
	        "hook 'selftest' took more CPU time");
	struct err err = {""};
	struct script *script = fixture_try(
	        "local millrace = require 'millrace' return {api = 1, request = print, selftest = function() "
	        "local v = millrace.drop('canary') assert(v.verdict == 'drop' and v.type == 'canary') "
	        "millrace.output{value = {a = 1}} end}",
	        NULL, &err);
	if (script == NULL)
		fail_msg("%s", err.text);
	assert_true(script_sound(script, &err));
	script_release(script);
}

/* A folder with files, given as name, text, ..., NULL; the first is the script. */
struct files {
	char folder[40];
	char *paths[8];
	size_t count;
};

static void write_files(struct files *files, ...)
{
	va_list args;
	*files = (struct files){.folder = "/tmp/millrace-script-XXXXXX"};
	assert_non_null(mkdtemp(files->folder));
	char *lib = mem_printf("%s/lib", files->folder);
	assert_int_equal(0, mkdir(lib, 0700));
	mem_free(lib);
	va_start(args, files);
	for (const char *name; (name = va_arg(args, const char *)) != NULL;)
		files->paths[files->count++] = fixture_write(files->folder, name, va_arg(args, const char *));
	va_end(args);
}

static void remove_files(struct files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		unlink(files->paths[i]);
		mem_free(files->paths[i]);
	}
	char *lib = mem_printf("%s/lib", files->folder);
	rmdir(lib);
	rmdir(files->folder);
	mem_free(lib);
}

static void modules_come_from_the_scripts_folder(void **state)
{
	struct files files;
	struct err err = {""};
	(void)state;
	write_files(&files, "t.lua",
	        "local a = require 'lib.a' assert(require 'lib.a' == a) local b = require 'b' "
	        "return {api = 1, transform = function() return {a = a.value, b = b, again = "
	        "require('lib.a').value, "
	        "json = tostring(require 'millrace' ~= nil)} end}",
	        "lib/a.lua", "local name = ... return {value = name .. require 'b'}", "b.lua", "return 'bee'",
	        NULL);
	struct script *script = fixture_open_file(files.paths[0], NULL, &err);
	if (script == NULL)
		fail_msg("%s", err.text);
	struct script_result result = fixture_transform(script, NULL);
	assert_non_null(strstr(result.outputs[0].value, "\"again\":\"lib.abee\""));
	expect_output(&result, "\"b\":\"bee\"");
	script_release(script);
	remove_files(&files);
}

static void modules_from_elsewhere_are_refused(void **state)
{
	static const char *const cases[][2] = {{"../t", "no name of a module"},
	        {"..t", "no name of a module"}, {"/etc/passwd", "no name of a module"},
	        {"lib/a", "no name of a module"}, {".a", "no name of a module"},
	        {"a.", "no name of a module"}, {"", "no name of a module"}, {"a\\0b", "no name of a module"},
	        {"none", "none.lua: No such file or directory (for require \"none\")"},
	        {"lib", "lib.lua: No such file"}, {"os", "os.lua: No such file"},
	        {"ffi", "ffi.lua: No such file"}, {"bad", "bad.lua:2: "},
	        {"loop", "module 'loop' requires itself"}, {"binary", "wrong mode"}};
	struct files files;
	struct err err = {""};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = mem_printf("require '%s' return {api = 1, request = print}", cases[i][0]);
		write_files(&files, "t.lua", text, "bad.lua", "\nreturn +", "loop.lua",
		        "return require 'loop'", "binary.lua", "\x1bLJ", NULL);
		assert_null(fixture_open_file(files.paths[0], NULL, &err));
		if (strstr(err.text, cases[i][1]) == NULL)
			fail_msg("require '%s': %s\nexpected: %s", cases[i][0], err.text, cases[i][1]);
		remove_files(&files);
		mem_free(text);
	}
}

static void modules_that_misbehave_are_stopped_where_they_stand(void **state)
{
	static const char *const modules[][2] = {
	        {"\nwhile true do end", "took more CPU time"},
	        {"local t = {}\nwhile true do t[#t + 1] = {} end", "needs more memory"},
	        {"\nwhile true do pcall(require, 'lib.two') end", "took more CPU time"},
	        {"return require 'lib.one'", "requires itself"},
	        {"\33LJ\2\n", "attempt to load chunk with wrong mode"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
		struct files files;
		struct err err = {""};
		write_files(&files, "t.lua", "require 'lib.one' return {api = 1, request = print}",
		        "lib/one.lua", modules[i][0], NULL);
		assert_null(fixture_open_file(files.paths[0], NULL, &err));
		if (strstr(err.text, modules[i][1]) == NULL)
			fail_msg("%s", err.text);
		if (i < 3)
			assert_non_null(strstr(err.text, "lib/one.lua:2: in "));
		remove_files(&files);
	}
}

static void hooks_read_no_files(void **state)
{
	struct files files;
	struct err err = {""};
	(void)state;
	write_files(&files, "t.lua", "return {api = 1, transform = function() return {a = require 'b'} end}",
	        "b.lua", "return 'bee'", NULL);
	struct script *script = fixture_open_file(files.paths[0], NULL, &err);
	struct script_result result = fixture_transform(script, NULL);
	expect_failure(&result, "ScriptError", "module 'b' is not loaded, and hooks read no files");
	script_release(script);
	remove_files(&files);
}

static void shared_modules_are_found_where_they_were_installed(void **state)
{
	struct files own, shared;
	struct err err = {""};
	(void)state;
	write_files(&own, "t.lua",
	        "local a, b = require 'lib.a', require 'lib.b' return {api = 1, transform = function() "
	        "return {a = a, b = b} end}",
	        "lib/a.lua", "return 'own a'", NULL);
	write_files(&shared, "a.lua", "return 'shared a'", "b.lua", "return 'shared b'", NULL);
	struct script_config config = {.path = own.paths[0],
	        .library = shared.folder,
	        .memory = MEMORY,
	        .budget_ms = 100,
	        .max_event = 1000};
	struct script *script = script_open(&config, &world, &err);
	if (script == NULL)
		fail_msg("%s", err.text);
	struct script_event event;
	struct script_result result;
	fixture_decode(script, &event, "{}");
	script_transform(&event, NULL, 0, &result);
	assert_non_null(strstr(result.outputs[0].value, "own a"));
	expect_output(&result, "shared b");
	script_forget(&event);
	script_release(script);
	remove_files(&own);
	remove_files(&shared);
}

static void the_digest_covers_every_file(void **state)
{
	static const char main_file[] = "require 'b' return {api = 1, request = print}";
	char first[DIGEST_HEX], alone[DIGEST_HEX];
	struct files files;
	struct err err = {""};
	(void)state;
	for (int i = 0; i < 2; i++) {
		write_files(&files, "t.lua", main_file, "b.lua", i ? "return 1" : "return 2", NULL);
		struct script *script = fixture_open_file(files.paths[0], NULL, &err);
		assert_int_equal(64, strlen(script_sha256(script)));
		if (i)
			assert_string_not_equal(first, script_sha256(script));
		memcpy(first, script_sha256(script), sizeof first);
		script_release(script);
		remove_files(&files);
	}
	static const char single[] = "return {api = 1, request = print}";
	struct script *script = fixture_open(single);
	digest_hex(DIGEST_SHA256, &(struct bytes){single, strlen(single)}, 1, alone);
	assert_string_equal(alone, script_sha256(script)); /* what sha256sum says of the file */
	script_release(script);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_no_script_says_what_one_is),
	        cmocka_unit_test(an_error_while_loading_begins_with_file_and_line),
	        cmocka_unit_test(params_must_be_an_object),
	        cmocka_unit_test(a_script_that_fails_its_own_test_is_refused),
	        cmocka_unit_test(modules_come_from_the_scripts_folder),
	        cmocka_unit_test(modules_from_elsewhere_are_refused),
	        cmocka_unit_test(modules_that_misbehave_are_stopped_where_they_stand),
	        cmocka_unit_test(hooks_read_no_files),
	        cmocka_unit_test(shared_modules_are_found_where_they_were_installed),
	        cmocka_unit_test(the_digest_covers_every_file),
	};
	return cmocka_run_group_tests_name("script_load", tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run);
}
