/* Finds schemas by the paths that events give in `$schema` (/mediawiki/page/change/1.2.0), over several
 * repositories of the shape of Wikimedia's: BASE/TITLE/VERSION, with the ending .yaml, .json or none.
 *
 * https://wikitech.wikimedia.org/wiki/Event_Platform/Schemas: a version, once published, does not change.
 * Blocks as fetch does: only for a helper's thread, or before the loop runs. */
#ifndef MILLRACE_SCHEMAREPO_H
#define MILLRACE_SCHEMAREPO_H

#include "buf.h"
#include "err.h"
#include "fetch.h"

#include <stdbool.h>
#include <stddef.h>

struct schemarepo {
	const char *const *uris; /* tried in this order; with or without a slash at the end */
	size_t uri_count;
	struct fetch_config fetch;
	/* In place of fetch(), for tests; NULL = fetch. */
	enum fetch_outcome (*get)(
	        const struct fetch_config *config, const char *url, struct buf *out, struct err *err);
};

enum { SCHEMAREPO_PATH_MAX = 256 };

/* Whether it may be asked for at all: /TITLE/VERSION of letters, digits, '.', '_' and '-', with no name of
 * dots alone. Events come from anybody. */
bool schemarepo_path_valid(const char *path);
/* How many bytes of the path are its title, with the slash it begins with: all up to the last name. */
size_t schemarepo_title_size(const char *path);
/* Numbers between dots, one by one, whatever follows them: <0, 0, >0. What is no such version is the least.
 */
int schemarepo_compare_versions(const char *a, const char *b);

/* The text of the first repository that has it. FETCH_ABSENT: all of them were asked, and none has it.
 * FETCH_AWAY: none of those that answered has it, and one did not answer, a folder that is not there
 * included. */
enum fetch_outcome schemarepo_find(
        const struct schemarepo *repo, const char *path, struct buf *text, struct err *err);
/* Appends the path of the newest version of the title ("/mediawiki/page/change") that a repository has: of a
 * folder the highest version in it, over HTTP what its `latest` says of itself in `$id`. */
enum fetch_outcome schemarepo_newest(
        const struct schemarepo *repo, const char *title, struct buf *path, struct err *err);
/* Whether the repository at that URI answers at all. */
bool schemarepo_there(const struct schemarepo *repo, size_t index, struct err *err);

#endif
