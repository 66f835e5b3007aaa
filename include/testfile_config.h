/* The configuration that a script's tests run with: what their file says of it, or the configuration that it
 * names, and names of servers that nobody asks where neither says any. */
#ifndef MILLRACE_TESTFILE_CONFIG_H
#define MILLRACE_TESTFILE_CONFIG_H

#include "yaml_tree.h"

struct testfile_config {
	const struct yaml_node *root; /* the test file's map */
	const struct yaml_node *base; /* that of a configuration; NULL = none */
	const char *folder;           /* the test file's */
	const struct yaml_listener *listener;
};

/* YAML for config_parse, all but `script`; the caller frees. Values of the test file are taken as they stand,
 * those of `base` have their ${VARIABLES} replaced as in any configuration. */
char *testfile_config(const struct testfile_config *given);
/* The member of a map, NULL where there is none (or no map). */
const struct yaml_node *testfile_member(const struct yaml_node *map, const char *name);

#endif
