/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/predict.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "tools/vtpm-verify/eventlog.h"
#include "tools/vtpmctl/pefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EV_EVENT_TAG	0x6
#define EV_IPL		0xd
#define EV_APPLICATION	0x80000003u /* EV_EFI_BOOT_SERVICES_APPLICATION */
#define PCR_IMAGES	4
#define PCR_COMMANDS	8
#define PCR_FILES	9
#define FILES_MAX	1024	    /* that GRUB reads */
#define FILE_BYTES_MAX	(1 << 30)   /* of one */
#define IMAGE_BYTES_MAX (128 << 20) /* of one that is a PE image, which is read whole */
#define PART_BYTES	(64 << 10)
#define HASH		CRYPT_HASH_SIZE

struct predict {
	const struct predict_from *from;
	struct predicted *out;
	const struct tpm2_hash *alg;
	size_t bank;
	char *rename[PREDICT_RENAMES][2], *renames; /* of from->replace */
	size_t rename_count;
	char last[PATH_MAX]; /* the file that GRUB read last */
	/* what was measured of files, and what will be */
	struct {
		uint8_t was[HASH], is[HASH];
	} file[FILES_MAX];
	size_t file_count;
	uint32_t changed; /* bit n: an event of PCR n */
	bool tagged;	  /* by the kernel's EFI stub, in PCR 9, of something unknown */
};

static void say_unknown(struct predict *p, uint32_t pcr, const char *what,
			const char *why)
{
	char shown[200];

	text_clean(shown, sizeof(shown), what, strlen(what));
	fprintf(stderr, "PCR %u cannot be predicted: %s %s\n", pcr, shown, why);
	p->out->unknown |= 1u << pcr;
}

static void say_changed(struct predict *p, uint32_t pcr, const char *what)
{
	char shown[200];

	text_clean(shown, sizeof(shown), what, strlen(what));
	fprintf(stderr, "PCR %u: another %s\n", pcr, shown);
	p->changed |= 1u << pcr;
}

/* "OLD=NEW,OLD=NEW" */
static int take_renames(struct predict *p)
{
	char *at, *next, *is;

	if (!p->from->replace)
		return 0;
	p->renames = strdup(p->from->replace);
	if (!p->renames)
		return -ENOMEM;
	for (at = p->renames; at; at = next) {
		next = strchr(at, ',');
		if (next)
			*next++ = '\0';
		is = strchr(at, '=');
		if (!is || is == at || p->rename_count == PREDICT_RENAMES)
			return -EINVAL;
		*is++ = '\0';
		p->rename[p->rename_count][0] = at;
		p->rename[p->rename_count++][1] = is;
	}
	return 0;
}

/* The text with each OLD that is in it replaced; malloc()ed. */
static char *renamed(const struct predict *p, const char *text)
{
	char *out = NULL, *hit;
	size_t size = 0, i;
	FILE *f = open_memstream(&out, &size);

	while (f && *text) {
		for (i = 0, hit = NULL; i < p->rename_count && !hit; i++)
			if (!strncmp(text, p->rename[i][0], strlen(p->rename[i][0])))
				hit = p->rename[i][1];
		if (hit) {
			fputs(hit, f);
			text += strlen(p->rename[i - 1][0]);
		} else {
			fputc(*text++, f);
		}
	}
	if (f)
		fclose(f);
	return out;
}

/* Up to max bytes: a file that is changed meanwhile may have fewer than it had. */
static int read_bytes(int fd, uint8_t *bytes, size_t max, size_t *len)
{
	ssize_t n;

	for (*len = 0; *len < max; *len += (size_t)n) {
		n = read(fd, bytes + *len, max - *len);
		if (n < 0)
			return -errno;
		if (!n)
			break;
	}
	return 0;
}

static int hash_image(int fd, size_t size, uint8_t hash[HASH])
{
	uint8_t *bytes = malloc(size + 1);
	size_t len = 0;
	int rc = bytes ? read_bytes(fd, bytes, size, &len) : -ENOMEM;

	if (!rc)
		rc = pefile_hash(bytes, len, hash);
	free(bytes);
	return rc;
}

static int hash_bytes(int fd, uint8_t hash[HASH])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *part = malloc(PART_BYTES);
	uint64_t all = 0;
	size_t len = 0;
	int rc = !ctx || !part ? -ENOMEM : EVP_DigestInit(ctx, EVP_sha256()) ? 0 : -EIO;

	while (!rc) {
		rc = read_bytes(fd, part, PART_BYTES, &len);
		if (rc || !len)
			break;
		all += len;
		if (all > FILE_BYTES_MAX)
			rc = -EFBIG;
		else if (!EVP_DigestUpdate(ctx, part, len))
			rc = -EIO;
	}
	if (!rc && !EVP_DigestFinal(ctx, hash, NULL))
		rc = -EIO;
	EVP_MD_CTX_free(ctx);
	free(part);
	return rc;
}

/* The file's SHA-256, or as a PE image.  -ENOENT, what open() says, -EBADMSG: no PE image */
static int hash_file(const char *path, bool image, uint8_t hash[HASH])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
	struct stat s;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &s) || !S_ISREG(s.st_mode) ||
	    s.st_size > (image ? IMAGE_BYTES_MAX : FILE_BYTES_MAX))
		rc = -EINVAL;
	else
		rc = image ? hash_image(fd, (size_t)s.st_size, hash)
			   : hash_bytes(fd, hash);
	close(fd);
	return rc;
}

/* The file that GRUB or the firmware knows by this path: below /, /boot when that is a file
 * system of its own, or the EFI system partition.  Of several the one with the bytes that were
 * measured, or else the first. */
static int find_file(const struct predict *p, const char *path, bool image,
		     const uint8_t *was, uint8_t hash[HASH])
{
	const char *const below[] = {"", "/boot", p->from->esp};
	uint8_t one[HASH];
	char full[PATH_MAX];
	int rc, found = -ENOENT;

	if (strstr(path, "/../") || path[0] != '/')
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		if (snprintf(full, sizeof(full), "%s%s%s", p->from->root, below[i],
			     path) >= (int)sizeof(full))
			continue;
		rc = hash_file(full, image, one);
		if (!rc && (found || !memcmp(one, was, HASH)))
			memcpy(hash, one, HASH);
		if (!rc || (rc == -EBADMSG && found))
			found = rc;
	}
	return found;
}

static void note_file(struct predict *p, const uint8_t *was, const uint8_t *is)
{
	if (p->file_count == FILES_MAX)
		return;
	memcpy(p->file[p->file_count].was, was, HASH);
	memcpy(p->file[p->file_count++].is, is, HASH);
}

/* A file of this path was measured as digest, which becomes what it will be. */
static void predict_file(struct predict *p, uint32_t pcr, const char *path, bool image,
			 uint8_t digest[HASH])
{
	uint8_t was[HASH];
	char *now = renamed(p, path);
	size_t n = strlen(path);
	int rc;

	memcpy(was, digest, HASH);
	rc = now ? find_file(p, now, image, was, digest) : -ENOMEM;
	if (rc) {
		memcpy(digest, was, HASH);
		say_unknown(p, pcr, now ? now : path,
			    rc == -EBADMSG ? "is no PE image" : "is not there");
	} else if (memcmp(was, digest, HASH) != 0) {
		say_changed(p, pcr, now);
		if (n > 4 && !strcmp(path + n - 4, ".cfg"))
			say_unknown(p, PCR_COMMANDS, now,
				    "is another one, and GRUB's commands with it");
	}
	if (!rc)
		note_file(p, was, digest);
	free(now);
}

/* What GRUB measured of a text in PCR 8, behind what it calls it. */
static const char *const text_kinds[] = {
	"grub_cmd: ", "kernel_cmdline: ", "module_cmdline: "};

static int hash_text(const char *text, uint8_t hash[HASH])
{
	const struct crypt_part part = {text, strlen(text)};

	return crypt_sha256(&part, 1, hash);
}

static void predict_command(struct predict *p, const char *text, uint8_t digest[HASH])
{
	uint8_t hash[HASH];
	const char *said = NULL;
	char *now;

	for (size_t i = 0; i < ARRAY_SIZE(text_kinds) && !said; i++)
		if (!strncmp(text, text_kinds[i], strlen(text_kinds[i])))
			said = text + strlen(text_kinds[i]);
	now = said ? renamed(p, said) : NULL;
	if (!now || !strcmp(now, said)) {
		free(now);
		return;
	}
	if (hash_text(said, hash) || memcmp(hash, digest, HASH) != 0 ||
	    hash_text(now, digest))
		say_unknown(p, PCR_COMMANDS, said, "is not what was measured");
	else
		say_changed(p, PCR_COMMANDS, now);
	free(now);
}

/* Printable ASCII, with its zero; false: it is not. */
static bool take_text(const struct eventlog_event *e, char *out, size_t size)
{
	size_t n = e->len;

	while (n && !e->data[n - 1])
		n--;
	if (!n || n >= size || memchr(e->data, 0, n))
		return false;
	memcpy(out, e->data, n);
	out[n] = '\0';
	return true;
}

/* "(hd0,gpt2)/boot/vmlinuz": the path behind the device */
static const char *path_in(const char *text)
{
	const char *end = text[0] == '(' ? strchr(text, ')') : NULL;

	if (end)
		text = end + 1;
	return text[0] == '/' ? text : NULL;
}

static void predict_ipl(struct predict *p, const struct eventlog_event *e,
			uint8_t digest[HASH])
{
	char *text = malloc(e->len + 1);
	const char *path;

	if (!text || !take_text(e, text, e->len + 1)) {
		free(text);
		return;
	}
	path = path_in(text);
	if (e->pcr == PCR_COMMANDS) {
		predict_command(p, text, digest);
	} else if (path) {
		snprintf(p->last, sizeof(p->last), "%s", path);
		predict_file(p, PCR_FILES, path, false, digest);
	}
	free(text);
}

/* The file of a device path (UEFI 2.10, 10.3.5.4), "" when none is in it; false: it is in
 * none. */
static bool path_of_image(const struct eventlog_event *e, char *out, size_t size)
{
	struct cursor c = cursor_reader(e->data, e->len), node;
	size_t n = 0;

	(void)cursor_bytes(&c, 4 * 8); /* UEFI_IMAGE_LOAD_EVENT, PFP 1.05, 10.2.3 */
	out[0] = '\0';
	while (cursor_left(&c)) {
		unsigned int type = cursor_u8(&c), sub = cursor_u8(&c),
			     len = cursor_le16(&c);

		node = cursor_sub(&c, len < 4 ? 0 : len - 4u);
		if (len < 4 || type == 0x7f)
			break;
		while (type == 4 && sub == 4 && cursor_left(&node)) {
			unsigned int letter = cursor_le16(&node);

			if (!letter)
				break;
			if (letter > 0x7e || n + 1 >= size)
				return false;
			out[n++] = letter == '\\' ? '/' : (char)letter;
			out[n] = '\0';
		}
	}
	return cursor_ok(&c);
}

/* Started from a file of the EFI system partition; or, without a path, by shim, for GRUB,
 * which read the file before.  Others are in the firmware or on a card. */
static void predict_image(struct predict *p, const struct eventlog_event *e,
			  uint8_t digest[HASH])
{
	char path[PATH_MAX];
	bool by_shim = e->len <= 4 * 8 + 4;

	if (!path_of_image(e, path, sizeof(path)))
		say_unknown(p, PCR_IMAGES, "an image's path", "is none");
	else if (by_shim && p->last[0])
		predict_file(p, PCR_IMAGES, p->last, true, digest);
	else if (path[0])
		predict_file(p, PCR_IMAGES, path, true, digest);
}

/* The kernel's EFI stub measured what GRUB has read, or something else. */
static void predict_tagged(struct predict *p, uint8_t digest[HASH])
{
	for (size_t i = 0; i < p->file_count; i++)
		if (!memcmp(p->file[i].was, digest, HASH)) {
			memcpy(digest, p->file[i].is, HASH);
			return;
		}
	p->tagged = true;
}

static int predict_event(struct predict *p, const struct eventlog_event *e)
{
	uint8_t digest[HASH], *value = p->out->value[e->pcr];
	const struct crypt_part parts[] = {{value, HASH}, {digest, HASH}};

	memcpy(digest, e->digest[p->bank], HASH);
	if (e->type == EV_IPL && (e->pcr == PCR_COMMANDS || e->pcr == PCR_FILES))
		predict_ipl(p, e, digest);
	else if (e->type == EV_APPLICATION && e->pcr == PCR_IMAGES)
		predict_image(p, e, digest);
	else if (e->type == EV_EVENT_TAG && e->pcr == PCR_FILES)
		predict_tagged(p, digest);
	return e->type == EVENTLOG_NO_ACTION ? 0 : crypt_sha256(parts, 2, value);
}

/* Only these are replayed with other digests; of the others the log's value counts. */
static void settle_values(struct predict *p)
{
	for (unsigned int n = 0; n < APPROVAL_PCRS; n++)
		if (n != PCR_IMAGES && n != PCR_COMMANDS && n != PCR_FILES)
			memcpy(p->out->value[n], p->out->logged[n], HASH);
	if (p->tagged && p->changed & (1u << PCR_FILES | 1u << PCR_COMMANDS))
		say_unknown(p, PCR_FILES, "the kernel's EFI stub",
			    "measured what no file here has");
}

static int find_bank(struct predict *p, const struct eventlog *l)
{
	p->alg = tpm2_hash_of(TPM2_ALG_SHA256);
	for (p->bank = 0; p->bank < l->banks; p->bank++)
		if (l->alg[p->bank] == p->alg)
			return 0;
	return -ENOENT;
}

static int predict_all(struct predict *p, const uint8_t *log, size_t len,
		       const struct eventlog *l)
{
	struct eventlog_event e;
	size_t at = l->first;
	int rc = 0;

	for (unsigned int n = 0; n < APPROVAL_PCRS; n++)
		memcpy(p->out->logged[n], l->value[p->bank][n], HASH);
	while (!rc && eventlog_next(l, log, len, &at, &e))
		rc = predict_event(p, &e);
	settle_values(p);
	return rc;
}

int predict_run(const uint8_t *log, size_t len, const struct predict_from *from,
		struct predicted *out, struct error *e)
{
	struct predict *p = calloc(1, sizeof(*p));
	struct eventlog *l = calloc(1, sizeof(*l));
	int rc = p && l ? 0 : -ENOMEM;

	memset(out, 0, sizeof(*out));
	if (!rc) {
		p->from = from;
		p->out = out;
		rc = take_renames(p);
	}
	if (rc == -EINVAL)
		error_set(e, rc, CAUSE_INTERNAL,
			  "--replace takes OLD=NEW,OLD=NEW, at most %d of them",
			  PREDICT_RENAMES);
	if (!rc)
		rc = eventlog_replay(log, len, l);
	if (rc == -EBADMSG)
		error_set(e, rc, CAUSE_INTERNAL,
			  "the event log cannot be read: at event %zu %s", l->count,
			  l->why ? l->why : "it ends");
	if (!rc && find_bank(p, l))
		rc = error_set(e, -EBADMSG, CAUSE_INTERNAL,
			       "the event log has no SHA-256 digests: switch that bank "
			       "on in the firmware's set-up");
	if (!rc)
		rc = predict_all(p, log, len, l);
	if (rc && e->cause == CAUSE_NONE)
		error_set(e, rc, CAUSE_INTERNAL, "out of memory");
	if (p)
		free(p->renames);
	free(p);
	free(l);
	return rc;
}
