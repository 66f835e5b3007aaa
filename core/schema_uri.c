/* References between schemas: RFC 3986 resolution and the fragments of RFC 6901. */
#include "schema_uri.h"
#include "mem.h"

#include <string.h>

/* The five parts (RFC 3986, appendix B); a part that is absent has data NULL. */
struct parts {
	struct bytes scheme, authority, path, query, fragment;
};

static bool is_scheme(const char *text, size_t size)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	if (size == 0 || !strchr(letters, text[0]))
		return false;
	for (size_t i = 1; i < size; i++)
		if (!strchr(letters, text[i]) && !strchr("0123456789+-.", text[i]))
			return false;
	return true;
}

static struct parts split(const char *uri)
{
	struct parts parts = {0};
	size_t scheme = strcspn(uri, ":/?#");
	if (uri[scheme] == ':' && is_scheme(uri, scheme)) {
		parts.scheme = (struct bytes){uri, scheme};
		uri += scheme + 1;
	}
	if (uri[0] == '/' && uri[1] == '/') {
		parts.authority = (struct bytes){uri + 2, strcspn(uri + 2, "/?#")};
		uri += 2 + parts.authority.size;
	}
	parts.path = (struct bytes){uri, strcspn(uri, "?#")};
	uri += parts.path.size;
	if (*uri == '?') {
		parts.query = (struct bytes){uri + 1, strcspn(uri + 1, "#")};
		uri += 1 + parts.query.size;
	}
	if (*uri == '#')
		parts.fragment = (struct bytes){uri + 1, strlen(uri + 1)};
	return parts;
}

/* Cuts the last segment of what stands behind `floor`, its slash included. */
static void drop_segment(struct buf *out, size_t floor)
{
	while (out->size > floor && out->data[out->size - 1] != '/')
		out->size--;
	if (out->size > floor)
		out->size--;
}

/* RFC 3986 §5.2.4, over the bytes of `path`. */
static void append_without_dots(struct buf *out, const char *path, size_t size)
{
	size_t floor = out->size;
	const char *at = path, *end = path + size;
	bool absolute = size && path[0] == '/', first = true;
	while (at < end) {
		bool slash = *at == '/';
		at += slash;
		const char *stop = memchr(at, '/', (size_t)(end - at));
		if (stop == NULL)
			stop = end;
		size_t length = (size_t)(stop - at);
		bool dot = length == 1 && at[0] == '.', dots = length == 2 && at[0] == '.' && at[1] == '.';
		if (dots)
			drop_segment(out, floor);
		if (dot || dots) {
			if (stop == end && (absolute || !first))
				buf_append_byte(out, '/');
		} else {
			if (slash)
				buf_append_byte(out, '/');
			buf_append(out, at, length);
		}
		first = false;
		at = stop;
	}
}

static void append_merged(struct buf *out, const struct parts *base, struct bytes path)
{
	struct buf merged;
	buf_init(&merged, 0);
	size_t keep = base->path.size;
	while (keep && base->path.data[keep - 1] != '/')
		keep--;
	if (base->authority.data && base->path.size == 0)
		buf_append_byte(&merged, '/');
	buf_append(&merged, base->path.data, keep);
	buf_append(&merged, path.data, path.size);
	append_without_dots(out, merged.data, merged.size);
	buf_free(&merged);
}

static void append_part(struct buf *out, const char *before, struct bytes part, const char *after)
{
	if (part.data == NULL)
		return;
	buf_append_text(out, before);
	buf_append(out, part.data, part.size);
	buf_append_text(out, after);
}

char *schema_uri_resolve(const char *base_text, const char *reference_text)
{
	struct parts base = split(base_text), given = split(reference_text);
	bool own_scheme = given.scheme.data, own_place = own_scheme || given.authority.data;
	bool own_path = own_place || given.path.size;
	struct buf out;
	buf_init(&out, 0);
	buf_append_text(&out, "");
	append_part(&out, "", own_scheme ? given.scheme : base.scheme, ":");
	append_part(&out, "//", own_place ? given.authority : base.authority, "");
	if (own_place || (given.path.size && given.path.data[0] == '/'))
		append_without_dots(&out, given.path.data, given.path.size);
	else if (given.path.size)
		append_merged(&out, &base, given.path);
	else
		buf_append(&out, base.path.data, base.path.size);
	append_part(&out, "?", own_path || given.query.data ? given.query : base.query, "");
	append_part(&out, "#", given.fragment, "");
	buf_append(&out, "", 0); /* drop_segment may have left no NUL */
	return buf_steal(&out, NULL);
}

char *schema_uri_cut_fragment(char *uri)
{
	char *hash = strchr(uri, '#');
	if (hash == NULL)
		return NULL;
	*hash = '\0';
	return hash + 1;
}

bool schema_uri_unescape(char *text)
{
	char *to = text;
	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		if (*at != '%') {
			*to++ = (char)*at;
			continue;
		}
		if (!json_hex[at[1]] || !json_hex[at[2]])
			return false;
		*to++ = (char)((json_hex[at[1]] - 1) << 4 | (json_hex[at[2]] - 1));
		at += 2;
	}
	*to = '\0';
	return true;
}

bool schema_pointer_next(const char **pointer, struct buf *name)
{
	const char *at = *pointer;
	if (*at != '/')
		return false;
	for (at++; *at && *at != '/'; at++) {
		char byte = *at;
		if (byte == '~') {
			at++;
			if (*at != '0' && *at != '1')
				return false;
			byte = *at == '0' ? '~' : '/';
		}
		buf_append_byte(name, byte);
	}
	*pointer = at;
	return true;
}

void schema_pointer_append(struct buf *pointer, const char *name, size_t size)
{
	buf_append_byte(pointer, '/');
	for (size_t i = 0; i < size; i++) {
		if (name[i] == '~')
			buf_append_text(pointer, "~0");
		else if (name[i] == '/')
			buf_append_text(pointer, "~1");
		else
			buf_append_byte(pointer, name[i]);
	}
}

void schema_pointer_of(const struct jsontree *tree, uint32_t index, struct buf *pointer)
{
	struct buf room;
	buf_init(&room, 0);
	for (uint32_t at = 0; at < index;) { /* beyond it when the index is that of a key */
		bool object = tree->nodes[at].kind == JSONTREE_OBJECT;
		uint32_t member = at + 1, place = 0;
		while (tree->nodes[member + object].next <= index) {
			member = tree->nodes[member + object].next;
			place++;
		}
		if (object) {
			struct bytes name = jsontree_string(tree, member, &room);
			schema_pointer_append(pointer, name.data, name.size);
		} else {
			buf_printf(pointer, "/%u", place);
		}
		at = member + object;
	}
	buf_free(&room);
}
