/* SPDX-License-Identifier: Apache-2.0 */
/* Which firmware vtpmctl knows to measure, and which it takes for an HVM guest. */
#include "tests/unit/unit.h"
#include "lib/text.h"
#include "lib/tpm2/marshal.h"
#include "tools/vtpmctl/firmware.h"

#include <stdio.h>
#include <string.h>

static struct launch_image image;

/* Where the SHA-256 is among an image's digests. */
static uint8_t *sha256_of_image(void)
{
	const struct tpm2_hash *h;
	size_t at = 0;

	for (h = tpm2_hashes; h->id != TPM2_ALG_SHA256; h++)
		at += h->size;
	return image.digests + at;
}

static void take_hash(const char *file)
{
	char hex[65] = "";
	size_t len = 32;
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%64s", hex), 1);
	fclose(f);
	memset(&image, 0, sizeof(image));
	assert_int_equal(hex_decode(hex, sha256_of_image(), &len), 0);
	assert_int_equal(len, 32);
}

static void what_the_scripts_build_measures(void **state)
{
	take_hash("firmware/seabios/sha256");
	assert_string_equal(firmware_measures(&image), "seabios");
	take_hash("firmware/ovmf/sha256");
	assert_string_equal(firmware_measures(&image), "ovmf");
	take_hash("firmware/ovmf/sha256-enrolled");
	assert_string_equal(firmware_measures(&image), "ovmf");
}

static void any_other_is_not_known(void **state)
{
	for (size_t i = 0; i < 32; i++) {
		take_hash("firmware/seabios/sha256");
		sha256_of_image()[i] ^= 1;
		assert_null(firmware_measures(&image));
	}
	memset(&image, 0, sizeof(image));
	assert_null(firmware_measures(&image));
}

/* xl's parser of these lines, and what is found. */
static bool find(const char *lines, struct firmware *f, struct refusals *r)
{
	XLU_Config *cfg = xlu_cfg_init(stderr, "test");
	bool found;

	assert_non_null(cfg);
	assert_int_equal(xlu_cfg_readdata(cfg, lines, (int)strlen(lines)), 0);
	r->count = 0;
	found = firmware_find(f, cfg, "a.cfg", r);
	xlu_cfg_destroy(cfg);
	return found;
}

static void all_that_is_wrong_is_said(void **state)
{
	struct firmware f;
	struct refusals r;

	assert_true(find("firmware_override='/x'\nbios_path_override='/y'\n", &f, &r));
	assert_string_equal(f.bios, "seabios");
	assert_false(find("firmware_override='/x'\nbios_path_override='/y'\nacpi=0\n"
			  "smbios='a'\nkernel='k'\n",
			  &f, &r));
	assert_int_equal(r.count, 3);
	assert_int_equal(r.one[0].by_xl + r.one[1].by_xl, 0);
	assert_true(r.one[2].by_xl);
	assert_non_null(strstr(r.one[2].text, "a.cfg has acpi=0"));
	/* what is there is found all the same */
	assert_string_equal(f.loader, "/x");
	assert_non_null(f.one[FIRMWARE_BIOS].path);
	/* a name that has no TPM */
	assert_false(find("firmware_override='/x'\nbios='rombios'\n", &f, &r));
	assert_true(r.one[0].by_xl);
	assert_null(f.bios);
	assert_false(firmware_is_stock(&f));
}

/* What `xl create -n` of Xen 4.17 makes of these lines. */
static void firmware_is_as_xl_takes_it(void **state)
{
	static const struct {
		const char *lines, *bios, *loader, *loader_key;
	} files[] = {
		{"firmware='ovmf'\n", "ovmf", "/x", "firmware_override"},
		{"firmware='OVMF'\nbios='seabios'\n", "ovmf", "/x", "firmware_override"},
		{"firmware='uefi'\n", "ovmf", "/x", "firmware_override"},
		{"firmware='seabios'\nbios='ovmf'\n", "seabios", "/x",
		 "firmware_override"},
		{"firmware='bios'\nbios='ovmf'\n", "ovmf", "/x", "firmware_override"},
		{"firmware='bios'\n", "seabios", "/x", "firmware_override"},
		{"firmware='/z'\nbios='ovmf'\n", "ovmf", "/z", "firmware"},
		{"firmware='rombios'\nbios='ovmf'\n", NULL, "/x", "firmware_override"},
	};
	char lines[256];
	struct firmware f;
	struct refusals r;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(lines, sizeof(lines),
			 "firmware_override='/x'\nbios_path_override='/y'\n%s",
			 files[i].lines);
		assert_false(find(lines, &f, &r)); /* a launch takes none of them */
		assert_int_equal(r.count, files[i].bios ? 1 : 2);
		if (files[i].bios)
			assert_string_equal(f.bios, files[i].bios);
		else
			assert_non_null(
				strstr(r.one[1].text, "has firmware=\"rombios\""));
		assert_string_equal(f.loader, files[i].loader);
		assert_string_equal(f.loader_key, files[i].loader_key);
	}
}

static void more_refusals_than_there_is_room_for(void **state)
{
	struct refusals r = {.count = 0};

	for (int i = 0; i < 2 * REFUSALS_MAX; i++)
		assert_false(refusals_add(&r, "%0600d", i));
	assert_int_equal(r.count, REFUSALS_MAX);
	assert_int_equal(strlen(r.one[REFUSALS_MAX - 1].text), sizeof(r.one[0].text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_scripts_build_measures),
		cmocka_unit_test(any_other_is_not_known),
		cmocka_unit_test(all_that_is_wrong_is_said),
		cmocka_unit_test(firmware_is_as_xl_takes_it),
		cmocka_unit_test(more_refusals_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
