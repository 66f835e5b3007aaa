/* What a script can name: the module `millrace`, the globals of the sandbox, the members of what hooks are
 * given.
 *
 * For messages about names that are not there, and for the tests that hold these lists, the types and what
 * the engine registers against each other (test_script_api.c). */
#ifndef MILLRACE_SCRIPT_API_H
#define MILLRACE_SCRIPT_API_H

#include <stdbool.h>
#include <stddef.h>

/* One function or value of the module. */
struct script_function {
	const char *name;       /* "drop", "json.decode" */
	const char *parameters; /* "reason, options?": `?` may be left out, `...` any number; NULL = a value,
	                           not a function */
};
extern const struct script_function script_functions[]; /* by name */
extern const size_t script_function_count;

/* A name of Lua that scripts do not have, and what there is instead. */
struct script_absent {
	const char *name; /* "io", "os.execute" */
	const char *instead;
};
extern const struct script_absent script_absents[];
extern const size_t script_absent_count;

/* The words after `name.`, ended by NULL: of a global library, of millrace and its groups, of a response, of
 * meta. NULL when nothing is known of `name`. "" has the globals. */
const char *const *script_members(const char *name);
/* What to say of a name that scripts do not have; NULL when it is none of those. */
const char *script_instead(const char *name);
/* The member of `name` that is nearest to `word`; NULL when none is near. */
const char *script_nearest(const char *name, const char *word);

#endif
