/* SPDX-License-Identifier: Apache-2.0 */
/* Two fronts of one TPM: a driver's, whose guest leaves the start of the TPM to the
 * manager, and a device model's, whose guest has a firmware of its own. */
#include "tests/unit/unit.h"
#include "stubdom/manager/front.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct double_front {
	struct front front;
	int ends[2]; /* a byte in this pipe: something to do */
	int ms, rc;
	bool ends_it; /* its command ends all */
	unsigned int opened, served, looked, cancels, closed;
	struct front_stats stats;
	bool held;
};

static struct double_front driver, model;
static struct fronts fronts;
static struct {
	uint32_t domid;
	enum front_firmware firmware;
	unsigned int adopted;
} tpm;

static struct double_front *double_of(const struct front *f)
{
	return (struct double_front *)f;
}

static int double_open(struct front *f, const struct front_config *config)
{
	struct double_front *d = double_of(f);

	assert_int_equal(config->localities, 5);
	d->opened++;
	return d->rc;
}

static nfds_t double_pollfds(struct front *f, struct pollfd fds[static FRONT_POLLFDS])
{
	fds[0] = (struct pollfd){.fd = -1};
	fds[1] = (struct pollfd){.fd = double_of(f)->ends[0], .events = POLLIN};
	return 2;
}

static int double_ready(struct front *f, const struct pollfd *fds)
{
	struct double_front *d = double_of(f);
	char byte;

	d->looked++;
	if (fds[1].revents)
		d->served += (unsigned int)read(d->ends[0], &byte, 1);
	if (fds[1].revents && d->ends_it)
		fronts_end(f->all);
	return d->rc;
}

static int double_timeout(const struct front *f)
{
	return double_of(f)->ms;
}

static void double_check_cancel(struct front *f)
{
	double_of(f)->cancels++;
}

static void double_hold(struct front *f, bool held)
{
	double_of(f)->held = held;
}

static void double_stats(const struct front *f, struct front_stats *s)
{
	*s = double_of(f)->stats;
}

static void double_close(struct front *f)
{
	double_of(f)->closed++;
}

static const struct front_ops driver_ops = {
	.firmware = FRONT_FIRMWARE_MANAGER,
	.open = double_open,
	.pollfds = double_pollfds,
	.ready = double_ready,
	.timeout = double_timeout,
	.check_cancel = double_check_cancel,
	.hold = double_hold,
	.stats = double_stats,
	.close = double_close,
};

/* It opens at once, has no deadlines and hears no cancel. */
static const struct front_ops model_ops = {
	.firmware = FRONT_FIRMWARE_GUEST,
	.pollfds = double_pollfds,
	.ready = double_ready,
	.stats = double_stats,
	.close = double_close,
};

static int adopt(void *ctx, const struct front_guest *g, enum front_firmware *firmware,
		 const char **why)
{
	assert_ptr_equal(ctx, &tpm);
	tpm.adopted++;
	tpm.domid = g->domid;
	tpm.firmware = *firmware;
	return 0;
}

static int setup(void **state)
{
	memset(&tpm, 0, sizeof(tpm));
	driver = (struct double_front){.front.ops = &driver_ops, .ms = -1};
	model = (struct double_front){.front.ops = &model_ops, .ms = 0};
	fronts = (struct fronts){.tpm = {.ctx = &tpm, .adopt = adopt}};
	fronts_add(&fronts, &driver.front);
	fronts_add(&fronts, &model.front);
	return pipe(driver.ends) || pipe(model.ends);
}

static int teardown(void **state)
{
	for (int i = 0; i < 2; i++) {
		close(driver.ends[i]);
		close(model.ends[i]);
	}
	return 0;
}

static void comes(struct double_front *d)
{
	assert_int_equal(write(d->ends[1], "x", 1), 1);
}

static void each_front_is_served(void **state)
{
	struct pollfd own = {.fd = -1};

	comes(&model);
	assert_int_equal(fronts_serve(&fronts, &own, 1000), 1);
	assert_int_equal(driver.served, 0);
	assert_int_equal(model.served, 1);
	comes(&driver);
	comes(&model);
	assert_int_equal(fronts_serve(&fronts, &own, 1000), 1);
	assert_int_equal(driver.served, 1);
	assert_int_equal(model.served, 2);
}

static void the_owner_is_woken(void **state)
{
	struct pollfd own = {.events = POLLIN};
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	own.fd = ends[0];
	assert_int_equal(fronts_serve(&fronts, &own, 0), 0);
	assert_int_equal(own.revents, 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(fronts_serve(&fronts, &own, -1), 1);
	assert_int_equal(own.revents, POLLIN);
	close(ends[0]);
	close(ends[1]);
}

/* A front that has a deadline is called at it, though nothing came. */
static void the_nearest_deadline(void **state)
{
	struct pollfd own = {.fd = -1};

	driver.ms = 1;
	assert_int_equal(fronts_serve(&fronts, &own, -1), 0);
	assert_int_equal(fronts_serve(&fronts, &own, 60000), 0);
	driver.ms = 60000;
	assert_int_equal(fronts_serve(&fronts, &own, 1), 0);
	assert_int_equal(driver.looked, 3);
	assert_int_equal(driver.served, 0);
}

/* Only who knows what that is is looked at. */
static void a_held_tpm(void **state)
{
	struct pollfd own = {.fd = -1};

	fronts_hold(&fronts, true);
	assert_true(driver.held);
	comes(&model);
	assert_int_equal(fronts_serve(&fronts, &own, 0), 0);
	assert_int_equal(driver.looked, 1);
	assert_int_equal(model.looked, 0);
	comes(&driver);
	assert_int_equal(fronts_serve(&fronts, &own, -1), 1);
	assert_int_equal(driver.served, 1);
	fronts_hold(&fronts, false);
	assert_false(driver.held);
	assert_int_equal(fronts_serve(&fronts, &own, -1), 1);
	assert_int_equal(model.served, 1);
}

/* A command found that somebody else may have the TPM: no other one is looked at. */
static void nobody_is_answered_any_more(void **state)
{
	struct pollfd own = {.fd = -1};

	driver.ends_it = true;
	comes(&driver);
	comes(&model);
	assert_int_equal(fronts_serve(&fronts, &own, -1), -ESHUTDOWN);
	assert_int_equal(driver.served, 1);
	assert_int_equal(model.looked, 0);
	/* it does not wait either */
	assert_int_equal(fronts_serve(&fronts, &own, -1), -ESHUTDOWN);
	assert_int_equal(driver.looked, 1);
}

static void a_front_that_is_lost(void **state)
{
	struct pollfd own = {.fd = -1};

	comes(&model);
	model.rc = -EIO;
	assert_int_equal(fronts_serve(&fronts, &own, -1), -EIO);
}

static void opening(void **state)
{
	const struct front_config config = {.localities = 5};

	assert_int_equal(fronts_open(&fronts, &config), 0);
	assert_int_equal(driver.opened, 1);
	driver.rc = -ENOMEM;
	assert_int_equal(fronts_open(&fronts, &config), -ENOMEM);
	fronts_close(&fronts);
	assert_int_equal(driver.closed + model.closed, 2);
	fronts_close(&fronts);
	assert_int_equal(driver.closed + model.closed, 2);
}

static void only_one_has_the_guest(void **state)
{
	enum front_firmware firmware;
	const char *why = NULL;

	assert_int_equal(front_adopt(&driver.front, &(struct front_guest){.domid = 5},
				     &firmware, &why),
			 0);
	assert_int_equal(tpm.domid, 5);
	assert_int_equal(tpm.firmware, FRONT_FIRMWARE_MANAGER);
	driver.stats.present = true;
	assert_int_equal(front_adopt(&model.front, &(struct front_guest){.domid = 6},
				     &firmware, &why),
			 -EBUSY);
	assert_non_null(strstr(why, "in use"));
	assert_int_equal(tpm.adopted, 1);
	assert_int_equal(front_adopt(&driver.front, &(struct front_guest){.domid = 5},
				     &firmware, &why),
			 0); /* its own */
	driver.stats.present = false;
	assert_int_equal(front_adopt(&model.front, &(struct front_guest){.domid = 6},
				     &firmware, &why),
			 0);
	assert_int_equal(tpm.domid, 6);
	assert_int_equal(tpm.firmware, FRONT_FIRMWARE_GUEST);
}

static void figures_of_all(void **state)
{
	struct front_stats s;

	driver.stats = (struct front_stats){.commands = 3, .refused = 1, .domid = 5};
	model.stats = (struct front_stats){.commands = 4, .present = true, .domid = 6};
	fronts_stats(&fronts, &s);
	assert_int_equal(s.commands, 7);
	assert_int_equal(s.refused, 1);
	assert_true(s.present);
	assert_false(s.connected);
	assert_int_equal(s.domid, 6);
	driver.stats.connected = driver.stats.present = true;
	model.stats.present = false;
	fronts_stats(&fronts, &s);
	assert_true(s.connected);
	assert_int_equal(s.domid, 5);
	fronts_check_cancel(&fronts);
	assert_int_equal(driver.cancels, 1);
}

int main(void)
{
#define FRONT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		FRONT_TEST(each_front_is_served),	 FRONT_TEST(the_owner_is_woken),
		FRONT_TEST(the_nearest_deadline),	 FRONT_TEST(a_held_tpm),
		FRONT_TEST(a_front_that_is_lost),	 FRONT_TEST(opening),
		FRONT_TEST(only_one_has_the_guest),	 FRONT_TEST(figures_of_all),
		FRONT_TEST(nobody_is_answered_any_more),
	};

	return cmocka_run_group_tests_name("front", tests, NULL, NULL);
}
