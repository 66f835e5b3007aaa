/* What the files of the schema compiler share: finding what a reference means, reading the keywords. */
#ifndef MILLRACE_SCHEMA_COMPILER_H
#define MILLRACE_SCHEMA_COMPILER_H

#include "schema_private.h"

/* A schema in a document. */
struct schema_spot {
	struct schema_document *document;
	uint32_t index;
};

/* What a URI stands for, by an $id. */
struct schema_identifier {
	char *uri; /* "#name" at its end for a name within a document */
	uint64_t hash;
	struct schema_spot spot;
	bool ambiguous; /* claimed by several */
};

struct schema_work {
	struct schema_node *node;
	struct schema_spot spot;
};

struct schema_compiler {
	struct schema *schema;
	const struct schema_source *source;
	struct schema_settings settings;
	struct schema_identifier *identifiers;
	size_t identifier_count;
	struct schema_work *queue; /* nodes; those from `read` on have not been read yet */
	size_t queued, read;
	struct err *err;
};

/* Writes "URI#/pointer: ..." and answers false. */
__attribute__((format(printf, 3, 4))) bool schema_complain(
        struct schema_compiler *c, struct schema_spot spot, const char *format, ...);
/* "a list", "the text \"abc\"": what stands there instead of what was expected. The text is the schema's. */
const char *schema_describe(struct schema_compiler *c, struct schema_spot spot);

/* schema_resolve.c: the spot that `reference` means, seen from `from` (NULL: the document is asked for by its
 * URI); loads documents as needed. False: c->err is set. */
bool schema_resolve(struct schema_compiler *c, const struct schema_spot *from, const char *reference,
        struct schema_spot *target);
/* schema_compile.c: the node of that schema, to be read later. NULL: c->err is set. */
const struct schema_node *schema_node_at(struct schema_compiler *c, struct schema_spot spot);
/* schema_keywords.c: what the schema at that spot says. False: c->err is set. */
bool schema_read_keywords(struct schema_compiler *c, struct schema_node *node, struct schema_spot spot);

#endif
