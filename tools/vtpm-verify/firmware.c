/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/firmware.h"
#include "include/compiler.h"
#include "lib/measure.h"
#include "lib/text.h"

#include <string.h>
#include <strings.h>

#define FIRMWARE_PCRS	  8 /* 0 to 7 are the firmware's: PFP 1.05, 3.3.4 */
#define SECURE_BOOT_PCR	  7
#define BOOT_SERVICES_PCR 5
#define BOOT_SERVICES_END "Exit Boot Services Returned with Success"
#define SEPARATOR_SIZE	  4

/* EFI_GLOBAL_VARIABLE and EFI_IMAGE_SECURITY_DATABASE_GUID, UEFI 2.10, 3.3 and 32.6.1 */
#define GLOBAL	 "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"
#define DATABASE "\xcb\xb2\x19\xd7\x3a\x3d\x96\x45\xa3\xbc\xda\xd0\x0e\x67\x65\x6f"

/* That PCR 7 starts with: PFP 1.05, 3.3.4.8 */
static const struct {
	const char *name, *guid;
} secure_variables[] = {
	{"SecureBoot", GLOBAL}, {"PK", GLOBAL},	   {"KEK", GLOBAL},
	{"db", DATABASE},	{"dbx", DATABASE},
};

enum { SECURE_BOOT, DB = 3, VARIABLES = ARRAY_SIZE(secure_variables) };

/* One pass through a log. */
struct walk {
	const struct side *side;
	struct verdict *v;
	bool asks;	    /* the policy: for Secure Boot or its variables */
	size_t n;	    /* of the event */
	size_t sha256;	    /* which digest is that */
	uint32_t separated; /* bit n: PCR n had its separator */
	bool has_left;	    /* ExitBootServices returned */
	size_t times[VARIABLES];
	uint8_t digest[VARIABLES][CRYPT_HASH_SIZE];
	bool secure_boot;
};

static void refuse_firmware(struct walk *w, const char *word,
			    const struct eventlog_event *e, const char *why)
{
	char name[96];

	eventlog_name(e, name, sizeof(name));
	verdict_add(w->v, word, "event %zu of the firmware's log (PCR %u, \"%s\") %s",
		    w->n, e->pcr, name, why);
}

/* PFP 1.05, 2.3.4 and 10.4.1: of 0 or of ones the firmware's part ends there; 1: it failed. */
static void note_separator(struct walk *w, const struct eventlog_event *e)
{
	static const uint8_t zeroes[SEPARATOR_SIZE], ones[] = {0xff, 0xff, 0xff, 0xff};

	if (e->pcr >= FIRMWARE_PCRS)
		return;
	if (e->len != SEPARATOR_SIZE || (memcmp(e->data, zeroes, sizeof(zeroes)) != 0 &&
					 memcmp(e->data, ones, sizeof(ones)) != 0))
		refuse_firmware(w, "firmware", e, "says that the firmware failed");
	else if (w->separated & 1u << e->pcr)
		refuse_firmware(w, "firmware", e, "ends that PCR's part a second time");
	w->separated |= 1u << e->pcr;
}

/* VARIABLES: it is none of them. */
static size_t find_variable(const struct eventlog_variable *is)
{
	size_t i;

	for (i = 0; i < VARIABLES; i++)
		if (!strcmp(secure_variables[i].name, is->name) &&
		    !memcmp(secure_variables[i].guid, is->guid, EVENTLOG_GUID))
			break;
	return i;
}

static void note_variable(struct walk *w, const struct eventlog_event *e)
{
	struct eventlog_variable is;
	size_t i;

	if (e->pcr != SECURE_BOOT_PCR || !eventlog_variable(e, &is))
		return;
	i = find_variable(&is);
	if (i == VARIABLES)
		return;
	if (w->times[i]++)
		refuse_firmware(w, "secure-boot", e, "says it a second time");
	if (w->separated & 1u << SECURE_BOOT_PCR)
		refuse_firmware(w, "secure-boot", e,
				"comes behind the end of the firmware's part");
	memcpy(w->digest[i], e->digest[w->sha256], CRYPT_HASH_SIZE);
	if (i == SECURE_BOOT)
		w->secure_boot = is.len == 1 && is.data[0] == 1;
}

/* EFI signature lists, as db is a whole (UEFI 2.10, 32.4.1), and no single entry of it. */
static bool is_lists(const struct eventlog_variable *is)
{
	struct cursor c = cursor_reader(is->data, is->len);

	while (cursor_left(&c)) {
		size_t size;

		(void)cursor_bytes(&c, EVENTLOG_GUID);
		size = cursor_le32(&c);
		(void)cursor_bytes(&c, 4 + 4); /* of the header, of an entry */
		(void)cursor_bytes(&c, size - EVENTLOG_GUID - 4 - 4 - 4);
	}
	return cursor_done(&c);
}

/*
 * No digest covers an event's type.  A guest can tell what the firmware extended PCR 7 with as
 * something else, and extend, and tell, what it likes behind it.  So everything there has to be
 * one of PFP 1.05, 3.3.4.8: a separator, a variable, or the entry of db (or of shim's lists)
 * that let a loader start.  None of them can be told as another one, since the data are what
 * the digest is of: a separator is no variable, and an entry is no whole variable.  A UEFI's
 * separator is 0; that of ones is a BIOS's, before which an option ROM may extend variables.
 */
static bool is_of_secure_boot(const struct eventlog_event *e)
{
	static const uint8_t zeroes[SEPARATOR_SIZE];
	struct eventlog_variable is;
	size_t i;

	if (e->type == EVENTLOG_SEPARATOR)
		return e->len == SEPARATOR_SIZE && !memcmp(e->data, zeroes, e->len);
	if (!eventlog_variable(e, &is))
		return false;
	if (e->type == EVENTLOG_VARIABLE_CONFIG)
		return true;
	i = find_variable(&is);
	return e->type == EVENTLOG_VARIABLE_AUTHORITY &&
	       (i == VARIABLES || (i == DB && !is_lists(&is)));
}

static void walk_event(struct walk *w, const struct eventlog_event *e)
{
	if (w->has_left) {
		refuse_firmware(
			w, "firmware", e,
			"comes behind ExitBootServices, when no firmware logs any "
			"more");
		return;
	}
	if (!eventlog_is_consistent(&w->side->log, e)) {
		refuse_firmware(w, "firmware", e,
				"has other data than its digest is the hash of");
		return;
	}
	if (w->asks && e->pcr == SECURE_BOOT_PCR && e->type != EVENTLOG_NO_ACTION &&
	    !is_of_secure_boot(e))
		refuse_firmware(w, "secure-boot", e,
				"is none of those by which PCR 7 tells of Secure Boot");
	if (e->type == EVENTLOG_SEPARATOR)
		note_separator(w, e);
	else if (e->type == EVENTLOG_VARIABLE_CONFIG)
		note_variable(w, e);
	else if (e->type == EVENTLOG_EFI_ACTION && e->pcr == BOOT_SERVICES_PCR)
		w->has_left = e->len == strlen(BOOT_SERVICES_END) &&
			      !memcmp(e->data, BOOT_SERVICES_END, e->len);
}

/* false: the log has no SHA-256 digests, and nothing was said. */
static bool walk_log(struct walk *w, const struct side *side, const json_t *firmware,
		     struct verdict *v)
{
	const struct evidence_bytes *log = &side->e->log;
	struct eventlog_event e;
	size_t at = side->log.first;

	memset(w, 0, sizeof(*w));
	w->side = side;
	w->v = v;
	w->asks = json_is_true(json_object_get(firmware, "secure_boot")) ||
		  json_object_size(json_object_get(firmware, "variables"));
	while (w->sha256 < side->log.banks &&
	       side->log.alg[w->sha256]->id != TPM2_ALG_SHA256)
		w->sha256++;
	if (w->sha256 == side->log.banks)
		return false;
	while (eventlog_next(&side->log, log->p, log->n, &at, &e)) {
		w->n++;
		walk_event(w, &e);
	}
	return true;
}

/* Without a separator in the log nothing says what the PCR has. */
static void check_ends(const struct walk *w)
{
	unsigned int pcr;

	for (pcr = 0; pcr < FIRMWARE_PCRS; pcr++)
		if (!(w->separated & 1u << pcr))
			verdict_add(w->v, "firmware",
				    "the firmware's log has no separator for PCR %u: the "
				    "firmware did not measure, or the log is cut",
				    pcr);
}

static void check_variables(const struct walk *w, const json_t *firmware)
{
	const json_t *variables = json_object_get(firmware, "variables"), *wanted;
	char hex[2 * CRYPT_HASH_SIZE + 1];
	size_t i;

	if (json_is_true(json_object_get(firmware, "secure_boot")) && !w->secure_boot)
		verdict_add(
			w->v, "secure-boot",
			"Secure Boot was off, or the firmware's log does not say that "
			"it was on (the variable SecureBoot in PCR 7)");
	for (i = 0; i < VARIABLES; i++) {
		wanted = json_object_get(variables, secure_variables[i].name);
		if (!wanted)
			continue;
		hex_encode(w->digest[i], CRYPT_HASH_SIZE, hex);
		if (!w->times[i])
			verdict_add(w->v, "secure-boot",
				    "the firmware's log does not have the variable %s",
				    secure_variables[i].name);
		else if (!policy_has(wanted, w->digest[i], CRYPT_HASH_SIZE))
			verdict_add(w->v, "secure-boot",
				    "the event of the variable %s has the SHA-256 digest "
				    "%s, which the policy does not name",
				    secure_variables[i].name, hex);
	}
}

static bool is_quoted(const struct side *s)
{
	size_t i;

	for (i = 0; i < s->e->banks; i++)
		if (s->e->bank[i].alg->id == TPM2_ALG_SHA256)
			return (s->e->bank[i].pcrs & 0xff) == 0xff;
	return false;
}

#define HASH_NAME   "sha256:"
#define HASH_DIGITS (2 * CRYPT_HASH_SIZE)

/* An image of the launch's record (lib/measure.h); the texts end with a zero. */
struct record_image {
	char kind[16], hash[sizeof(HASH_NAME) + HASH_DIGITS]; /* "sha256:..." */
};

static bool take_word(struct cursor *c, const char *word)
{
	const uint8_t *p = cursor_bytes(c, strlen(word));

	return p && !memcmp(p, word, strlen(word));
}

static bool take_image(const struct eventlog_event *e, struct record_image *image)
{
	struct cursor c = cursor_reader(e->data, e->len);
	const uint8_t *digits;
	size_t n = 0;

	memset(image, 0, sizeof(*image));
	if (e->type != EVENTLOG_NO_ACTION || !take_word(&c, MEASURE_FIRMWARE))
		return false;
	while (n < sizeof(image->kind) - 1 && cursor_ok(&c) &&
	       (image->kind[n] = (char)cursor_u8(&c)) >= 'a' && image->kind[n] <= 'z')
		n++;
	if (image->kind[n] != ' ' || !take_word(&c, "sha256="))
		return false;
	image->kind[n] = '\0';
	digits = cursor_bytes(&c, HASH_DIGITS);
	if (!digits || !take_word(&c, " size="))
		return false;
	memcpy(image->hash, HASH_NAME, strlen(HASH_NAME));
	memcpy(image->hash + strlen(HASH_NAME), digits, HASH_DIGITS);
	return strspn(image->hash + strlen(HASH_NAME), "0123456789abcdef") == HASH_DIGITS;
}

/* The record's next image; *at starts at record.first.  false: the end, or *bad. */
static bool next_image(const struct side *s, size_t *at, struct record_image *image,
		       bool *bad)
{
	const struct evidence_bytes *record = &s->e->record;
	struct eventlog_event e;

	if (!record->p || !eventlog_next(&s->record, record->p, record->n, at, &e))
		return false;
	*bad = !take_image(&e, image);
	return !*bad;
}

static bool names_image(const json_t *wanted, const char *hash)
{
	const json_t *item;
	size_t i;

	if (json_is_string(wanted))
		return !strcasecmp(json_string_value(wanted), hash);
	json_array_foreach(wanted, i, item) if (!strcasecmp(json_string_value(item),
							    hash)) return true;
	return false;
}

/* What libxl gave to the guest's domain, for which the host vouches, is what the policy names,
 * all of it. */
static void check_images(const struct side *vtpm, const json_t *wanted, struct verdict *v)
{
	unsigned int loaders = 0, bioses = 0;
	size_t at = vtpm->record.first;
	struct record_image image;
	bool bad = false;

	while (next_image(vtpm, &at, &image, &bad)) {
		loaders += !strcmp(image.kind, "hvmloader");
		bioses += !strcmp(image.kind, "bios");
		if (!names_image(wanted, image.hash))
			verdict_add(
				v, "firmware",
				"the guest's firmware image \"%s\" has the digest %s, "
				"which the policy does not name",
				image.kind, image.hash);
	}
	if (!vtpm->e->record.p)
		verdict_add(
			v, "firmware",
			"the policy names the guest's firmware, and the host does not "
			"say which one it gave to it: the guest was not started by "
			"`vtpmctl launch`");
	else if (bad || loaders != 1 || bioses != 1)
		verdict_add(
			v, "firmware",
			"the log of the guest's launch is none of a guest with firmware "
			"of its own");
}

static bool is_unbound(const json_t *firmware)
{
	const char *image = json_string_value(json_object_get(firmware, "image"));

	return !firmware || (image && !strcmp(image, "unbound"));
}

void judge_firmware(const struct policy *p, const struct side *vtpm, struct verdict *v)
{
	const json_t *firmware = json_object_get(p->all, "firmware");
	struct walk w;

	v->firmware_is_unbound = vtpm->e->log_is_guests && is_unbound(firmware);
	v->firmware_is_bound = vtpm->e->log_is_guests && !is_unbound(firmware);
	if (!firmware) {
		if (vtpm->e->log_is_guests && json_object_get(p->all, "events"))
			verdict_add(v, "firmware",
				    "the event log is of the guest's own firmware, which "
				    "the host does not vouch for, and the policy has no "
				    "\"firmware\" that accepts such a log");
		return;
	}
	if (!vtpm->e->log_is_guests) {
		verdict_add(
			v, "firmware",
			"the policy asks for the log of the guest's firmware, and the "
			"evidence has %s",
			vtpm->log.pcrs
				? "that of a measured launch"
				: "none: vtpm-attest in the guest puts it there, and "
				  "vtpmctl attest --event-log");
		return;
	}
	if (!is_unbound(firmware))
		check_images(vtpm, json_object_get(firmware, "image"), v);
	if (!walk_log(&w, vtpm, firmware, v)) {
		verdict_add(v, "firmware", "the firmware's log has no SHA-256 digests");
		return;
	}
	if (!is_quoted(vtpm))
		verdict_add(
			v, "pcr",
			"PCRs 0 to 7 of the sha256 bank were not all quoted, which the "
			"policy's \"firmware\" needs");
	check_ends(&w);
	check_variables(&w, firmware);
}

/* PCRs 1, 3, 5 and 6 change with the machine, the order of its disks, and its partitions. */
static bool is_of_code(uint32_t pcr)
{
	return pcr != 1 && pcr != 3 && pcr != 5 && pcr != 6;
}

static void add_hex(json_t *object, const char *key, const uint8_t *digest)
{
	char hex[2 * CRYPT_HASH_SIZE + 1];

	hex_encode(digest, CRYPT_HASH_SIZE, hex);
	json_object_set_new(object, key, json_string(hex));
}

static void add_policy_event(json_t *events, const struct walk *w,
			     const struct eventlog_event *e)
{
	char key[16], name[96];
	json_t *list, *item = json_object();

	snprintf(key, sizeof(key), "%u", e->pcr);
	eventlog_name(e, name, sizeof(name));
	list = json_object_get(events, key);
	if (!list) {
		list = json_array();
		json_object_set_new(events, key, list);
	}
	json_object_set_new(item, "name", json_string(name));
	add_hex(item, "sha256", e->digest[w->sha256]);
	json_array_append_new(list, item);
}

/* "unbound" where the host does not say which firmware it is. */
static json_t *policy_images(const struct side *vtpm)
{
	json_t *images = json_array();
	size_t at = vtpm->record.first;
	struct record_image image;
	bool bad = false;

	while (next_image(vtpm, &at, &image, &bad))
		json_array_append_new(images, json_string(image.hash));
	if (!bad && json_array_size(images))
		return images;
	json_decref(images);
	return json_string("unbound");
}

static json_t *policy_firmware(const struct walk *w)
{
	json_t *variables = json_object(), *firmware;
	size_t i;

	for (i = SECURE_BOOT + 1; i < VARIABLES; i++)
		if (w->times[i])
			add_hex(variables, secure_variables[i].name, w->digest[i]);
	firmware = json_pack("{s:o, s:b}", "image", policy_images(w->side), "secure_boot",
			     w->secure_boot);
	if (json_object_size(variables))
		json_object_set(firmware, "variables", variables);
	json_decref(variables);
	return firmware;
}

json_t *firmware_policy(const struct policy *p, const struct side *vtpm)
{
	const struct evidence_bytes *log = &vtpm->e->log;
	json_t *all = json_copy(p->all), *events = json_object();
	size_t at = vtpm->log.first;
	struct eventlog_event e;
	struct verdict ignored = {0};
	struct walk w;

	if (!all || !events || !walk_log(&w, vtpm, NULL, &ignored)) {
		json_decref(all);
		json_decref(events);
		return NULL;
	}
	while (eventlog_next(&vtpm->log, log->p, log->n, &at, &e))
		if (is_of_code(e.pcr) && eventlog_is_telling(&e, e.digest[w.sha256]))
			add_policy_event(events, &w, &e);
	json_object_set_new(all, "firmware", policy_firmware(&w));
	json_object_set_new(all, "events", events);
	return all;
}
