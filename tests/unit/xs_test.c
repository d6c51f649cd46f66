/* SPDX-License-Identifier: Apache-2.0 */
/* How often libxenvchan's server asks xenstored: the test plays that server and xenstored. */
#include "tests/unit/unit.h"
#include "backend/xen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

static struct {
	char said[256]; /* what xenstored was asked, a line each */
	int rc, opened;
} fake;

int xenstore_open(struct xenstore *s)
{
	if (!fake.rc)
		fake.opened++;
	return fake.rc;
}

void xenstore_close(struct xenstore *s)
{
	fake.opened--;
}

static int note(const char *what, const char *path, const char *value)
{
	size_t n = strlen(fake.said);

	snprintf(fake.said + n, sizeof(fake.said) - n, "%s %s%s%s\n", what, path,
		 *value ? "=" : "", value);
	return fake.rc;
}

int xenstore_write(struct xenstore *s, const char *path, const char *value)
{
	return note("write", path, value);
}

int xenstore_remove(struct xenstore *s, const char *path)
{
	return note("remove", path, "");
}

static int setup(void **state)
{
	memset(&fake, 0, sizeof(fake));
	return 0;
}

/* As init_xs_srv() of libxenvchan 4.17. */
static void a_server_asks_twice(void **state)
{
	struct xs_permissions perms[2] = {{.perms = XS_PERM_NONE},
					  {.perms = XS_PERM_READ}};
	struct xs_handle *h = xs_open(0);
	xs_transaction_t t;
	char *domid;

	assert_non_null(h);
	domid = xs_read(h, XBT_NULL, "domid", NULL);
	assert_non_null(domid);
	free(domid);
	t = xs_transaction_start(h);
	assert_int_not_equal(t, XBT_NULL);
	assert_true(xs_write(h, t, "data/xen-vtpm/ring-ref", "8", 1));
	assert_true(xs_set_permissions(h, t, "data/xen-vtpm/ring-ref", perms, 2));
	assert_true(xs_write(h, t, "data/xen-vtpm/event-channel", "31?", 2));
	assert_true(xs_set_permissions(h, t, "data/xen-vtpm/event-channel", perms, 2));
	assert_true(xs_transaction_end(h, t, false));
	xs_close(h);
	assert_string_equal(fake.said, "write data/xen-vtpm/ring-ref=8\n"
				       "write data/xen-vtpm/event-channel=31\n");
	assert_int_equal(fake.opened, 0);
}

static void its_end_removes_the_nodes(void **state)
{
	struct xs_handle *h = xs_open(0);

	assert_true(xs_rm(h, XBT_NULL, "data/xen-vtpm"));
	xs_close(h);
	assert_string_equal(fake.said, "remove data/xen-vtpm\n");
}

static void what_xenstored_refuses_is_told(void **state)
{
	struct xs_handle *h = xs_open(0);

	fake.rc = -EACCES;
	assert_false(xs_write(h, XBT_NULL, "data/xen-vtpm/ring-ref", "8", 1));
	assert_false(xs_rm(h, XBT_NULL, "data/xen-vtpm"));
	xs_close(h);
	assert_null(xs_open(0));
}

static void a_value_that_is_too_long_is_not_sent(void **state)
{
	struct xs_handle *h = xs_open(0);
	char value[BACKEND_VALUE_MAX];

	memset(value, 'x', sizeof(value));
	assert_false(xs_write(h, XBT_NULL, "path", value, sizeof(value)));
	assert_string_equal(fake.said, "");
	assert_true(xs_write(h, XBT_NULL, "path", value, sizeof(value) - 1));
	xs_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_server_asks_twice, setup),
		cmocka_unit_test_setup(its_end_removes_the_nodes, setup),
		cmocka_unit_test_setup(what_xenstored_refuses_is_told, setup),
		cmocka_unit_test_setup(a_value_that_is_too_long_is_not_sent, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
