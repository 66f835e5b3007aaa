/* `millrace top`: a running engine at a glance, drawn anew every second. */
#include "adminclient.h"
#include "clock.h"
#include "command.h"
#include "command_top.h"
#include "text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace top [OPTION...]\n"
        "\n"
        "Shows a running engine: what it takes, asks and sends, where records stand, upstreams,\n"
        "memory, failures, lag of each partition. All of it is what /metrics says.\n"
        "\n"
        "examples:\n"
        "  millrace top\n"
        "  millrace top --once | head -4        one picture, for a script or a ticket\n"
        "  millrace top --url http://10.0.0.7:9464\n"
        "\n"
        "options:\n"
        "      --url URL           the engine's admin address [http://127.0.0.1:9464]\n"
        "      --interval TIME     between two pictures [1s]\n"
        "      --once              one picture without colours, of one interval, and done; so is\n"
        "                          what goes to a file or a pipe\n"
        "      --timeout TIME      how long an answer may take [5s]\n"
        "  -h, --help              this text\n"
        "\n"
        "keys: q quit, p pause, s sort the partitions by lag, freshness or name\n"
        "exit codes: 0 done, 1 it answers something else, 2 usage, 69 nobody answers.\n"
        "See also: millrace tap --help, millrace metrics --help\n";

enum { TIMEOUT_MS = 5000, INTERVAL_MS = 1000, INTERVAL_LEAST_MS = 100, WIDTH = 100, LOOKS = 3 };

struct top {
	struct adminclient client;
	int64_t interval_ms;
	bool once;
	enum top_sort sort;
	bool paused, quit;
	struct top_look looks[LOOKS];
	struct top_look *now, *before, *spare;
	struct err trouble;
	unsigned looked; /* how often; rates need two */
};

/* ---- asking ---- */

static bool ask(const struct top *top, const char *path, struct buf *body, int *code, struct err *err)
{
	int status = adminclient_ask(&top->client, "GET", path, body, err);
	*code = EXIT_UNREACHABLE;
	if (status == 0 || status == 200)
		return status == 200;
	*code = EXIT_FAILURE;
	return err_set(err, "%s%s answers %d", top->client.url, path, status);
}

/* Looks once; what was the present look is the former one then. Else trouble, and *code why. */
static bool look(struct top *top, int *code)
{
	struct buf metrics, status;
	bool good;
	buf_init(&metrics, ADMINCLIENT_BODY_MAX);
	buf_init(&status, ADMINCLIENT_BODY_MAX);
	good = ask(top, "/metrics", &metrics, code, &top->trouble) &&
	       ask(top, "/api/v1/status", &status, code, &top->trouble);
	if (good && !top_look_read(top->spare, &metrics, &status)) {
		*code = EXIT_FAILURE;
		good = err_set(
		        &top->trouble, "%s does not answer as a millrace engine does", top->client.url);
	}
	buf_free(&metrics);
	buf_free(&status);
	if (!good)
		return false;
	struct top_look *oldest = top->before;
	top->spare->at = clock_now();
	top->spare->wall = clock_wall();
	top->before = top->now;
	top->now = top->spare;
	top->spare = oldest;
	top->looked++;
	top->trouble.text[0] = '\0';
	return true;
}

static void draw(const struct top *top, bool colour, unsigned width, unsigned height, struct buf *out)
{
	bool two = top->looked > 1 && top_same_process(top->now, top->before);
	struct top_frame frame = {.now = top->now,
	        .before = two ? top->before : top->now,
	        .url = top->client.url,
	        .trouble = top->trouble.text[0] ? top->trouble.text : NULL,
	        .sort = top->sort,
	        .paused = top->paused,
	        .colour = colour,
	        .width = width,
	        .height = height};
	top_draw(&frame, out);
}

/* ---- one picture ---- */

static void rest(int64_t ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	while (nanosleep(&time, &time) != 0 && errno == EINTR)
		continue;
}

static int complain(const struct top *top, int code)
{
	fprintf(stderr, "millrace top: %s\n%s", top->trouble.text,
	        code == EXIT_UNREACHABLE ? "Is the engine running there? Its address is admin.listen.\n"
	                                 : "");
	return code;
}

static int show_once(struct top *top)
{
	struct buf out;
	int code = EXIT_SUCCESS;
	buf_init(&out, 0);
	rest(top->interval_ms);
	if (look(top, &code)) {
		draw(top, false, WIDTH, 0, &out);
		code = fwrite(out.data, 1, out.size, stdout) == out.size && fflush(stdout) == 0
		               ? EXIT_SUCCESS
		               : EXIT_FAILURE;
	} else {
		complain(top, code);
	}
	buf_free(&out);
	return code;
}

/* ---- the terminal ---- */

static struct termios before;
static bool keys; /* standard input is a terminal, and its settings are in `before` */
static volatile sig_atomic_t signalled, resized;

static void say(const char *text)
{
	ssize_t written = write(STDOUT_FILENO, text, strlen(text));
	(void)written; /* a terminal that is gone needs nothing any more */
}

static void enter_screen(void)
{
	struct termios raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	say("\033[?1049h\033[?25l");
}

/* Safe in a signal handler. */
static void leave_screen(void)
{
	say("\033[0m\033[?25h\033[?1049l");
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void on_end(int number)
{
	signalled = number;
}

static void on_resize(int number)
{
	(void)number;
	resized = 1;
}

/* Ctrl-Z: the shell gets its own screen, and `fg` ours. */
static void on_stop(int number)
{
	int error = errno;
	(void)number;
	leave_screen();
	raise(SIGSTOP);
	enter_screen();
	resized = 1;
	errno = error;
}

static void listen_to_signals(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_handler = on_end};
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		sigaction(ends[i], &action, NULL);
	action.sa_handler = on_resize;
	sigaction(SIGWINCH, &action, NULL);
	action.sa_handler = on_stop;
	action.sa_flags = SA_RESTART;
	sigaction(SIGTSTP, &action, NULL);
}

static void measure(unsigned *width, unsigned *height)
{
	struct winsize size = {0};
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;
	*width = known ? size.ws_col : 80;
	*height = known ? size.ws_row : 24;
}

/* Line by line over the last one: a screen that is cleared first flickers. */
static void show(const struct top *top)
{
	struct buf frame, out;
	unsigned width, height;
	measure(&width, &height);
	buf_init(&frame, 0);
	buf_init(&out, 0);
	draw(top, command_colour(STDOUT_FILENO), width, height, &frame);
	buf_append_text(&out, "\033[H");
	for (const char *at = frame.data, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
		buf_append(&out, at, (size_t)(end - at));
		buf_append_text(&out, end[1] ? "\033[K\r\n" : "\033[K");
	}
	buf_append_text(&out, "\033[J");
	for (size_t sent = 0; sent < out.size;) {
		ssize_t n = write(STDOUT_FILENO, out.data + sent, out.size - sent);
		if (n < 0 && errno != EINTR)
			break;
		sent += n > 0 ? (size_t)n : 0;
	}
	buf_free(&frame);
	buf_free(&out);
}

static void press(struct top *top, char key)
{
	if (key == 'q' || key == 'Q')
		top->quit = true;
	else if (key == 'p' || key == 'P' || key == ' ')
		top->paused = !top->paused;
	else if (key == 's' || key == 'S')
		top->sort = (top->sort + 1) % TOP_SORTS;
}

/* Until the next look is due; draws again after each key. */
static void wait_for_keys(struct top *top, int64_t due)
{
	while (!top->quit && !signalled) {
		int64_t left = due - clock_now();
		struct pollfd input = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
		char pressed[32];
		if (left <= 0 && !top->paused)
			return;
		int got = poll(&input, 1, top->paused ? 1000 : (int)left);
		ssize_t n = got > 0 ? read(STDIN_FILENO, pressed, sizeof pressed) : 0;
		if (got > 0 && n <= 0)
			keys = false; /* the terminal is gone */
		for (ssize_t i = 0; i < n; i++)
			press(top, pressed[i]);
		if (n > 0 || resized)
			show(top);
		resized = 0;
	}
}

static void watch(struct top *top)
{
	keys = tcgetattr(STDIN_FILENO, &before) == 0;
	listen_to_signals();
	enter_screen();
	while (!top->quit && !signalled) {
		int code;
		int64_t due = clock_now() + top->interval_ms;
		if (!top->paused)
			look(top, &code); /* trouble stands in the picture */
		show(top);
		wait_for_keys(top, due);
	}
	leave_screen();
}

static int run(struct top *top)
{
	int code = EXIT_SUCCESS;
	for (int i = 0; i < LOOKS; i++)
		top_look_init(&top->looks[i]);
	top->before = &top->looks[0];
	top->now = &top->looks[1];
	top->spare = &top->looks[2];
	if (!look(top, &code)) {
		complain(top, code);
	} else if (top->once) {
		code = show_once(top);
	} else {
		watch(top);
		code = signalled && signalled != SIGINT ? 128 + signalled : EXIT_SUCCESS;
	}
	for (int i = 0; i < LOOKS; i++)
		top_look_free(&top->looks[i]);
	return code;
}

int command_top(int argc, char **argv)
{
	enum { URL = 256, INTERVAL, ONCE, TIMEOUT };
	static const struct option long_options[] = {
	        {"url", required_argument, NULL, URL},
	        {"interval", required_argument, NULL, INTERVAL},
	        {"once", no_argument, NULL, ONCE},
	        {"timeout", required_argument, NULL, TIMEOUT},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	struct top top = {.client = {.url = "http://127.0.0.1:9464", .timeout_ms = TIMEOUT_MS},
	        .interval_ms = INTERVAL_MS,
	        .once = !isatty(STDOUT_FILENO)};
	struct err err = {""};
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case URL: top.client.url = optarg; break;
		case INTERVAL:
			if (!text_duration(optarg, &top.interval_ms) || top.interval_ms < INTERVAL_LEAST_MS)
				return command_usage("top",
				        "--interval: expected a time from 100ms, such as 2s, found '%s'",
				        optarg);
			break;
		case ONCE: top.once = true; break;
		case TIMEOUT:
			if (!text_duration(optarg, &top.client.timeout_ms) || top.client.timeout_ms <= 0)
				return command_usage(
				        "top", "--timeout: expected a time such as 5s, found '%s'", optarg);
			break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind < argc)
		return command_usage("top", "unexpected argument '%s'", argv[optind]);
	if (!adminclient_url_good(top.client.url, &err))
		return command_usage("top", "--url: %s", err.text);
	return run(&top);
}
