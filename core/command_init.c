/* `millrace init`: a new project from the templates inside the binary. */
#include "command.h"
#include "buf.h"
#include "embedded.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace init DIR [--name NAME]\n"
        "\n"
        "Makes a project in DIR: a script with tests and samples, a configuration, and settings\n"
        "for editor and luacheck. Nothing that is there is overwritten.\n"
        "\n"
        "examples:\n"
        "  millrace init planets && cd planets\n"
        "  millrace init . --name my-job\n"
        "\n"
        "options:\n"
        "      --name NAME         of the job [the folder's name]\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 done, 1 a file is there already or cannot be written, 2 usage.\n"
        "See also: millrace enrich --help, millrace check --help, millrace types --help\n";

enum { NAME_MAX_LENGTH = 60 };

/* Names below DIR, and of what is in the binary. */
static const struct {
	const char *path, *embedded;
} files[] = {
        {"README.md", "template/README.md"},
        {"millrace.yaml", "template/millrace.yaml"},
        {"scripts/enrich.lua", "template/scripts/enrich.lua"},
        {"scripts/enrich_test.yaml", "template/scripts/enrich_test.yaml"},
        {"samples/events.jsonl", "template/samples/events.jsonl"},
        {"samples/Earth.json", "template/samples/Earth.json"},
        {"samples/Moon.json", "template/samples/Moon.json"},
        {"samples/Nowhere.json", "template/samples/Nowhere.json"},
        {".luarc.json", "template/luarc.json"},
        {".luacheckrc", "template/luacheckrc"},
        {".millrace/library/millrace.lua", "types/millrace.lua"},
        {".gitignore", "template/gitignore"},
};
enum { FILES = sizeof files / sizeof *files };

struct project {
	const char *folder;
	char *name;
	char *paths[FILES]; /* those that were written */
	size_t written;
};

/* With all folders above it; false and errno. */
static bool make_folder(const char *path)
{
	char *part = mem_strdup(path);
	bool good = true;
	for (char *at = part + 1; good && *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		good = mkdir(part, 0777) == 0 || errno == EEXIST;
		*at = '/';
	}
	good = good && (mkdir(part, 0777) == 0 || errno == EEXIST);
	mem_free(part);
	return good;
}

static bool make_folder_of(const char *file)
{
	char *folder = mem_strdup(file), *slash = strrchr(folder, '/');
	bool good = true;
	if (slash && slash != folder) {
		*slash = '\0';
		good = make_folder(folder);
	}
	mem_free(folder);
	return good;
}

/* What a name may be in a configuration; NULL when nothing of it is left. */
static char *name_from(const char *text)
{
	char *name = mem_strdup(text);
	size_t size = 0;
	for (const char *at = text; *at && size < NAME_MAX_LENGTH; at++) {
		char c = *at >= 'A' && *at <= 'Z' ? (char)(*at + 32) : *at;
		bool good = strchr("abcdefghijklmnopqrstuvwxyz0123456789_", c) != NULL;
		if (good || (size && name[size - 1] != '-'))
			name[size++] = good ? c : '-';
	}
	while (size && name[size - 1] == '-')
		size--;
	name[size] = '\0';
	if (size)
		return name;
	mem_free(name);
	return NULL;
}

static char *name_of_folder(const char *folder)
{
	char whole[PATH_MAX];
	const char *slash = realpath(folder, whole) ? strrchr(whole, '/') : NULL;
	char *name = slash ? name_from(slash + 1) : NULL;
	return name ? name : mem_strdup("job");
}

/* The template's text with the job's name in it. */
static void fill(const struct embedded_file *file, const char *name, struct buf *out)
{
	static const char mark[] = "@NAME@";
	const char *at = (const char *)file->data, *end = at + file->size;
	for (const char *found; (found = memmem(at, (size_t)(end - at), mark, strlen(mark))) != NULL;) {
		buf_append(out, at, (size_t)(found - at));
		buf_append_text(out, name);
		at = found + strlen(mark);
	}
	buf_append(out, at, (size_t)(end - at));
}

static bool write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t wrote = write(fd, data, size);
		if (wrote < 0 && errno != EINTR)
			return false;
		if (wrote > 0) {
			data += wrote;
			size -= (size_t)wrote;
		}
	}
	return true;
}

/* Never over a file that is there, also when it came this moment. */
static bool write_file(struct project *project, const char *path, const struct embedded_file *file)
{
	struct buf text;
	int fd = make_folder_of(path) ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
	if (fd < 0)
		return false;
	project->paths[project->written++] = mem_strdup(path);
	buf_init(&text, 0);
	fill(file, project->name, &text);
	bool good = write_all(fd, text.data, text.size);
	buf_free(&text);
	return close(fd) == 0 && good;
}

static char *path_of(const struct project *project, size_t index)
{
	return mem_printf("%s/%s", project->folder, files[index].path);
}

/* Names all files that are in the way. */
static bool is_free(const struct project *project)
{
	struct stat found;
	size_t there = 0;
	for (size_t i = 0; i < FILES; i++) {
		char *path = path_of(project, i);
		if (lstat(path, &found) == 0)
			fprintf(stderr, "%s  %s\n",
			        there++ ? "" : "millrace init: nothing was written, for there are already\n",
			        path);
		mem_free(path);
	}
	if (there)
		fputs("Move them away, or choose another folder.\n", stderr);
	return there == 0;
}

/* All of it, or nothing. */
static bool write_project(struct project *project)
{
	for (size_t i = 0; i < FILES; i++) {
		const struct embedded_file *file = embedded_find(files[i].embedded);
		char *path = path_of(project, i);
		bool good = file && write_file(project, path, file);
		if (!good)
			fprintf(stderr, "millrace init: %s cannot be written: %s\n", path, strerror(errno));
		mem_free(path);
		if (good)
			continue;
		for (size_t k = 0; k < project->written; k++)
			unlink(project->paths[k]);
		return false;
	}
	return true;
}

static void tell_next(const struct project *project)
{
	for (size_t i = 0; i < FILES; i++)
		printf("  %s/%s\n", project->folder, files[i].path);
	printf("\nNext, in five minutes:\n");
	bool plain = strpbrk(project->folder, " '\"$&;()<>|*?`\\!#") == NULL;
	if (strcmp(project->folder, ".") != 0 && strchr(project->folder, '\'') == NULL)
		printf(plain ? "  cd %s\n" : "  cd '%s'\n", project->folder);
	fputs("  millrace enrich scripts/enrich.lua --replay samples    run the script over the samples\n"
	      "  millrace test scripts                                  does it do what it must?\n"
	      "  millrace check millrace.yaml                           are script and configuration good?\n"
	      "README.md says how to go on from there.\n",
	        stdout);
}

static int make_project(struct project *project)
{
	if (!make_folder(project->folder)) {
		fprintf(stderr, "millrace init: the folder %s cannot be made: %s\n", project->folder,
		        strerror(errno));
		return EXIT_FAILURE;
	}
	if (project->name == NULL)
		project->name = name_of_folder(project->folder);
	if (!is_free(project) || !write_project(project))
		return EXIT_FAILURE;
	printf("made %s:\n", project->name);
	tell_next(project);
	return EXIT_SUCCESS;
}

int command_init(int argc, char **argv)
{
	static const struct option long_options[] = {
	        {"name", required_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *name = NULL;
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case 'n': name = optarg; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind >= argc || *argv[optind] == '\0')
		return command_usage("init", "no folder: give its path, '.' for this one");
	if (argc - optind > 1)
		return command_usage("init", "unexpected argument '%s'", argv[optind + 1]);
	struct project project = {.folder = argv[optind], .name = name ? name_from(name) : NULL};
	if (name && (project.name == NULL || strcmp(project.name, name) != 0)) {
		int code = command_usage(
		        "init", "--name: expected lower-case letters, digits, '_' and '-', found '%s'", name);
		mem_free(project.name);
		return code;
	}
	int code = make_project(&project);
	for (size_t i = 0; i < project.written; i++)
		mem_free(project.paths[i]);
	mem_free(project.name);
	return code;
}
