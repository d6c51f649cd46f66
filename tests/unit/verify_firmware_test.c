/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs of a guest's own firmware: real ones, with the PCRs that they lead to
 * (firmware-logs/: Debian 12's OVMF, a UKI and Linux' EFI stub, and Debian 12's SeaBIOS, of
 * QEMU machines with a TPM, and others), and made ones that lie.
 */
#include "tests/unit/unit.h"
#include "lib/text.h"
#include "tools/vtpm-verify/firmware.h"
#include "tools/vtpm-verify/judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "tests/unit/firmware-logs/"
#define GLOBAL "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"

#define DATABASE "\xcb\xb2\x19\xd7\x3a\x3d\x96\x45\xa3\xbc\xda\xd0\x0e\x67\x65\x6f"

enum {
	EFI_ACTION = 0x80000007,
	VARIABLE = 0x80000001,
	APPLICATION = 0x80000003,
	AUTHORITY = 0x800000e0,
};

static uint8_t bytes[65536];
static size_t len;
static struct evidence_side evidence;
static struct side side;
static struct verdict v;
/* The record of the guest's launch, for which the host vouches; NULL: there is none. */
static const char *const *images;

static void le(uint32_t value, size_t n)
{
	for (; n; n--, value >>= 8)
		bytes[len++] = (uint8_t)value;
}

static void put(const void *p, size_t n)
{
	memcpy(bytes + len, p, n);
	len += n;
}

/* The digest is of other data than the event has. */
static void lying_event(uint32_t pcr, uint32_t type, const void *data, size_t n,
			const void *hashed, size_t hashed_len)
{
	const struct crypt_part part = {hashed, hashed_len};

	le(pcr, 4);
	le(type, 4);
	le(1, 4);
	le(TPM2_ALG_SHA256, 2);
	assert_int_equal(crypt_sha256(&part, 1, bytes + len), 0);
	len += 32;
	le((uint32_t)n, 4);
	put(data, n);
}

static void event(uint32_t pcr, uint32_t type, const void *data, size_t n)
{
	lying_event(pcr, type, data, n, data, n);
}

static size_t variable_of(uint8_t out[128], const char *vendor, const char *name,
			  const void *value, size_t size)
{
	size_t n = strlen(name), i;

	memset(out, 0, 128);
	memcpy(out, vendor, 16);
	out[16] = (uint8_t)n;
	out[24] = (uint8_t)size;
	for (i = 0; i < n; i++)
		out[32 + 2 * i] = (uint8_t)name[i];
	memcpy(out + 32 + 2 * n, value, size);
	return 32 + 2 * n + size;
}

static size_t variable(uint8_t out[128], const char *name, uint8_t value)
{
	return variable_of(out, GLOBAL, name, &value, 1);
}

static void secure_boot(uint8_t value)
{
	uint8_t data[128];
	size_t n = variable(data, "SecureBoot", value);

	event(7, VARIABLE, data, n);
}

static void separators(uint32_t but)
{
	uint32_t pcr;

	for (pcr = 0; pcr < 8; pcr++)
		if (!(but & 1u << pcr))
			event(pcr, EVENTLOG_SEPARATOR, "\0\0\0\0", 4);
}

static int setup(void **state)
{
	memset(bytes, 0, sizeof(bytes));
	memset(&v, 0, sizeof(v));
	memset(&evidence, 0, sizeof(evidence));
	images = NULL;
	len = 0;
	le(0, 4);
	le(EVENTLOG_NO_ACTION, 4);
	len += 20;
	le(16 + 8 + 4 + 4 + 1, 4);
	put("Spec ID Event03", 16);
	len += 8;
	le(1, 4);
	le(TPM2_ALG_SHA256, 2);
	le(32, 2);
	len++;
	evidence.banks = 1;
	evidence.log_is_guests = true;
	evidence.bank[0].alg = tpm2_hash_of(TPM2_ALG_SHA256);
	evidence.bank[0].pcrs = 0xffff;
	return 0;
}

/* Writes it, in the form of lib/measure.h, behind setup()'s header. */
static size_t make_record(uint8_t out[4096])
{
	size_t kept = len, n;

	len = 32 + 33; /* of setup(): the header, which a record has, too */
	memcpy(out, bytes, len);
	n = len;
	for (const char *const *i = images; *i; i++) {
		uint8_t *e = out + n;

		memset(e, 0, 4 + 4 + 4 + 2 + 32 + 4);
		e[4] = EVENTLOG_NO_ACTION;
		e[8] = 1;
		e[12] = TPM2_ALG_SHA256;
		e[46] = (uint8_t)strlen(*i);
		memcpy(e + 50, *i, strlen(*i));
		n += 50 + strlen(*i);
	}
	len = kept;
	return n;
}

static void judged(const char *text)
{
	static uint8_t record[4096];

	struct policy p = {.all = json_loads(text, 0, NULL)};

	assert_non_null(p.all);
	evidence.log = (struct evidence_bytes){bytes, len};
	evidence.record = (struct evidence_bytes){0};
	if (images)
		evidence.record = (struct evidence_bytes){record, make_record(record)};
	side = (struct side){.who = "vTPM", .e = &evidence};
	if (images)
		assert_int_equal(eventlog_replay(record, evidence.record.n, &side.record),
				 0);
	assert_int_equal(eventlog_replay(bytes, len, &side.log), 0);
	memset(&v, 0, sizeof(v));
	judge_guest(&p, &side, &v);
	judge_firmware(&p, &side, &v);
	json_decref(p.all);
}

static void accepts(const char *text)
{
	judged(text);
	if (v.reasons)
		print_message("%s: %s\n", v.reason[0].word, v.reason[0].text);
	assert_int_equal(v.reasons, 0);
	assert_true(v.firmware_is_unbound != v.firmware_is_bound);
	assert_int_equal(v.firmware_is_unbound, strstr(text, "unbound") != NULL);
}

static void refuses(const char *policy, const char *word, const char *text)
{
	judged(policy);
	assert_true(v.reasons);
	assert_string_equal(v.reason[0].word, word);
	if (!strstr(v.reason[0].text, text))
		print_message("%s\n", v.reason[0].text);
	assert_non_null(strstr(v.reason[0].text, text));
}

#define A16	 "aaaaaaaaaaaaaaaa"
#define B16	 "bbbbbbbbbbbbbbbb"
#define A64	 A16 A16 A16 A16
#define B64	 B16 B16 B16 B16
#define LOADER	 "firmware hvmloader sha256=" A64 " size=7 name=hvmloader"
#define BIOS	 "firmware bios sha256=" B64 " size=7 name=seabios.bin"
#define BOUND	 "{\"firmware\": {\"image\": [\"sha256:" A64 "\", \"sha256:" B64 "\"]}}"
#define BOUND_A	 "{\"firmware\": {\"image\": \"sha256:" A64 "\"}}"
#define FIRMWARE "{\"firmware\": {\"image\": \"unbound\"}}"
#define SECURE	 "{\"firmware\": {\"image\": \"unbound\", \"secure_boot\": true}}"
#define VARIABLES \
	"{\"firmware\": {\"image\": \"unbound\", \"variables\": {\"db\": \"" A64 "\"}}}"

static void load_log(const char *name)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), FOLDER "%s.log", name);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	assert_true(len > 1000 && len < sizeof(bytes));
}

/* Lines of "PCR HEX", of the SHA-256 bank. */
static void compare_pcrs(const char *name)
{
	char path[128], hex[80];
	uint8_t value[32];
	unsigned int pcr, compared = 0;
	FILE *f;

	snprintf(path, sizeof(path), FOLDER "%s.sha256", name);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fscanf(f, "%u %79s", &pcr, hex) == 2) {
		size_t n = sizeof(value);

		assert_int_equal(hex_decode(hex, value, &n), 0);
		if (pcr >= EVENTLOG_PCRS || !(side.log.pcrs & 1u << pcr))
			continue;
		/* the guest's own, after the log's end */
		if (pcr == 10)
			continue;
		assert_memory_equal(
			eventlog_value(&side.log, tpm2_hash_of(TPM2_ALG_SHA256), pcr),
			value, 32);
		compared++;
	}
	fclose(f);
	assert_true(compared >= 8);
}

static void real_log(const char *name)
{
	load_log(name);
	accepts(FIRMWARE);
	compare_pcrs(name);
}

static void ovmf(void **state)
{
	real_log("ovmf");
}

/* OvmfXen's of an HVM guest on Xen: GRUB, and Linux by its EFI stub. */
static void ovmf_xen(void **state)
{
	real_log("ovmf-xen");
	refuses(SECURE, "secure-boot", "Secure Boot was off");
}

static void set_type(size_t event_at, uint32_t type)
{
	const size_t kept = len;

	len = event_at + 4;
	le(type, 4);
	len = kept;
}

/* Debian's OVMF with Secure Boot on, which booted shim, GRUB and Linux of Debian.  None of what
 * PCR 7 has can be told as something else. */
static void ovmf_secure(void **state)
{
	static const uint32_t types[] = {VARIABLE,   AUTHORITY,	  EVENTLOG_SEPARATOR,
					 EFI_ACTION, APPLICATION, EVENTLOG_ACTION,
					 0x6,	     0x80001234};
	struct eventlog_event e;
	size_t begins, tried = 0;

	real_log("ovmf-secure");
	accepts(SECURE);
	for (size_t at = begins = side.log.first;
	     eventlog_next(&side.log, bytes, len, &at, &e); begins = at)
		for (size_t i = 0; e.pcr == 7 && i < ARRAY_SIZE(types); i++) {
			/* what shim adds is not said to be shim's, and no key of UEFI's */
			if (types[i] == e.type ||
			    (e.type == AUTHORITY && types[i] == VARIABLE))
				continue;
			set_type(begins, types[i]);
			judged(SECURE);
			assert_true(v.reasons);
			set_type(begins, e.type);
			tried++;
		}
	assert_int_equal(tried, 6 * 7 + 3 * 6);
	accepts(SECURE);
}

static void seabios(void **state)
{
	real_log("seabios");
	refuses(SECURE, "secure-boot", "is none of those");
	assert_int_equal(v.reasons, 2);
	assert_non_null(strstr(v.reason[1].text, "Secure Boot was off"));
}

static void cut_real_log(void **state)
{
	struct eventlog log;
	size_t n, whole, good = 0;

	load_log("ovmf");
	whole = len;
	for (n = 0; n < whole; n++)
		good += !eventlog_replay(bytes, n, &log);
	assert_int_equal(eventlog_replay(bytes, whole, &log), 0);
	/* between its events it is another log, whose PCRs are others */
	assert_int_equal(good, log.count);
}

/* Where the SHA-256 digest of the last one begins, which is the kernel. */
static size_t last_application(void)
{
	size_t at = side.log.first, i, kernel = 0;
	struct eventlog_event e;

	while (eventlog_next(&side.log, bytes, len, &at, &e))
		for (i = 0; e.type == APPLICATION && i < side.log.banks; i++)
			if (side.log.alg[i]->id == TPM2_ALG_SHA256)
				kernel = (size_t)(e.digest[i] - bytes);
	assert_true(kernel);
	return kernel;
}

/* The same boot is accepted; one byte of the kernel, and the event is named. */
static void policy_of(const char *log)
{
	struct policy p = {.all = json_pack("{s:i}", "version", 1)};
	char *text;
	json_t *made;

	load_log(log);
	accepts(FIRMWARE);
	made = firmware_policy(&p, &side);
	assert_non_null(made);
	text = json_dumps(made, 0);
	json_decref(made);
	json_decref(p.all);
	accepts(text);
	bytes[last_application()] ^= 1;
	refuses(text, "event", "EV_EFI_BOOT_SERVICES_APPLICATION");
	assert_int_equal(v.reasons, 1);
	free(text);
}

static void made_policy(void **state)
{
	policy_of("ovmf");
}

static void made_policy_xen(void **state)
{
	policy_of("ovmf-xen");
}

static void secure_boot_on(void **state)
{
	secure_boot(1);
	separators(0);
	accepts(SECURE);
}

static void secure_boot_off(void **state)
{
	secure_boot(0);
	separators(0);
	refuses(SECURE, "secure-boot", "was off");
}

static void secure_boot_lies(void **state)
{
	uint8_t on[128], off[128];
	size_t n = variable(on, "SecureBoot", 1);

	(void)variable(off, "SecureBoot", 0);
	lying_event(7, VARIABLE, on, n, off, n);
	separators(0);
	refuses(SECURE, "firmware", "has other data than its digest");
}

static void secure_boot_twice(void **state)
{
	secure_boot(0);
	secure_boot(1);
	separators(0);
	refuses(SECURE, "secure-boot", "second time");
}

static void secure_boot_late(void **state)
{
	separators(0);
	secure_boot(1);
	refuses(SECURE, "secure-boot", "behind the end");
}

static void secure_boot_elsewhere(void **state)
{
	uint8_t data[128];
	size_t n = variable(data, "SecureBoot", 1);

	event(6, VARIABLE, data, n);
	event(7, APPLICATION, data, n);
	data[0] ^= 1;
	event(7, VARIABLE, data, n);
	separators(0);
	refuses(SECURE, "secure-boot", "is none of those");
	assert_int_equal(v.reasons, 2);
}

/* What the firmware extended PCR 7 with when Secure Boot was off, under another type, which no
 * digest covers; the guest's root extends the rest. */
static void secure_boot_renamed(void **state)
{
	static const uint32_t types[] = {EVENTLOG_ACTION, EFI_ACTION, APPLICATION,
					 AUTHORITY,	  0x6,	      0x80001234};
	uint8_t off[128];
	size_t n = variable(off, "SecureBoot", 0);

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		(void)setup(state);
		event(7, types[i], off, n);
		event(7, types[i], "\0\0\0\0", 4);
		secure_boot(1);
		separators(0);
		accepts(FIRMWARE);
		refuses(SECURE, "secure-boot", "is none of those");
		assert_int_equal(v.reasons, 2);
		refuses(VARIABLES, "secure-boot", "is none of those");
		assert_int_equal(v.reasons, 3);
	}
}

/* An option ROM extends what a UEFI would, and SeaBIOS, which knows no Secure Boot, ends it. */
static void secure_boot_of_bios(void **state)
{
	secure_boot(1);
	separators(1 << 7);
	event(7, EVENTLOG_SEPARATOR, "\xff\xff\xff\xff", 4);
	accepts(FIRMWARE);
	refuses(SECURE, "secure-boot", "is none of those");
	assert_int_equal(v.reasons, 1);
}

/* The firmware's menu turned it off, or took another key into db, behind the separator. */
static void secure_boot_ended(void **state)
{
	static const uint8_t list[28 + 17] = {[16] = 28 + 17, [24] = 17};
	uint8_t data[128];
	size_t n = variable(data, "SecureBoot", 0);

	secure_boot(1);
	separators(0);
	event(7, AUTHORITY, data, n);
	refuses(SECURE, "secure-boot", "is none of those");
	len -= n + 50;
	n = variable_of(data, DATABASE, "db", "", 0);
	event(7, AUTHORITY, data, n);
	refuses(SECURE, "secure-boot", "is none of those");
	len -= n + 50;
	n = variable_of(data, DATABASE, "db", list, sizeof(list));
	event(7, AUTHORITY, data, n);
	refuses(SECURE, "secure-boot", "is none of those");
	assert_int_equal(v.reasons, 1);
	len -= n + 50;
	/* an entry of db, which let a loader start */
	n = variable_of(data, DATABASE, "db", list, sizeof(list) - 1);
	event(7, AUTHORITY, data, n);
	n = variable(data, "SbatLevel", 1);
	event(7, AUTHORITY, data, n);
	accepts(SECURE);
}

static void separator_missing(void **state)
{
	secure_boot(1);
	separators(1 << 3);
	refuses(FIRMWARE, "firmware", "no separator for PCR 3");
}

static void separator_twice(void **state)
{
	separators(0);
	event(2, EVENTLOG_SEPARATOR, "\xff\xff\xff\xff", 4);
	refuses(FIRMWARE, "firmware", "a second time");
}

static void separator_of_failure(void **state)
{
	separators(1);
	event(0, EVENTLOG_SEPARATOR, "\1\0\0\0", 4);
	refuses(FIRMWARE, "firmware", "the firmware failed");
}

static void behind_exit(void **state)
{
	static const char left[] = "Exit Boot Services Returned with Success";

	separators(0);
	event(5, EFI_ACTION, left, sizeof(left) - 1);
	accepts(FIRMWARE);
	event(4, APPLICATION, "kernel", 6);
	refuses(FIRMWARE, "firmware", "behind ExitBootServices");
}

static void unknown_type(void **state)
{
	separators(0);
	event(6, 0x80001234, "?", 1);
	accepts(FIRMWARE);
}

/* A launch's log for a firmware's, and the reverse. */
static void of_other_kind(void **state)
{
	static const char events[] =
		"{\"events\": {\"9\": [{\"name\": \"x\", \"sha256\": \"00\"}]}}";

	separators(0);
	refuses(events, "event", "no event 1");
	assert_int_equal(v.reasons, 2);
	assert_string_equal(v.reason[1].word, "firmware");
	evidence.log_is_guests = false;
	refuses(FIRMWARE, "firmware", "measured launch");
	refuses(BOUND, "firmware", "measured launch");
}

static void not_quoted(void **state)
{
	separators(0);
	evidence.bank[0].pcrs = 0xff7f;
	refuses(FIRMWARE, "pcr", "not all quoted");
}

static void has(const char *const *list)
{
	images = list;
}

static void image_named(void **state)
{
	separators(0);
	has((const char *const[]){LOADER, BIOS, NULL});
	accepts(BOUND);
	accepts(FIRMWARE);
	refuses(BOUND_A, "firmware", "image \"bios\" has the digest sha256:" B64);
}

static void image_unknown(void **state)
{
	separators(0);
	refuses(BOUND, "firmware", "not started by `vtpmctl launch`");
	has((const char *const[]){LOADER, BIOS, LOADER, NULL});
	refuses(BOUND, "firmware", "none of a guest with firmware");
	has((const char *const[]){LOADER, NULL});
	refuses(BOUND, "firmware", "none of a guest with firmware");
	has((const char *const[]){NULL});
	refuses(BOUND, "firmware", "none of a guest with firmware");
}

static void image_malformed(void **state)
{
	static const char *const bad[] = {
		"kernel size=7 name=" A64,
		"firmware BIOS sha256=" B64 " size=7 name=x",
		"firmware bios\nsha256=" B64 " size=7 name=x",
		"firmware abcdefghijklmnop sha256=" B64 " size=7 name=x",
		"firmware bios sha1=" B64 " size=7 name=x",
		"firmware bios sha256=" A16 A16 A16 " size=7 name=" B64,
		"firmware bios sha256=" B16 B16 B16 "BBBBBBBBBBBBBBBB size=7 name=x",
		"firmware bios sha256=" B64,
		"firmware ",
		"",
	};

	separators(0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		has((const char *const[]){LOADER, bad[i], BIOS, NULL});
		refuses(BOUND, "firmware", "none of a guest with firmware");
	}
}

static void second_header(void **state)
{
	struct eventlog log;

	event(0, EVENTLOG_NO_ACTION, "Spec ID Event03", 16);
	assert_int_equal(eventlog_replay(bytes, len, &log), -EBADMSG);
	assert_non_null(strstr(log.why, "second header"));
}

static void legacy(void **state)
{
	struct eventlog log;

	len = 0;
	le(0, 4);
	le(8, 4);
	len += 20;
	le(4, 4);
	len += 4;
	assert_int_equal(eventlog_replay(bytes, len, &log), -EBADMSG);
	assert_non_null(strstr(log.why, "TPM 1.2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ovmf, setup),
		cmocka_unit_test_setup(ovmf_xen, setup),
		cmocka_unit_test_setup(ovmf_secure, setup),
		cmocka_unit_test_setup(seabios, setup),
		cmocka_unit_test_setup(cut_real_log, setup),
		cmocka_unit_test_setup(made_policy, setup),
		cmocka_unit_test_setup(made_policy_xen, setup),
		cmocka_unit_test_setup(secure_boot_on, setup),
		cmocka_unit_test_setup(secure_boot_off, setup),
		cmocka_unit_test_setup(secure_boot_lies, setup),
		cmocka_unit_test_setup(secure_boot_twice, setup),
		cmocka_unit_test_setup(secure_boot_late, setup),
		cmocka_unit_test_setup(secure_boot_elsewhere, setup),
		cmocka_unit_test_setup(secure_boot_renamed, setup),
		cmocka_unit_test_setup(secure_boot_of_bios, setup),
		cmocka_unit_test_setup(secure_boot_ended, setup),
		cmocka_unit_test_setup(separator_missing, setup),
		cmocka_unit_test_setup(separator_twice, setup),
		cmocka_unit_test_setup(separator_of_failure, setup),
		cmocka_unit_test_setup(behind_exit, setup),
		cmocka_unit_test_setup(unknown_type, setup),
		cmocka_unit_test_setup(of_other_kind, setup),
		cmocka_unit_test_setup(not_quoted, setup),
		cmocka_unit_test_setup(image_named, setup),
		cmocka_unit_test_setup(image_unknown, setup),
		cmocka_unit_test_setup(image_malformed, setup),
		cmocka_unit_test_setup(second_header, setup),
		cmocka_unit_test_setup(legacy, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
