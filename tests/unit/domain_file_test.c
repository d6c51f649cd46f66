/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpmd/domain_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char site[320];
static struct vtpmd d;
static struct body body = {.d = &d, .name = "web1", .memory = 8};
static const uint8_t uuid[16] = {0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x43, 0x33,
				 0x84, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};

static int setup(void **state)
{
	strcpy(d.run, "/tmp/domain-file-test.XXXXXX");
	if (!mkdtemp(d.run))
		return -1;
	d.run_dir = open(d.run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(site, sizeof(site), "%s/site.cfg", d.run);
	d.domain_config = site;
	memset(&body.image, 0, sizeof(body.image));
	return d.run_dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"site.cfg", "web1.cfg", "web1.domain",
					    "web1.xl.log"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(d.run_dir, names[i], 0);
	(void)unlinkat(d.run_dir, "site.cfg", AT_REMOVEDIR);
	close(d.run_dir);
	return rmdir(d.run);
}

static void put(const char *name, const void *bytes, size_t len)
{
	int fd = openat(d.run_dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static char *config(void)
{
	static char text[100000];
	int fd = openat(d.run_dir, "web1.cfg", O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = 0;
	close(fd);
	return text;
}

static int write_config(struct error *e)
{
	*e = (struct error){.cause = CAUSE_NONE};
	return domain_file_config(&body, uuid, 17, 18, e);
}

static void config_names_the_domain(void **state)
{
	struct error e;
	char *text;

	assert_int_equal(write_config(&e), 0);
	text = config();
	assert_non_null(strstr(text, "\nname = \"vtpm-web1\"\n"));
	assert_non_null(
		strstr(text, "\nuuid = \"11111111-2222-4333-8444-555555555555\"\n"));
	assert_non_null(strstr(text, "\nmemory = 8\nmaxmem = 8\n"));
	assert_non_null(strstr(text, "/fd/17\"\nramdisk = \""));
	assert_non_null(strstr(text, "/fd/18\"\n"));
}

static void site_has_the_last_word(void **state)
{
	struct error e;
	char *text, *lines;

	put("site.cfg", "cpuid = \"host,xsave=0\"", 22);
	assert_int_equal(write_config(&e), 0);
	text = config();
	lines = strstr(text, "\ncpuid = \"host,xsave=0\"\n");
	assert_non_null(lines);
	assert_string_equal(lines + 1, "cpuid = \"host,xsave=0\"\n");
	d.domain_config = NULL;
	assert_int_equal(write_config(&e), 0);
	assert_null(strstr(config(), "cpuid"));
}

static void largest_site_file(void **state)
{
	char *lines = malloc(DOMAIN_FILE_SITE_MAX + 1);
	struct error e;

	assert_non_null(lines);
	memset(lines, '#', DOMAIN_FILE_SITE_MAX + 1);
	put("site.cfg", lines, DOMAIN_FILE_SITE_MAX);
	assert_int_equal(write_config(&e), 0);
	assert_non_null(strstr(config(), "\n####"));
	put("site.cfg", lines, DOMAIN_FILE_SITE_MAX + 1);
	assert_int_equal(write_config(&e), -EFBIG);
	assert_non_null(strstr(e.text, site));
	free(lines);
}

/* A label or a mask that a site wants is never left out in silence. */
static void site_file_that_cannot_be_used(void **state)
{
	struct error e;

	put("site.cfg", "seclabel = 'a'\0b\n", 17);
	assert_int_equal(write_config(&e), -EINVAL);
	assert_non_null(strstr(e.text, site));
	assert_int_equal(unlinkat(d.run_dir, "site.cfg", 0), 0);
	assert_int_equal(mkdirat(d.run_dir, "site.cfg", 0700), 0);
	assert_int_not_equal(write_config(&e), 0);
	assert_non_null(strstr(e.text, site));
	assert_int_equal(faccessat(d.run_dir, "web1.cfg", F_OK, 0), -1);
}

static void what_is_kept_is_found(void **state)
{
	uint8_t found[16];
	struct body later = {.d = &d, .name = "web1"};
	struct body other = {.d = &d, .name = "web2"};

	memset(body.image.kernel, 0xaa, IMAGE_HASH_SIZE);
	memset(body.image.manager, 0xbb, IMAGE_HASH_SIZE);
	assert_int_equal(domain_file_keep(&body, uuid), 0);
	assert_int_equal(domain_file_kept(&other, found), -ENOENT);
	assert_int_equal(domain_file_kept(&later, found), 0);
	assert_memory_equal(found, uuid, sizeof(uuid));
	assert_true(later.image.known && later.image.has_kernel);
	assert_memory_equal(later.image.kernel, body.image.kernel, IMAGE_HASH_SIZE);
	assert_memory_equal(later.image.manager, body.image.manager, IMAGE_HASH_SIZE);
	domain_file_forget(&body);
	assert_int_equal(domain_file_kept(&later, found), -ENOENT);
}

static void of_another_version_or_damaged(void **state)
{
	uint8_t found[16], bytes[16 + 2 * IMAGE_HASH_SIZE + 1] = {1};

	put("web1.domain", uuid, 16);
	assert_int_equal(domain_file_kept(&body, found), 0);
	assert_memory_equal(found, uuid, sizeof(uuid));
	assert_false(body.image.known || body.image.has_kernel);
	put("web1.domain", bytes, 16 + IMAGE_HASH_SIZE);
	assert_int_equal(domain_file_kept(&body, found), 0);
	assert_false(body.image.known || body.image.has_kernel);
	put("web1.domain", bytes, 15);
	assert_int_equal(domain_file_kept(&body, found), -ENOENT);
	put("web1.domain", bytes, 0);
	assert_int_equal(domain_file_kept(&body, found), -ENOENT);
	put("web1.domain", bytes, sizeof(bytes));
	assert_int_equal(domain_file_kept(&body, found), -ENOENT);
}

static void the_last_line_says_why(void **state)
{
	char said[64];

	domain_file_said(&body, said, sizeof(said));
	assert_string_equal(said, "it said nothing");
	put("web1.xl.log", "Parsing config\nfailed: no memory\n\n", 34);
	domain_file_said(&body, said, sizeof(said));
	assert_string_equal(said, "failed: no memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(config_names_the_domain, setup, teardown),
		cmocka_unit_test_setup_teardown(site_has_the_last_word, setup, teardown),
		cmocka_unit_test_setup_teardown(largest_site_file, setup, teardown),
		cmocka_unit_test_setup_teardown(site_file_that_cannot_be_used, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_kept_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(of_another_version_or_damaged, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_last_line_says_why, setup, teardown),
	};

	return cmocka_run_group_tests_name("domain_file", tests, NULL, NULL);
}
