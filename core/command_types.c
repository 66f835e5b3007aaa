/* `millrace types`: what scripts may call, as types for the Lua language server. */
#include "command.h"
#include "embedded.h"

#include <stdio.h>
#include <stdlib.h>

static const char help[] =
        "usage: millrace types\n"
        "\n"
        "Prints every function and field that scripts have, with its type and meaning, as a\n"
        "definition file for the Lua language server.\n"
        "\n"
        "examples:\n"
        "  millrace types > .millrace/library/millrace.lua    with, in .luarc.json,\n"
        "                                      \"workspace.library\": [\".millrace/library\"]\n"
        "  millrace types | less\n"
        "\n"
        "options:\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 done, 1 the output cannot be written, 2 usage.\n"
        "See also: millrace init --help\n";

int command_types(int argc, char **argv)
{
	static const struct option long_options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		if (option != 'h')
			return command_bad_option(argv, option, long_options);
		fputs(help, stdout);
		return EXIT_SUCCESS;
	}
	if (optind < argc)
		return command_usage("types", "unexpected argument '%s'", argv[optind]);
	const struct embedded_file *types = embedded_find("types/millrace.lua");
	bool good =
	        types && fwrite(types->data, 1, types->size, stdout) == types->size && fflush(stdout) == 0;
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
