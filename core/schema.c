/* A compiled schema as an object: its memory, what it says of itself, and what was found to be wrong. */
#include "mem.h"
#include "schema_private.h"

#include <string.h>

enum { BLOCK_BYTES = 16 * 1024 };

struct schema_block {
	struct schema_block *next;
	size_t used, size;
	_Alignas(16) char bytes[];
};

void *schema_alloc(struct schema *schema, size_t size)
{
	struct schema_block *block = schema->blocks;
	size = (size + 15) & ~(size_t)15;
	if (block == NULL || size > block->size - block->used) {
		size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
		block = mem_zalloc(1, sizeof *block + room);
		block->size = room;
		block->next = schema->blocks;
		schema->blocks = block;
	}
	void *place = block->bytes + block->used;
	block->used += size;
	return place;
}

char *schema_copy(struct schema *schema, const char *text, size_t size)
{
	char *copy = schema_alloc(schema, size + 1);
	if (size)
		memcpy(copy, text, size);
	return copy;
}

void schema_free(struct schema *schema)
{
	if (schema == NULL)
		return;
	for (size_t i = 0; i < schema->document_count; i++)
		schema_document_free(schema->documents[i]);
	for (size_t i = 0; i < schema->regex_count; i++)
		schema_regex_free(schema->regexes[i]);
	for (struct schema_block *block = schema->blocks, *next; block; block = next) {
		next = block->next;
		mem_free(block);
	}
	mem_free(schema->documents);
	mem_free(schema->regexes);
	mem_free(schema->uri);
	mem_free(schema);
}

const char *schema_uri(const struct schema *schema)
{
	return schema->uri;
}

const char *schema_title(const struct schema *schema)
{
	return schema->title;
}

void schema_errors_init(struct schema_errors *errors, size_t limit)
{
	*errors = (struct schema_errors){
	        .limit = limit == 0 || limit > SCHEMA_MAX_ERRORS ? SCHEMA_MAX_ERRORS : limit};
}

void schema_errors_free(struct schema_errors *errors)
{
	buf_free(&errors->text);
	schema_errors_init(errors, errors->limit);
}

void schema_error_print(const struct schema_error *error, struct buf *out)
{
	buf_append_text(out, *error->pointer ? error->pointer : "the event");
	buf_printf(out, ": expected %s, found %s (%s", error->expected, error->found, error->keyword);
	if (*error->schema)
		buf_printf(out, ", %s", error->schema);
	buf_append_byte(out, ')');
}
