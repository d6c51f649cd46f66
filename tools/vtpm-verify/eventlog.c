/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/eventlog.h"
#include "include/compiler.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHA1_SIZE   20
#define SIGNATURE   "Spec ID Event03"
#define SPEC_ID_ANY "Spec ID Event"
#define LOCALITY    "StartupLocality"
#define DYNAMIC_FIRST \
	17 /* PCRs that start with ones (PC Client Platform TPM Profile, 4.6) */
#define DYNAMIC_LAST 22

/* The first reason stays. */
static void refuse_log(struct cursor *c, struct eventlog *log, const char *why)
{
	if (cursor_ok(c) && !log->why)
		log->why = why;
	cursor_fail(c);
}

static bool has_twice(const struct eventlog *log, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (log->alg[i] == log->alg[n])
			return true;
	return false;
}

/* TCG_EfiSpecIdEvent, 10.4.5.1: which algorithms the log has. */
static void take_spec_id(struct cursor *c, struct eventlog *log)
{
	char signature[sizeof(SIGNATURE)];
	uint32_t i, n;

	cursor_copy(c, signature, sizeof(signature));
	(void)cursor_bytes(c, 4 + 1 + 1 + 1 + 1); /* class, version, errata, uintn */
	n = cursor_le32(c);
	if (memcmp(signature, SIGNATURE, sizeof(signature)) != 0)
		refuse_log(c, log, "it is no log in the crypto-agile format");
	if (!n || n > EVENTLOG_BANKS)
		refuse_log(c, log, "its header has no bank, or more than any TPM");
	for (i = 0; cursor_ok(c) && i < n; i++) {
		log->alg[i] = tpm2_hash_of(cursor_le16(c));
		if (!log->alg[i] || cursor_le16(c) != log->alg[i]->size)
			refuse_log(c, log,
				   "its header has a hash that is not known, or another "
				   "size than that hash has");
		else if (has_twice(log, i))
			refuse_log(c, log, "its header has a hash twice");
	}
	log->banks = cursor_ok(c) ? n : 0;
	(void)cursor_bytes(c, cursor_u8(c)); /* vendorInfo */
	if (!cursor_done(c))
		refuse_log(c, log, "its header is longer or shorter than it says");
}

/* The first event, in the TPM 1.2 format (TCG_PCClientPCREvent): 10.4.5 */
static int take_header(struct cursor *c, struct eventlog *log)
{
	uint32_t pcr = cursor_le32(c), type = cursor_le32(c);
	struct cursor spec;

	(void)cursor_bytes(c, SHA1_SIZE);
	spec = cursor_sub(c, cursor_le32(c));
	if (!cursor_ok(c))
		return -EBADMSG;
	if (pcr || type != EVENTLOG_NO_ACTION) {
		log->why =
			"it is in the format of TPM 1.2, which has SHA-1 digests only: "
			"the firmware has to write the crypto-agile format";
		return -EBADMSG;
	}
	take_spec_id(&spec, log);
	if (!cursor_done(&spec))
		return -EBADMSG;
	log->first = c->pos;
	return 0;
}

static bool take_digest(struct cursor *c, const struct eventlog *log,
			struct eventlog_event *e)
{
	uint16_t id = cursor_le16(c);
	size_t i;

	for (i = 0; i < log->banks && log->alg[i]->id != id; i++)
		;
	if (i == log->banks || e->digest[i])
		return false;
	e->digest[i] = cursor_bytes(c, log->alg[i]->size);
	return true;
}

/* TCG_PCR_EVENT2, 10.2.2.  NULL, or why it is refused, and the cursor is bad. */
static const char *take_event(struct cursor *c, const struct eventlog *log,
			      struct eventlog_event *e)
{
	const char *why = NULL;
	uint32_t i, n;

	memset(e, 0, sizeof(*e));
	e->pcr = cursor_le32(c);
	e->type = cursor_le32(c);
	n = cursor_le32(c);
	if (e->pcr >= EVENTLOG_PCRS)
		why = "there is no such PCR";
	else if (n != log->banks)
		why = "it has more or fewer digests than the header has banks";
	for (i = 0; !why && cursor_ok(c) && i < log->banks; i++)
		if (!take_digest(c, log, e))
			why = "it has a digest of another bank than the header's, or one "
			      "twice";
	e->len = cursor_le32(c);
	e->data = cursor_bytes(c, e->len);
	if (!cursor_ok(c))
		return "the log is cut there, or a size in it is too large";
	if (why)
		cursor_fail(c);
	return why;
}

static void reset(struct eventlog *log)
{
	size_t i, pcr;

	for (i = 0; i < log->banks; i++)
		for (pcr = DYNAMIC_FIRST; pcr <= DYNAMIC_LAST; pcr++)
			memset(log->value[i][pcr], 0xff, log->alg[i]->size);
}

/* 10.4.5.3: Startup from another locality than 0 leaves it in PCR 0. */
static void start_locality(struct eventlog *log, const struct eventlog_event *e)
{
	size_t i, size = sizeof(LOCALITY);

	if (e->pcr || e->len != size + 1 || memcmp(e->data, LOCALITY, size) != 0)
		return;
	for (i = 0; i < log->banks; i++)
		log->value[i][0][log->alg[i]->size - 1] = e->data[size];
}

static int extend(struct eventlog *log, const struct eventlog_event *e)
{
	size_t i;
	int rc = 0;

	if (e->type == EVENTLOG_NO_ACTION) {
		if (!(log->pcrs & 1))
			start_locality(log, e);
		return 0;
	}
	for (i = 0; !rc && i < log->banks; i++) {
		uint8_t *value = log->value[i][e->pcr];
		const struct crypt_part parts[] = {{value, log->alg[i]->size},
						   {e->digest[i], log->alg[i]->size}};

		rc = tpm2_digest(log->alg[i], parts, 2, value);
	}
	log->pcrs |= 1u << e->pcr;
	return rc;
}

static bool has_text(const struct eventlog_event *e, const char *text, size_t n)
{
	return e->len >= n && !memcmp(e->data, text, n);
}

int eventlog_replay(const uint8_t *buf, size_t len, struct eventlog *log)
{
	struct cursor c = cursor_reader(buf, len);
	struct eventlog_event e;
	int rc;

	memset(log, 0, sizeof(*log));
	rc = take_header(&c, log);
	if (rc && !log->why)
		log->why = "its header is cut, or a size in it is too large";
	reset(log);
	while (!rc && cursor_left(&c)) {
		log->why = take_event(&c, log, &e);
		log->count++;
		if (!log->why && log->count > EVENTLOG_EVENTS)
			log->why = "these are more events than any boot has";
		if (!log->why && e.type == EVENTLOG_NO_ACTION &&
		    has_text(&e, SPEC_ID_ANY, sizeof(SPEC_ID_ANY) - 1))
			log->why = "it is a second header: two logs are in one";
		rc = log->why ? -EBADMSG : extend(log, &e);
	}
	return rc;
}

bool eventlog_next(const struct eventlog *log, const uint8_t *buf, size_t len, size_t *at,
		   struct eventlog_event *e)
{
	struct cursor c = cursor_reader(buf, len);

	(void)cursor_bytes(&c, *at);
	if (!cursor_left(&c))
		return false;
	if (take_event(&c, log, e))
		return false;
	*at = c.pos;
	return cursor_ok(&c);
}

const uint8_t *eventlog_value(const struct eventlog *log, const struct tpm2_hash *alg,
			      unsigned int pcr)
{
	size_t i;

	for (i = 0; i < log->banks; i++)
		if (log->alg[i] == alg)
			return log->value[i][pcr];
	return NULL;
}

/* A separator of the specification's own bytes says nothing (PFP 1.05, 2.3.4). */
static bool is_separator(const struct eventlog_event *e, const uint8_t *digest)
{
	static const uint8_t zeroes[4];
	const struct crypt_part part = {zeroes, sizeof(zeroes)};
	uint8_t hash[CRYPT_HASH_SIZE];

	return e->type == EVENTLOG_SEPARATOR && !crypt_sha256(&part, 1, hash) &&
	       !memcmp(digest, hash, sizeof(hash));
}

bool eventlog_is_telling(const struct eventlog_event *e, const uint8_t *digest)
{
	return e->type != EVENTLOG_NO_ACTION && !is_separator(e, digest);
}

bool eventlog_is_covered(uint32_t type)
{
	switch (type) {
	case EVENTLOG_SEPARATOR:
	case EVENTLOG_S_CRTM_VERSION:
	case EVENTLOG_VARIABLE_CONFIG:
	case EVENTLOG_VARIABLE_AUTHORITY:
	case EVENTLOG_EFI_ACTION:
	case EVENTLOG_GPT:
		return true;
	default:
		return false;
	}
}

bool eventlog_is_consistent(const struct eventlog *log, const struct eventlog_event *e)
{
	const struct crypt_part part = {e->data, e->len};
	uint8_t digest[TPM2_HASH_MAX];
	size_t i;

	for (i = 0; eventlog_is_covered(e->type) && i < log->banks; i++)
		if (tpm2_digest(log->alg[i], &part, 1, digest) ||
		    memcmp(digest, e->digest[i], log->alg[i]->size) != 0)
			return false;
	return true;
}

/* PFP 1.05, 10.4.1; types of systemd and of GRUB are among them. */
static const struct {
	uint32_t type;
	const char *name;
} type_names[] = {
	{0x0, "EV_PREBOOT_CERT"},
	{0x1, "EV_POST_CODE"},
	{0x3, "EV_NO_ACTION"},
	{0x4, "EV_SEPARATOR"},
	{0x5, "EV_ACTION"},
	{0x6, "EV_EVENT_TAG"},
	{0x7, "EV_S_CRTM_CONTENTS"},
	{0x8, "EV_S_CRTM_VERSION"},
	{0x9, "EV_CPU_MICROCODE"},
	{0xa, "EV_PLATFORM_CONFIG_FLAGS"},
	{0xb, "EV_TABLE_OF_DEVICES"},
	{0xc, "EV_COMPACT_HASH"},
	{0xd, "EV_IPL"},
	{0xe, "EV_IPL_PARTITION_DATA"},
	{0xf, "EV_NONHOST_CODE"},
	{0x10, "EV_NONHOST_CONFIG"},
	{0x11, "EV_NONHOST_INFO"},
	{0x12, "EV_OMIT_BOOT_DEVICE_EVENTS"},
	{0x13, "EV_POST_CODE2"},
	{0x80000001, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
	{0x80000002, "EV_EFI_VARIABLE_BOOT"},
	{0x80000003, "EV_EFI_BOOT_SERVICES_APPLICATION"},
	{0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER"},
	{0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER"},
	{0x80000006, "EV_EFI_GPT_EVENT"},
	{0x80000007, "EV_EFI_ACTION"},
	{0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
	{0x80000009, "EV_EFI_HANDOFF_TABLES"},
	{0x8000000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
	{0x8000000b, "EV_EFI_HANDOFF_TABLES2"},
	{0x8000000c, "EV_EFI_VARIABLE_BOOT2"},
	{0x8000000d, "EV_EFI_GPT_EVENT2"},
	{0x80000010, "EV_EFI_HCRTM_EVENT"},
	{0x800000e0, "EV_EFI_VARIABLE_AUTHORITY"},
	{0x800000e1, "EV_EFI_SPDM_FIRMWARE_BLOB"},
	{0x800000e2, "EV_EFI_SPDM_FIRMWARE_CONFIG"},
};

static void name_type(uint32_t type, char *out, size_t size)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(type_names); i++)
		if (type_names[i].type == type) {
			snprintf(out, size, "%s", type_names[i].name);
			return;
		}
	snprintf(out, size, "of type 0x%x", type);
}

/* UEFI_VARIABLE_DATA, 10.4.2.3.  The 64-bit lengths are of UCS-2 characters and of bytes. */
bool eventlog_variable(const struct eventlog_event *e, struct eventlog_variable *v)
{
	struct cursor c = cursor_reader(e->data, e->len);
	uint32_t chars, size, i;

	memset(v, 0, sizeof(*v));
	v->guid = cursor_bytes(&c, EVENTLOG_GUID);
	chars = cursor_le32(&c);
	if (cursor_le32(&c) || chars >= sizeof(v->name))
		return false;
	size = cursor_le32(&c);
	if (cursor_le32(&c))
		return false;
	for (i = 0; i < chars; i++) {
		uint16_t u = cursor_le16(&c);

		if (u <= ' ' || u > '~')
			return false;
		v->name[i] = (char)u;
	}
	v->len = size;
	v->data = cursor_bytes(&c, size);
	return cursor_done(&c);
}

void eventlog_name(const struct eventlog_event *e, char *out, size_t size)
{
	size_t i, n = e->len < 80 ? e->len : 80;
	struct eventlog_variable variable;

	if ((e->type == EVENTLOG_VARIABLE_CONFIG ||
	     e->type == EVENTLOG_VARIABLE_AUTHORITY) &&
	    eventlog_variable(e, &variable)) {
		snprintf(out, size, "%s", variable.name);
		return;
	}
	while (n && !e->data[n - 1])
		n--;
	for (i = 0; i < n; i++)
		if (e->data[i] < ' ' || e->data[i] > '~')
			break;
	if (n && i == n)
		snprintf(out, size, "%.*s", (int)n, (const char *)e->data);
	else
		name_type(e->type, out, size);
}
