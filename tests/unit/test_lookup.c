/* A resolver that hangs holds nobody up. */
#include "clock.h"
#include "lookup.h"
#include "reach.h"
#include "unit.h"

#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>

static sem_t hanging, returned;

/* In the place of the system's. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **addresses)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (strcmp(host, "hangs.test") != 0 || (hints->ai_flags & AI_NUMERICHOST))
		return real(host, port, hints, addresses);
	sem_wait(&hanging);
	int failure = real(
	        "127.0.0.1", port, hints, addresses); /* something to be freed by nobody but the thread */
	sem_post(&returned);
	return failure;
}

static void addresses_and_names_are_found(void **state)
{
	(void)state;
	struct err err;
	static const char *const hosts[] = {"127.0.0.1", "::1", "localhost"};
	for (size_t i = 0; i < 3; i++) {
		struct addrinfo *addresses = lookup_host(hosts[i], "80", 20000, &err);
		if (addresses == NULL)
			fail_msg("%s: %s", hosts[i], err.text);
		assert_int_equal(addresses->ai_socktype, SOCK_STREAM);
		freeaddrinfo(addresses);
	}
	assert_null(lookup_host("no such name", "80", 20000, &err));
	assert_true(strlen(err.text) > 0);
}

static void a_resolver_that_hangs_is_left_in_time(void **state)
{
	(void)state;
	struct err err;
	assert_null(lookup_host("hangs.test", "80", 50, &err));
	assert_string_equal(err.text, "looking the name up took longer than 50 ms");
	assert_false(reach_host("hangs.test", "80", 50, &err));
	assert_string_equal(err.text, "hangs.test port 80: looking the name up took longer than 50 ms");
	for (int i = 0; i < 2; i++)
		sem_post(&hanging);
	for (int i = 0; i < 2; i++)
		sem_wait(&returned);
}

int main(void)
{
	sem_init(&hanging, 0, 0);
	sem_init(&returned, 0, 0);
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(addresses_and_names_are_found),
	        cmocka_unit_test(a_resolver_that_hangs_is_left_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
