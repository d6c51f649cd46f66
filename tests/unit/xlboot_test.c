/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's description from another host is what was measured, or is refused. */
#include "tests/unit/unit.h"
#include "lib/tpm2/marshal.h"
#include "tools/vtpmctl/xlboot.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t bytes[MEASURE_MAX];
static struct xlboot_list list;
static struct launch_image kernel, ramdisk;

static void hash(const char *text, uint8_t digests[MEASURE_DIGESTS])
{
	const struct tpm2_hash *h;

	for (h = tpm2_hashes; h < tpm2_hashes + TPM2_BANKS; digests += (h++)->size)
		assert_int_equal(EVP_Q_digest(NULL, h->name, NULL, text, strlen(text),
					      digests, NULL),
				 1);
}

/* image NULL: the digests are the text's */
static void put(uint32_t pcr, uint32_t type, const char *text,
		const struct launch_image *image)
{
	struct cursor w = cursor_writer(bytes, sizeof(bytes));
	uint8_t digests[MEASURE_DIGESTS];
	struct measure_event e = {pcr, type, image ? image->digests : digests,
				  (const uint8_t *)text, strlen(text)};

	hash(text, digests);
	(void)cursor_bytes(&w, list.len);
	measure_put(&w, &e);
	assert_true(cursor_ok(&w));
	list = (struct xlboot_list){bytes, w.pos};
}

static void put_config(void)
{
	list.len = 0;
	put(1, MEASURE_EV_PLATFORM_CONFIG_FLAGS, "config vcpus=2", NULL);
}

static void put_kernel_with(const char *ramdisk_text)
{
	put_config();
	put(4, MEASURE_EV_IPL, "kernel size=6 name=vmlinuz", &kernel);
	put(9, MEASURE_EV_IPL, ramdisk_text, strchr(ramdisk_text, '=') ? &ramdisk : NULL);
	put(12, MEASURE_EV_IPL, "cmdline ro quiet", NULL);
}

static void record(const char *text)
{
	static const struct launch_image zeroes;

	put(0, MEASURE_EV_NO_ACTION, text, &zeroes);
}

static char hex[LAUNCH_IMAGE_SHA256];

static void put_record(void)
{
	char text[200];

	list.len = 0;
	launch_image_sha256(&kernel, hex);
	snprintf(text, sizeof(text), "firmware hvmloader sha256=%s size=6 name=hvmloader",
		 hex);
	record(text);
	launch_image_sha256(&ramdisk, hex);
	snprintf(text, sizeof(text), "firmware bios sha256=%s size=7 name=bios", hex);
	record(text);
}

static int setup(void **state)
{
	return launch_image_make("kernel", "kernel", 6, &kernel) ||
	       launch_image_make("ramdisk", "ramdisk", 7, &ramdisk);
}

static int teardown(void **state)
{
	close(kernel.fd);
	close(ramdisk.fd);
	return 0;
}

static struct xlboot boot;

/* The sentence; NULL: it is what was measured. */
static const char *reads(const char *text)
{
	json_t *config = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *why = NULL;
	int rc;

	assert_non_null(config);
	rc = xlboot_read(config, &list, &boot, &why);
	json_decref(config);
	assert_true(!rc || (rc == -EBADMSG && why));
	return rc ? why : NULL;
}

#define GUEST(type, build) \
	"{\"c_info\": {\"type\": \"" type "\"}, \"b_info\": {" build "}}"
#define IMAGES                              \
	"\"kernel\": \"/proc/self/fd/7\", " \
	"\"ramdisk\": \"/proc/self/fd/8\", "
#define CMDLINE "\"cmdline\": \"ro quiet\", "
#define PVH	"\"type.pvh\": {}"

static void test_kernel(void **state)
{
	put_kernel_with("ramdisk size=7 name=initrd");
	assert_true(xlboot_is_list(&list));
	assert_null(reads(GUEST("pvh", IMAGES CMDLINE PVH)));
	assert_int_equal(boot.fd[XLBOOT_KERNEL], 7);
	assert_int_equal(boot.fd[XLBOOT_RAMDISK], 8);
	assert_int_equal(boot.fd[XLBOOT_BIOS], -1);
	assert_null(reads(
		GUEST("pv", IMAGES CMDLINE "\"type.pv\": {\"e820_host\": \"True\"}")));
	assert_null(reads(
		GUEST("pvh", IMAGES CMDLINE
		      "\"bootloader_args\": [], \"type.pvh\": {\"pvshim\": \"False\"}")));
}

static void test_other_kernel(void **state)
{
	static const char *const refused[] = {
		GUEST("pvh", "\"kernel\": \"/boot/vmlinuz\", "
			     "\"ramdisk\": \"/proc/self/fd/8\", " CMDLINE PVH),
		GUEST("pvh", "\"kernel\": \"/proc/self/fd/7\", " CMDLINE PVH),
		GUEST("pvh", "\"kernel\": \"/proc/self/fd/7\", "
			     "\"ramdisk\": \"/proc/self/fd/7\", " CMDLINE PVH),
		GUEST("pvh", "\"kernel\": \"/proc/self/fd/2\", "
			     "\"ramdisk\": \"/proc/self/fd/8\", " CMDLINE PVH),
		GUEST("pvh", "\"kernel\": \"/proc/self/fd/256\", "
			     "\"ramdisk\": \"/proc/self/fd/8\", " CMDLINE PVH),
		GUEST("pvh", "\"kernel\": \"/proc/self/fd/07\", "
			     "\"ramdisk\": \"/proc/self/fd/8\", " CMDLINE PVH),
		GUEST("pvh", "\"kernel\": \"/proc/self/fd/7/../8\", "
			     "\"ramdisk\": \"/proc/self/fd/8\", " CMDLINE PVH),
		GUEST("pvh",
		      "\"kernel\": 7, \"ramdisk\": \"/proc/self/fd/8\", " CMDLINE PVH),
		GUEST("pvh", IMAGES PVH),
		GUEST("pvh", IMAGES "\"cmdline\": \"ro quiet x\", " PVH),
		GUEST("pvh", IMAGES "\"cmdline\": \"ro quie\", " PVH),
		GUEST("pvh", IMAGES "\"cmdline\": [\"ro quiet\"], " PVH),
		GUEST("pvh", IMAGES CMDLINE "\"bootloader\": \"pygrub\", " PVH),
		GUEST("pvh", IMAGES CMDLINE "\"device_tree\": \"x\", " PVH),
		GUEST("pvh", IMAGES CMDLINE "\"type.pvh\": {\"pvshim\": \"True\"}"),
		GUEST("pvh", IMAGES CMDLINE "\"type.pvh\": {\"pvshim\": true}"),
		GUEST("pvh", IMAGES CMDLINE "\"type.pvh\": {\"pvshim_path\": \"x\"}"),
		GUEST("pv", IMAGES CMDLINE "\"type.pv\": {\"kernel\": \"x\"}"),
		GUEST("pv", IMAGES CMDLINE "\"type.pv\": {\"ramdisk\": \"x\"}"),
		GUEST("pv", IMAGES CMDLINE "\"type.pv\": {\"cmdline\": \"x\"}"),
		GUEST("pv", IMAGES CMDLINE "\"type.pv\": {\"bootloader\": \"x\"}"),
		GUEST("pv", IMAGES CMDLINE PVH),
		GUEST("pvh", IMAGES CMDLINE PVH ", \"type.pv\": {}"),
		GUEST("pvh", IMAGES CMDLINE "\"type.pvh\": null"),
		GUEST("pvh", IMAGES CMDLINE "\"kernel2\": 1"),
		GUEST("hvm", IMAGES CMDLINE "\"type.hvm\": {}"),
		GUEST("invalid", IMAGES CMDLINE "\"type.invalid\": {}"),
		"{\"c_info\": 1, \"b_info\": 2}",
		"{}",
	};

	put_kernel_with("ramdisk size=7 name=initrd");
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (!reads(refused[i]))
			fail_msg("%s", refused[i]);
	/* measured without a ramdisk */
	put_kernel_with("ramdisk none");
	assert_true(xlboot_is_list(&list));
	assert_non_null(reads(GUEST("pvh", IMAGES CMDLINE PVH)));
	assert_null(reads(GUEST("pvh", "\"kernel\": \"/proc/self/fd/7\", " CMDLINE PVH)));
}

#define HVM(build, board)                                          \
	GUEST("hvm", build                                         \
	      "\"type.hvm\": {\"firmware\": \"/proc/self/fd/9\", " \
	      "\"bios\": \"ovmf\", \"system_firmware\": \"/proc/self/fd/10\"" board "}")

static void test_firmware(void **state)
{
	static const char *const refused[] = {
		HVM("\"kernel\": \"/proc/self/fd/7\", ", ""),
		HVM("\"ramdisk\": \"/proc/self/fd/7\", ", ""),
		HVM("\"bootloader\": \"x\", ", ""),
		HVM("\"device_model\": \"/evil\", ", ""),
		HVM("\"device_model_version\": \"qemu_xen_traditional\", ", ""),
		HVM("\"extra\": [\"-x\"], ", ""),
		HVM("\"extra_hvm\": [\"-x\"], ", ""),
		HVM("\"stubdomain_kernel\": \"x\", ", ""),
		HVM("\"stubdomain_ramdisk\": \"x\", ", ""),
		HVM("\"stubdomain_cmdline\": \"x\", ", ""),
		HVM("", ", \"smbios\": [{\"key\": \"bios_vendor\", \"value\": \"x\"}]"),
		HVM("", ", \"acpi_firmware\": \"/x\""),
		HVM("", ", \"smbios_firmware\": \"/proc/self/fd/11\""),
		GUEST("hvm", "\"type.hvm\": {\"firmware\": \"/proc/self/fd/9\", "
			     "\"bios\": \"rombios\", \"system_firmware\": "
			     "\"/proc/self/fd/10\"}"),
		GUEST("hvm", "\"type.hvm\": {\"firmware\": \"/proc/self/fd/9\"}"),
		GUEST("hvm", "\"type.hvm\": {\"system_firmware\": \"/proc/self/fd/9\"}"),
		GUEST("pvh", IMAGES CMDLINE PVH),
	};

	put_record();
	assert_true(xlboot_is_list(&list));
	assert_null(reads(
		HVM("\"device_model_version\": \"qemu_xen\", \"extra\": [], ", "")));
	assert_int_equal(boot.fd[XLBOOT_HVMLOADER], 9);
	assert_int_equal(boot.fd[XLBOOT_BIOS], 10);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (!reads(refused[i]))
			fail_msg("%s", refused[i]);
	assert_true(xlboot_is_image(&list, XLBOOT_HVMLOADER, &kernel));
	assert_true(xlboot_is_image(&list, XLBOOT_BIOS, &ramdisk));
	assert_false(xlboot_is_image(&list, XLBOOT_BIOS, &kernel));
	assert_false(xlboot_is_image(&list, XLBOOT_KERNEL, &kernel));
	assert_false(xlboot_has(&list, XLBOOT_ACPI));
}

static void test_images(void **state)
{
	put_kernel_with("ramdisk size=7 name=initrd");
	assert_true(xlboot_is_image(&list, XLBOOT_KERNEL, &kernel));
	assert_true(xlboot_is_image(&list, XLBOOT_RAMDISK, &ramdisk));
	assert_false(xlboot_is_image(&list, XLBOOT_KERNEL, &ramdisk));
	assert_true(xlboot_is_size(&list, XLBOOT_KERNEL, 6));
	assert_false(xlboot_is_size(&list, XLBOOT_KERNEL, 60));
	assert_false(xlboot_is_size(&list, XLBOOT_KERNEL, 0));
	for (size_t i = 0; i < MEASURE_DIGESTS; i++) {
		kernel.digests[i] ^= 1;
		assert_false(xlboot_is_image(&list, XLBOOT_KERNEL, &kernel));
		kernel.digests[i] ^= 1;
	}
}

/* A list in which what is told is not what is measured. */
static void test_list(void **state)
{
	put_kernel_with("ramdisk size=7 name=initrd");
	put(4, MEASURE_EV_IPL, "kernel size=7 name=other", &ramdisk);
	assert_false(xlboot_is_list(&list)); /* two kernels */
	put_kernel_with("ramdisk size=7 name=initrd");
	put(9, MEASURE_EV_IPL, "ramdisk none", NULL);
	assert_false(xlboot_is_list(&list));
	put_kernel_with("ramdisk size=7 name=initrd");
	put(12, MEASURE_EV_IPL, "cmdline other", NULL);
	assert_false(xlboot_is_list(&list));
	put_kernel_with("ramdisk size=7 name=initrd");
	put(1, MEASURE_EV_PLATFORM_CONFIG_FLAGS, "config memory=1", &kernel);
	assert_false(xlboot_is_list(&list)); /* not the text's digest */
	put_kernel_with("ramdisk size=7 name=initrd");
	put(5, MEASURE_EV_IPL, "kernel size=7 name=other", &ramdisk);
	assert_false(xlboot_is_list(&list)); /* another PCR */
	put_kernel_with("ramdisk size=7 name=initrd");
	put(4, MEASURE_EV_IPL, "anything", NULL);
	assert_false(xlboot_is_list(&list));
	put_record();
	record("firmware bios sha256=0 size=1 name=x");
	assert_false(xlboot_is_list(&list));
}

static void test_head(void **state)
{
	const struct xlboot_head h = {XLBOOT_BIOS, 255, LAUNCH_IMAGE_MAX};
	struct xlboot_head again;
	uint8_t out[XLBOOT_HEAD + 1] = {0};

	xlboot_head_encode(&h, out);
	assert_int_equal(xlboot_head_decode(out, XLBOOT_HEAD, &again), 0);
	assert_true(again.kind == h.kind && again.fd == h.fd && again.size == h.size);
	assert_int_equal(xlboot_head_decode(out, XLBOOT_HEAD - 1, &again), -EBADMSG);
	assert_int_equal(xlboot_head_decode(out, XLBOOT_HEAD + 1, &again), -EBADMSG);
	out[XLBOOT_HEAD - 1]++;
	assert_int_equal(xlboot_head_decode(out, XLBOOT_HEAD, &again), -EBADMSG);
	out[XLBOOT_HEAD - 1]--;
	out[2] = XLBOOT_FD_MIN - 1;
	assert_int_equal(xlboot_head_decode(out, XLBOOT_HEAD, &again), -EBADMSG);
	out[1] = 1;
	assert_int_equal(xlboot_head_decode(out, XLBOOT_HEAD, &again), -EBADMSG);
	out[1] = 0;
	out[2] = XLBOOT_FD_MIN;
	out[0] = XLBOOT_KINDS;
	assert_int_equal(xlboot_head_decode(out, XLBOOT_HEAD, &again), -EBADMSG);
}

static uint8_t stream[2 * XLBOOT_STREAM_MAX];
static size_t stream_len;

static void put_u32(uint32_t v)
{
	for (int i = 0; i < 4; i++)
		stream[stream_len++] = (uint8_t)(v >> 8 * i);
}

static void make_stream(const char *text, size_t len, uint32_t flags)
{
	memset(stream, 0, sizeof(stream));
	stream_len = 32;
	put_u32(0x01020304);
	put_u32(flags);
	put_u32(0);
	put_u32((uint32_t)len + 4);
	put_u32((uint32_t)len);
	memcpy(stream + stream_len, text, len);
	stream_len += len;
}

/* In pieces of that many bytes. */
static int take_stream(size_t cut, json_t **config)
{
	struct xlboot_stream *s = calloc(1, sizeof(*s));
	int rc = -EAGAIN;

	*config = NULL;
	for (size_t at = 0; rc == -EAGAIN && at < stream_len; at += cut)
		rc = xlboot_stream_take(s, stream + at,
					stream_len - at < cut ? stream_len - at : cut,
					config);
	free(s);
	return rc;
}

static void test_stream(void **state)
{
	static char big[XLBOOT_STREAM_MAX];
	json_t *config;

	make_stream("{\"a\": 1}", 9, 3);
	for (size_t cut = 1; cut <= stream_len; cut++) {
		assert_int_equal(take_stream(cut, &config), 0);
		assert_int_equal(json_integer_value(json_object_get(config, "a")), 1);
		json_decref(config);
	}
	stream_len--;
	assert_int_equal(take_stream(5, &config), -EAGAIN);
	make_stream("{\"a\": 1}", 9, 2); /* not JSON */
	assert_int_equal(take_stream(5, &config), -EBADMSG);
	make_stream("{\"a\": 1}", 8, 3); /* no zero */
	assert_int_equal(take_stream(5, &config), -EBADMSG);
	make_stream("{\"a\": 1}\0{\"a\": 2}", 18, 3);
	assert_int_equal(take_stream(5, &config), -EBADMSG);
	make_stream("{\"a\": 1, \"a\": 2}", 17, 3);
	assert_int_equal(take_stream(5, &config), -EBADMSG);
	make_stream("[1]", 4, 3);
	assert_int_equal(take_stream(5, &config), -EBADMSG);
	make_stream("{}", 3, 3);
	stream[48]++; /* the text is longer than what holds it */
	assert_int_equal(take_stream(5, &config), -EBADMSG);
	make_stream("{}", 3, 3);
	stream[44] = 3;
	assert_int_equal(take_stream(5, &config), -EBADMSG);
	make_stream(big, sizeof(big), 3);
	assert_int_equal(take_stream(65536, &config), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),	 cmocka_unit_test(test_other_kernel),
		cmocka_unit_test(test_firmware), cmocka_unit_test(test_images),
		cmocka_unit_test(test_list),	 cmocka_unit_test(test_head),
		cmocka_unit_test(test_stream),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
