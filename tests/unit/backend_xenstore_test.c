/* SPDX-License-Identifier: Apache-2.0 */
/* Which watch events have a backend look at its guests, and what it makes of an xenstored
 * that sends nonsense: the test is the other end of /dev/xen/xenbus. */
#include "tests/unit/unit.h"
#include "backend/xen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

static struct xenstore xenstore;
static int other;

static int setup(void **state)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		return -1;
	xenstore = (struct xenstore){.fd = ends[0]};
	other = ends[1];
	return 0;
}

static int teardown(void **state)
{
	xenstore_close(&xenstore);
	close(other);
	return 0;
}

static void sends(uint32_t type, uint32_t id, const void *bytes, size_t len)
{
	const struct xsd_sockmsg msg = {.type = type, .req_id = id, .len = (uint32_t)len};

	assert_int_equal(write(other, &msg, sizeof(msg)), sizeof(msg));
	assert_int_equal(write(other, bytes, len), len);
}

static void fires(const char *path)
{
	char payload[200] = {0};

	strcpy(payload, path);
	strcpy(payload + strlen(path) + 1, "vtpm");
	sends(XS_WATCH_EVENT, 0, payload, strlen(path) + sizeof("xvtpm"));
}

static bool heeds(const char *path)
{
	fires(path);
	return xenstore_changed(&xenstore) == 1;
}

/* In domain 0 each manager hears of each guest's.  A guest whose driver goes to and fro
 * between two states has its own manager write, and all others look at all guests. */
static void what_backends_write(void **state)
{
	static const char *const names[] = {"state", "error", "feature-protocol-v2"};
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "backend/vtpm/9/0/%s", names[i]);
		assert_false(heeds(path));
	}
	assert_int_equal(xenstore_changed(&xenstore), 0);
	fires("backend/vtpm/9/0/state");
	fires("backend/vtpm/9/0/online");
	assert_int_equal(xenstore_changed(&xenstore), 1);
}

static void what_toolstack_and_guest_write(void **state)
{
	static const char *const paths[] = {
		"backend/vtpm",
		"backend/vtpm/9",
		"backend/vtpm/9/0",
		"backend/vtpm/9/0/uuid",
		"backend/vtpm/9/0/online",
		"backend/vtpm/9/0/frontend",
		"/local/domain/9/device/vtpm/0/state",
		"/local/domain/9/device/vtpm/0",
		"state",
		"",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		assert_true(heeds(paths[i]));
}

static void an_event_before_a_reply(void **state)
{
	char value[8];

	fires("backend/vtpm/9/0/uuid");
	fires("backend/vtpm/9/0/state");
	sends(XS_READ, 77, "old", 3);
	sends(XS_READ, 1, "new", 3);
	assert_int_equal(xenstore_read(&xenstore, "x", value, sizeof(value)), 0);
	assert_string_equal(value, "new");
	assert_int_equal(xenstore_changed(&xenstore), 1);
	assert_int_equal(xenstore_changed(&xenstore), 0);
}

static void nonsense(void **state)
{
	struct xsd_sockmsg msg = {.type = XS_WATCH_EVENT,
				  .len = XENSTORE_PAYLOAD_MAX + 1};

	sends(XS_WATCH_EVENT, 0, "no zero", 7);
	assert_int_equal(xenstore_changed(&xenstore), 1);
	sends(XS_WATCH_EVENT, 0, "", 0);
	assert_int_equal(xenstore_changed(&xenstore), 1);
	assert_int_equal(write(other, &msg, sizeof(msg)), sizeof(msg));
	assert_int_equal(xenstore_changed(&xenstore), -EIO);
}

int main(void)
{
#define XENSTORE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		XENSTORE_TEST(what_backends_write),
		XENSTORE_TEST(what_toolstack_and_guest_write),
		XENSTORE_TEST(an_event_before_a_reply),
		XENSTORE_TEST(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
