/* `millrace version`: what runs, with its libraries. */
#include "command.h"
#include "versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "usage: millrace version [--json]\n"
                           "\n"
                           "Prints the version of millrace and of the libraries it runs on.\n"
                           "\n"
                           "options:\n"
                           "      --json              one JSON object\n"
                           "  -h, --help              this text\n";

int command_version(int argc, char **argv)
{
	static const struct option long_options[] = {
	        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	bool json = false;
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case 'j': json = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind < argc)
		return command_usage("version", "unexpected argument '%s'", argv[optind]);
	struct versions v;
	versions_read(&v);
	printf(json ? "{\"millrace\":\"%s\",\"revision\":\"%s\",\"luajit\":\"%s\",\"librdkafka\":\"%s\","
	              "\"libcurl\":\"%s\",\"libevent\":\"%s\",\"libyaml\":\"%s\"}\n"
	            : "millrace %s (%s)\n%s, librdkafka %s, libcurl %s, libevent %s, libyaml %s\n",
	        v.millrace, v.revision, v.luajit, v.librdkafka, v.libcurl, v.libevent, v.libyaml);
	return EXIT_SUCCESS;
}
