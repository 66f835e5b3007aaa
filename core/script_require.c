/* `require`: modules from the script's folder, read once, while the script is loaded. */
#include "script_private.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 << 20, MODULES_MAX = 1000 };

static const char modules_key;  /* its address is the key of the table of modules in the registry */
static const char loading_mark; /* stands for a module that is being loaded */

static void push_modules(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&modules_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
}

/* Adds what the open file holds to `out`. */
static bool read_all(int fd, struct buf *out)
{
	for (;;) {
		char *place = buf_reserve(out, 65536);
		ssize_t got = place ? read(fd, place, 65536) : 0;
		if (got > 0)
			buf_commit(out, (size_t)got);
		else if (got == 0)
			return true;
		else if (errno != EINTR)
			return false;
	}
}

static bool read_file(const char *path, struct buf *out)
{
	struct stat stat;
	buf_clear(out);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	bool good = fstat(fd, &stat) == 0;
	if (good && !S_ISREG(stat.st_mode)) {
		errno = S_ISDIR(stat.st_mode) ? EISDIR : EINVAL;
		good = false;
	}
	good = good && read_all(fd, out);
	int why = errno;
	close(fd);
	errno = why;
	return good;
}

/* A script with more text than that is not kept at all. */
static void keep(struct script *script, const char *name, const struct bytes *text)
{
	struct script_texts *texts = &script->texts;
	texts->bytes += text->size;
	if (texts->bytes > SCRIPT_SOURCES_MAX)
		return;
	texts->items = mem_realloc(texts->items, (texts->count + 1) * sizeof *texts->items);
	texts->items[texts->count] = (struct script_source){
	        mem_strdup(texts->count ? name : ""), {mem_dup(text->data, text->size), text->size}};
	texts->count++;
}

const struct script_source *script_sources(const struct script *script, size_t *count)
{
	*count = script->texts.bytes > SCRIPT_SOURCES_MAX ? 0 : script->texts.count;
	return *count ? script->texts.items : NULL;
}

void require_close(struct script *script)
{
	for (size_t i = 0; i < script->texts.count; i++) {
		mem_free((char *)(size_t)script->texts.items[i].name);
		mem_free((char *)(size_t)script->texts.items[i].text.data);
	}
	mem_free(script->texts.items);
}

/* From what was given in place of files. */
static bool read_given(struct script *script, const char *name)
{
	const struct script_texts *texts = &script->texts;
	const char *wanted = script->file_count ? name : "";
	buf_clear(&script->file);
	for (size_t i = 0; i < texts->given_count; i++)
		if (strcmp(texts->given[i].name, wanted) == 0)
			return buf_append(
			        &script->file, texts->given[i].text.data, texts->given[i].text.size);
	errno = ENOENT;
	return false;
}

static void note(struct script *script, const char *name)
{
	struct bytes text = {script->file.data ? script->file.data : "", script->file.size};
	script->files = mem_realloc(script->files, (script->file_count + 1) * sizeof *script->files);
	struct source_file *file = &script->files[script->file_count++];
	file->name = mem_strdup(name);
	digest_hex(DIGEST_SHA256, &text, 1, file->sha256);
	keep(script, name, &text);
}

const char *script_file(const struct script *script, size_t number, const char **name)
{
	if (number >= script->file_count)
		return NULL;
	*name = script->files[number].name;
	return script->files[number].sha256;
}

void require_read(lua_State *L, const char *name, const char *path, const char *missing)
{
	struct script *script = script_of(L);
	script->file.limit = FILE_MAX;
	if (!(script->texts.given ? read_given(script, name) : read_file(path, &script->file)))
		state_raise(L, "ScriptError", "%s: %s%s", path, strerror(errno), missing);
	if (script->file.full)
		state_raise(L, "ScriptError", "%s: larger than 16 MiB", path);
	if (script->file_count == MODULES_MAX)
		state_raise(L, "ScriptError", "%s: more than %d modules", path, MODULES_MAX);
	note(script, name);
}

void require_digest(struct script *script)
{
	struct buf *text = &script->scratch;
	if (script->file_count == 1) {
		memcpy(script->sha256, script->files[0].sha256, DIGEST_HEX);
		return;
	}
	buf_clear(text);
	for (size_t i = 0; i < script->file_count; i++)
		buf_printf(text, "%s %s\n", script->files[i].sha256, i ? script->files[i].name : "");
	struct bytes bytes = {text->data, text->size};
	digest_hex(DIGEST_SHA256, &bytes, 1, script->sha256);
}

/* "lib.mediawiki": parts of letters, digits, '_' and '-', with single dots between them. */
static bool well_formed(const char *name, size_t size)
{
	if (size == 0 || size > 200 || strlen(name) != size || name[0] == '.' || name[size - 1] == '.' ||
	        strstr(name, ".."))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == size;
}

/* The file of a module, in script->scratch. */
static const char *find(struct script *script, const char *name)
{
	struct buf *path = &script->scratch;
	bool shared = script->library && strncmp(name, "lib.", 4) == 0;
	for (int pass = 0;; pass++) {
		buf_clear(path);
		buf_printf(path, "%s/", pass ? script->library : script->folder);
		size_t start = path->size;
		buf_append_text(path, pass ? name + 4 : name);
		for (char *at = path->data + start; *at; at++)
			*at = *at == '.' ? '/' : *at;
		buf_append_text(path, ".lua");
		if (pass || !shared || script->texts.given || access(path->data, F_OK) == 0)
			return path->data;
	}
}

/* Leaves the module's value on the stack. */
static void load(lua_State *L, const char *name)
{
	struct script *script = script_of(L);
	const char *found = find(script, name);
	lua_pushfstring(L, "@%s", strncmp(found, "./", 2) == 0 ? found + 2 : found);
	const char *chunk = lua_tostring(L, -1);
	lua_pushfstring(L, " (for require \"%s\")", name);
	require_read(L, name, chunk + 1, lua_tostring(L, -1));
	if (luaL_loadbufferx(L, script->file.data ? script->file.data : "", script->file.size, chunk, "t") !=
	        0)
		lua_error(L);
	lua_pushstring(L, name);
	unsigned mark = nest_enter(L);
	lua_call(L, 1, 1);
	nest_leave(L, mark);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_pushboolean(L, true);
	}
}

int require_module(lua_State *L)
{
	size_t size;
	const char *name = luaL_checklstring(L, 1, &size);
	bool loading = script_of(L)->loading;
	lua_settop(L, 1);
	push_modules(L);
	lua_pushvalue(L, 1);
	lua_rawget(L, 2);
	if (lua_islightuserdata(L, 3) && lua_touserdata(L, 3) == &loading_mark)
		return luaL_error(L, "module '%s' requires itself, maybe through others", name);
	if (!lua_isnil(L, 3))
		return 1;
	bool cjson = strcmp(name, "cjson") == 0;
	if (!cjson && !well_formed(name, size))
		return luaL_error(L,
		        "'%s' is no name of a module: names are like \"lib.mediawiki\", below the script's "
		        "folder",
		        name);
	if (!cjson && !loading)
		return luaL_error(L,
		        "module '%s' is not loaded, and hooks read no files: require it at the top of the "
		        "script",
		        name);
	lua_pushvalue(L, 1);
	lua_pushlightuserdata(L, (void *)&loading_mark);
	lua_rawset(L, 2);
	if (cjson)
		cjson_push(L);
	else
		load(L, name);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, -2);
	lua_rawset(L, 2);
	return 1;
}

void require_open(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&modules_key);
	lua_newtable(L);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "millrace");
	lua_getfield(L, LUA_GLOBALSINDEX, "bit");
	lua_setfield(L, -2, "bit");
	lua_rawset(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
}
