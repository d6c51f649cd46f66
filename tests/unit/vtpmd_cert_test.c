/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates in a vTPM's folder: what has a place, all of it or nothing, and what the
 * manager is told. */
#include "tests/unit/unit.h"
#include "lib/channel.h"
#include "lib/text.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char root[64];
static struct store store, other;
static int events, audits;

/* What cert_install() calls. */
int vtpm_audit(const struct vtpm *v, const char *event, const char *detail)
{
	assert_string_equal(event, "certify");
	assert_string_equal(detail, "01c00002");
	audits++;
	return 0;
}

void log_about(int level, const struct log_about *about, const char *format, ...)
{
}

bool peer_is_greeted(const struct peer *p)
{
	return p;
}

void peer_event(struct peer *p, uint16_t type)
{
	assert_int_equal(type, CHANNEL_EVENT_IDENTITY);
	events++;
}

static int setup(void **unused)
{
	static const uint8_t one[16] = "vtpm number one", two[16] = "vtpm number two";

	events = audits = 0;
	strcpy(root, "/tmp/vtpmd-cert-XXXXXX");
	return !mkdtemp(root) || store_open(&store, root, one, true) ||
	       store_open(&other, root, two, true);
}

static int teardown(void **unused)
{
	char command[128];

	store_close(&store);
	store_close(&other);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

/* A DER of len bytes, filled with one of them. */
static json_t *der(size_t len, uint8_t fill)
{
	static char hex[8192];
	uint8_t bytes[4096];
	struct cursor w = cursor_writer(bytes, sizeof(bytes));

	memset(bytes, fill, sizeof(bytes));
	cursor_put_u16(&w, 0x3082);
	cursor_put_u16(&w, (uint16_t)(len - 4));
	hex_encode(bytes, len, hex);
	return json_string(hex);
}

static int take(const char *index, json_t *value)
{
	json_t *certs = json_pack("{s:o}", index, value);
	int rc = cert_take(&store, certs);

	json_decref(certs);
	return rc;
}

static void what_is_taken_is_told(void **unused)
{
	uint8_t out[8192];
	struct cursor w = cursor_writer(out, sizeof(out)), r;
	struct channel_tlv t;

	assert_int_equal(take("01c0000a", der(700, 1)), 0);
	assert_int_equal(take("01c00002", der(2048, 2)), 0);
	assert_int_equal(take("01c00002", der(600, 3)), 0);
	assert_int_equal(cert_count(&store), 2);
	cert_put_config(&store, &w);
	r = cursor_reader(out, w.pos);
	assert_true(channel_tlv_next(&r, &t));
	assert_int_equal(t.tag, CONFIG_CERTIFICATE);
	assert_int_equal(cursor_u32(&t.value), 0x01c00002);
	assert_int_equal(cursor_left(&t.value), 600);
	assert_true(channel_tlv_next(&r, &t));
	assert_int_equal(cursor_u32(&t.value), 0x01c0000a);
	assert_int_equal(cursor_left(&t.value), 700);
	assert_false(channel_tlv_next(&r, &t));
}

static void what_has_no_place_is_refused(void **unused)
{
	assert_int_equal(take("01c00003", der(700, 1)), -EINVAL);
	assert_int_equal(take("../01c00002", der(700, 1)), -EINVAL);
	assert_int_equal(take("01c00002", der(2049, 1)), -EINVAL);
	assert_int_equal(take("01c00002", json_string("3082")), -EINVAL);
	assert_int_equal(take("01c00002", json_string("zz")), -EINVAL);
	assert_int_equal(take("01c00002", json_null()), -EINVAL);
	assert_int_equal(cert_count(&store), 0);
}

static void one_that_is_wrong_stops_all(void **unused)
{
	json_t *certs = json_pack("{s:o, s:o}", "01c00002", der(700, 1), "01c0000a",
				  json_string("00"));

	assert_int_equal(cert_take(&store, certs), -EINVAL);
	assert_int_equal(cert_count(&store), 0);
	json_decref(certs);
	certs = json_array();
	assert_int_equal(cert_take(&store, certs), -EINVAL);
	json_decref(certs);
	assert_int_equal(cert_take(&store, NULL), 0); /* a backup of before */
}

static void a_copy_has_them(void **unused)
{
	json_t *mine, *copied;

	assert_int_equal(take("01c00002", der(700, 1)), 0);
	assert_int_equal(cert_copy(&other, &store), 0);
	mine = cert_show(&store);
	copied = cert_show(&other);
	assert_int_equal(json_object_size(copied), 1);
	assert_true(json_equal(mine, copied));
	json_decref(mine);
	json_decref(copied);
}

static void a_manager_that_runs_is_told(void **unused)
{
	struct vtpm v = {.state = VTPM_RUNNING, .store = store};
	struct error e = {.cause = CAUSE_NONE};
	json_t *certs = json_pack("{s:o}", "01c00002", der(700, 1)),
	       *none = json_object();

	assert_int_equal(cert_install(&v, certs, &e), 0); /* nobody is connected */
	assert_int_equal(events, 0);
	v.peer = (struct peer *)&v;
	assert_int_equal(cert_install(&v, certs, &e), 0);
	assert_int_equal(events, 1);
	assert_int_equal(cert_install(&v, none, &e), -EINVAL);
	assert_int_equal(events, 1);
	assert_int_equal(audits, 2);
	json_decref(certs);
	json_decref(none);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_taken_is_told),	T(what_has_no_place_is_refused),
		T(one_that_is_wrong_stops_all), T(a_copy_has_them),
		T(a_manager_that_runs_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
