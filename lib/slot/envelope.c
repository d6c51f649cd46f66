/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/slot/envelope.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/slot/slot.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

static const uint8_t header_magic[8] = {'X', 'V', 'T', 'P', 'M', 'H', 'D', 'R'};
static const uint8_t blob_magic[8] = {'X', 'V', 'T', 'P', 'M', 'B', 'L', 'B'};

#define MAC_SIZE   CRYPT_HASH_SIZE
#define SALT_SIZE  32
#define DESC_FIXED 6 /* of a description, before the Names */
#define BLOB_HEAD  (ENVELOPE_BLOB_OVERHEAD - CRYPT_TAG_SIZE)

#define FLAG_MEASURED  1
#define FLAG_RECOVERY  2
#define LOCALITIES_ALL 0x1f
#define BANKS_ALL      0x0f

/*@ requires cursor_holds(c) && c->wr != \null;
    requires \valid_read(magic + (0 .. 7)) && \valid_read(uuid + (0 .. ENVELOPE_UUID_SIZE - 1));
    requires \separated(c, magic + (0 .. 7), c->wr + (0 .. c->len - 1));
    requires \separated(c, uuid + (0 .. ENVELOPE_UUID_SIZE - 1), c->wr + (0 .. c->len - 1));
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c);
    ensures !c->bad ==> c->pos == \old(c->pos) + ENVELOPE_HEAD_SIZE; */
static void put_head(struct cursor *c, const uint8_t magic[8], uint16_t version,
		     uint16_t second, const uint8_t *uuid, uint64_t seq, uint64_t epoch)
{
	cursor_put(c, magic, sizeof(header_magic));
	cursor_put_u16(c, version);
	cursor_put_u16(c, second);
	cursor_put(c, uuid, ENVELOPE_UUID_SIZE);
	cursor_put_u64(c, seq);
	cursor_put_u64(c, epoch);
}

/* What follows the magic and the version. */
/*@ requires cursor_holds(c) && \valid(h) && \separated(h, c, c->rd + (0 .. c->len - 1));
    assigns c->pos, c->bad, *h;
    ensures cursor_holds(c);
    ensures !c->bad ==> !\old(c->bad) && c->pos == \old(c->pos) + ENVELOPE_HEAD_SIZE - 10; */
static void get_head(struct cursor *c, struct envelope_head *h)
{
	h->second = cursor_u16(c);
	cursor_copy(c, h->uuid, sizeof(h->uuid));
	h->seq = cursor_u64(c);
	h->epoch = cursor_u64(c);
}

int envelope_head_parse(uint16_t object, const uint8_t *buf, size_t len,
			struct envelope_head *h)
{
	const uint8_t *magic =
		object == CHANNEL_OBJECT_HEADER ? header_magic : blob_magic;
	struct cursor c = cursor_reader(buf, len);
	const uint8_t *seen = cursor_bytes(&c, sizeof(header_magic));

	(void)cursor_u16(&c);
	get_head(&c, h);
	return cursor_ok(&c) && !memcmp(seen, magic, sizeof(header_magic)) ? 0 : -EBADMSG;
}

size_t envelope_slot_kinds(const uint8_t *buf, size_t len, uint16_t *kinds, size_t room)
{
	struct cursor c = cursor_reader(buf, len);
	struct envelope_head h;
	size_t n = 0, i;

	(void)cursor_bytes(&c, ENVELOPE_HEAD_SIZE + DESC_FIXED);
	/*@ loop invariant i <= ENVELOPE_EKS && cursor_holds(&c);
	    loop assigns i, c.pos, c.bad;
	    loop variant ENVELOPE_EKS - i; */
	for (i = 0; i < ENVELOPE_EKS; i++)
		(void)cursor_bytes(&c, cursor_u16(&c));
	if (!envelope_head_parse(CHANNEL_OBJECT_HEADER, buf, len, &h))
		/*@ loop invariant n <= room && cursor_holds(&c);
		    loop assigns n, c.pos, c.bad, kinds[0 .. room - 1];
		    loop variant room - n; */
		for (; n < room && n < h.second && cursor_ok(&c); n++) {
			kinds[n] = cursor_u16(&c);
			(void)cursor_u16(&c);
			(void)cursor_bytes(&c, cursor_u32(&c));
		}
	return cursor_ok(&c) ? n : 0;
}

bool envelope_has_old_key(const uint8_t *header, size_t len)
{
	uint16_t kinds[ENVELOPE_SLOTS_MAX];
	size_t i, n = envelope_slot_kinds(header, len, kinds, ENVELOPE_SLOTS_MAX);

	/*@ loop invariant i <= n;
	    loop assigns i;
	    loop variant n - i; */
	for (i = 0; i < n; i++)
		if (kinds[i] == ENVELOPE_SLOT_OLD_KEY)
			return true;
	return false;
}

/*@ requires \valid_read(buf + (0 .. len - 1));
    requires \valid_read(data_key + (0 .. ENVELOPE_KEY_SIZE - 1));
    requires \valid(mac + (0 .. MAC_SIZE - 1));
    requires \separated(mac + (0 .. MAC_SIZE - 1), buf + (0 .. len - 1));
    assigns mac[0 .. MAC_SIZE - 1];
    ensures \result == 0 || \result == -EIO; */
static int header_mac(const uint8_t *buf, size_t len, const uint8_t *data_key,
		      uint8_t mac[MAC_SIZE])
{
	static const char info[] = "xen-vtpm header mac 2";
	const struct crypt_part part = {buf, len};
	uint8_t key[CRYPT_HASH_SIZE];
	int rc;

	rc = crypt_hkdf(data_key, ENVELOPE_KEY_SIZE, NULL, 0, (const uint8_t *)info,
			sizeof(info) - 1, key);
	if (!rc)
		rc = crypt_hmac(key, sizeof(key), &part, 1, mac);
	OPENSSL_cleanse(key, sizeof(key));
	/*@ assert crypt_wiped(&key[0], CRYPT_HASH_SIZE); */
	return rc;
}

bool envelope_name_ok(enum envelope_ek which, const struct envelope_name *name)
{
	/* nameAlg | digest: TCG EK Credential Profile, B.3 and B.4; Part 1, 16 */
	uint16_t len = which == ENVELOPE_EK_P384 ? 50 : 34;
	uint8_t alg = which == ENVELOPE_EK_P384 ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256;

	return !name->len ||
	       (name->len == len && name->bytes[0] == 0 && name->bytes[1] == alg);
}

/* Whether the description lets a slot of this kind open the vTPM. */
/*@ requires \valid_read(d);
    assigns \nothing;
    ensures \result && kind == ENVELOPE_SLOT_RECOVERY ==> d->recovery || d->policy == kind; */
static bool slot_belongs(const struct envelope_desc *d, uint16_t kind)
{
	const struct slot_kind *k = slot_kind_find(kind);

	return kind == d->policy ||
	       (k && k->is_extra && (kind != ENVELOPE_SLOT_RECOVERY || d->recovery));
}

/*@ requires \valid_read(d);
    assigns \nothing;
    ensures \result ==> envelope_desc_fits(d); */
static bool desc_ok(const struct envelope_desc *d)
{
	const struct slot_kind *policy = slot_kind_find(d->policy);
	unsigned int i;

	/*@ loop invariant i <= ENVELOPE_EKS;
	    loop invariant \forall integer j; 0 <= j < i ==> d->ek[j].len <= ENVELOPE_NAME_MAX;
	    loop assigns i;
	    loop variant ENVELOPE_EKS - i; */
	for (i = 0; i < ENVELOPE_EKS; i++)
		if (!envelope_name_ok(i, &d->ek[i]))
			return false;
	return policy && policy->is_policy && d->localities &&
	       d->localities <= LOCALITIES_ALL && d->pcr_banks <= BANKS_ALL;
}

/* The version of a header that has this policy. */
/*@ requires \valid_read(d);
    assigns \nothing; */
static uint16_t desc_version(const struct envelope_desc *d)
{
	const struct slot_kind *policy = slot_kind_find(d->policy);

	return policy && policy->is_pool ? ENVELOPE_VERSION_POOL : ENVELOPE_VERSION;
}

/*@ requires cursor_holds(c) && c->wr != \null && \valid_read(d) && envelope_desc_fits(d);
    requires \separated(c, d, c->wr + (0 .. c->len - 1));
    assigns c->pos, c->bad, c->wr[0 .. c->len - 1];
    ensures cursor_holds(c); */
static void put_desc(struct cursor *c, const struct envelope_desc *d)
{
	unsigned int i;

	cursor_put_u16(c, d->policy);
	cursor_put_u8(c, (d->measured ? FLAG_MEASURED : 0) |
				 (d->recovery ? FLAG_RECOVERY : 0));
	cursor_put_u8(c, d->tpm12 ? 12 : 20);
	cursor_put_u8(c, d->localities);
	cursor_put_u8(c, d->pcr_banks);
	/*@ loop invariant i <= ENVELOPE_EKS && cursor_holds(c);
	    loop assigns i, c->pos, c->bad, c->wr[0 .. c->len - 1];
	    loop variant ENVELOPE_EKS - i; */
	for (i = 0; i < ENVELOPE_EKS; i++) {
		cursor_put_u16(c, d->ek[i].len);
		cursor_put(c, d->ek[i].bytes, d->ek[i].len);
	}
}

/*@ requires cursor_holds(c) && \valid(d) && \separated(d, c, c->rd + (0 .. c->len - 1));
    assigns c->pos, c->bad, *d;
    ensures cursor_holds(c) && (\old(c->bad) ==> c->bad);
    ensures \result == 0 || \result == -EBADMSG;
    ensures \result == 0 ==> envelope_desc_fits(d) && !c->bad; */
static int parse_desc(struct cursor *c, struct envelope_desc *d)
{
	uint8_t flags, version;
	unsigned int i;

	d->policy = cursor_u16(c);
	flags = cursor_u8(c);
	version = cursor_u8(c);
	d->measured = flags & FLAG_MEASURED;
	d->recovery = flags & FLAG_RECOVERY;
	d->tpm12 = version == 12;
	d->localities = cursor_u8(c);
	d->pcr_banks = cursor_u8(c);
	/*@ loop invariant i <= ENVELOPE_EKS && cursor_holds(c);
	    loop invariant \at(c->bad, Pre) ==> c->bad;
	    loop assigns i, c->pos, c->bad, d->ek[0 .. ENVELOPE_EKS - 1];
	    loop variant ENVELOPE_EKS - i; */
	for (i = 0; i < ENVELOPE_EKS; i++) {
		d->ek[i].len = cursor_u16(c);
		if (d->ek[i].len > ENVELOPE_NAME_MAX)
			return -EBADMSG;
		cursor_copy(c, d->ek[i].bytes, d->ek[i].len);
	}
	return cursor_ok(c) && !(flags & ~(FLAG_MEASURED | FLAG_RECOVERY)) &&
			       (version == 12 || version == 20) && desc_ok(d)
		       ? 0
		       : -EBADMSG;
}

int envelope_header_seal(const struct envelope_header *h,
			 const uint8_t data_key[ENVELOPE_KEY_SIZE], uint8_t *out,
			 size_t *len)
{
	struct cursor c = cursor_writer(out, *len);
	uint8_t mac[MAC_SIZE];
	size_t i;
	int rc;

	if (!h->slot_count || h->slot_count > ENVELOPE_SLOTS_MAX || !desc_ok(&h->desc))
		return -EINVAL;
	put_head(&c, header_magic, desc_version(&h->desc), h->slot_count, h->uuid, h->seq,
		 h->epoch);
	put_desc(&c, &h->desc);
	/*@ loop invariant i <= h->slot_count && cursor_holds(&c);
	    loop assigns i, c.pos, c.bad, out[0 .. c.len - 1];
	    loop variant h->slot_count - i; */
	for (i = 0; i < h->slot_count; i++) {
		if (h->slots[i].len > ENVELOPE_SLOT_MAX ||
		    !slot_belongs(&h->desc, h->slots[i].kind))
			return -EINVAL;
		cursor_put_u16(&c, h->slots[i].kind);
		cursor_put_u16(&c, h->slots[i].id);
		cursor_put_u32(&c, h->slots[i].len);
		cursor_put(&c, h->slots[i].data, h->slots[i].len);
	}
	if (!cursor_ok(&c))
		return -ENOSPC;
	rc = header_mac(out, c.pos, data_key, mac);
	if (rc)
		return rc;
	cursor_put(&c, mac, sizeof(mac));
	if (!cursor_ok(&c))
		return -ENOSPC;
	*len = c.pos;
	return 0;
}

/*@ requires e == \null || \valid(e);
    assigns *e;
    ensures \result == -EBADMSG; */
static int header_corrupt(struct error *e, const char *why)
{
	return error_set(
		e, -EBADMSG, CAUSE_HEADER_CORRUPT,
		"the vTPM's header is corrupt (%s): restore it from its previous "
		"generation or a backup",
		why);
}

/* The magic and the version, which every later version keeps in their places.  newest: the
 * last one that is known of such an object. */
/*@ requires cursor_holds(c) && \valid_read(magic + (0 .. 7)) && (e == \null || \valid(e));
    requires \valid(version);
    requires \separated(e, version, c, c->rd + (0 .. c->len - 1), magic + (0 .. 7));
    assigns c->pos, c->bad, *version, *e;
    ensures cursor_holds(c) && (\result == 0 ==> cursor_moved{Pre, Post}(c, 10) && !c->bad);
    ensures \result == 0 || \result == -EBADMSG || \result == -EPROTONOSUPPORT; */
static int parse_start(struct cursor *c, const uint8_t magic[8], const char *what,
		       uint16_t newest, uint16_t *version, struct error *e)
{
	uint8_t seen[8];

	cursor_copy(c, seen, sizeof(seen));
	*version = cursor_u16(c);
	if (!cursor_ok(c) || memcmp(seen, magic, sizeof(seen)) || !*version)
		return -EBADMSG;
	if (*version < ENVELOPE_VERSION || *version > newest)
		return error_set(e, -EPROTONOSUPPORT, CAUSE_VERSION,
				 "the vTPM's %s has format version %u, but this program "
				 "knows only %u: install the xen-vtpm that wrote it",
				 what, *version, newest);
	return 0;
}

/*@ requires cursor_holds(c) && \valid(slot) && \separated(slot, c, c->rd + (0 .. c->len - 1));
    assigns c->pos, c->bad, *slot;
    ensures cursor_holds(c) && (\old(c->bad) ==> c->bad);
    ensures \result == 0 || \result == -EBADMSG;
    ensures \result == 0 ==> slot->kind != 0 && slot->len <= ENVELOPE_SLOT_MAX; */
static int parse_slot(struct cursor *c, struct envelope_slot *slot)
{
	uint32_t len;

	slot->kind = cursor_u16(c);
	slot->id = cursor_u16(c);
	len = cursor_u32(c);
	if (!cursor_ok(c) || !slot->kind || len > ENVELOPE_SLOT_MAX)
		return -EBADMSG;
	slot->len = (uint16_t)len;
	cursor_copy(c, slot->data, len);
	return cursor_ok(c) ? 0 : -EBADMSG;
}

/* The KEK is bound to the slot's id, so two slots must not share one. */
/*@ requires n < ENVELOPE_SLOTS_MAX && \valid_read(h);
    assigns \nothing;
    ensures !\result ==> \forall integer i; 0 <= i < n ==> h->slots[i].id != h->slots[n].id; */
static bool envelope_id_taken(const struct envelope_header *h, size_t n)
{
	size_t i;

	/*@ loop invariant i <= n;
	    loop invariant \forall integer j; 0 <= j < i ==> h->slots[j].id != h->slots[n].id;
	    loop assigns i;
	    loop variant n - i; */
	for (i = 0; i < n; i++)
		if (h->slots[i].id == h->slots[n].id)
			return true;
	return false;
}

/* Reads the slots of a header whose description is known.  Returns NULL, or why it is none. */
/*@ requires cursor_holds(c) && \valid(h) && \separated(h, c, c->rd + (0 .. c->len - 1));
    requires 0 < h->slot_count <= ENVELOPE_SLOTS_MAX && envelope_desc_fits(&h->desc);
    assigns c->pos, c->bad, h->slots[0 .. ENVELOPE_SLOTS_MAX - 1];
    ensures cursor_holds(c);
    ensures \result == \null ==> envelope_header_fits(h); */
static const char *parse_slots(struct cursor *c, struct envelope_header *h)
{
	size_t i;

	/*@ loop invariant i <= h->slot_count && cursor_holds(c);
	    loop invariant envelope_slots_fit(h, i);
	    loop assigns i, c->pos, c->bad, h->slots[0 .. ENVELOPE_SLOTS_MAX - 1];
	    loop variant h->slot_count - i; */
	for (i = 0; i < h->slot_count; i++) {
		if (parse_slot(c, &h->slots[i]) || envelope_id_taken(h, i))
			return "a key slot is out of range";
		if (!slot_belongs(&h->desc, h->slots[i].kind))
			return "it has a key slot that its policy does not name";
	}
	return NULL;
}

int envelope_header_parse(const uint8_t *buf, size_t len, struct envelope_header *h,
			  struct error *e)
{
	struct cursor c = cursor_reader(buf, len);
	struct envelope_head head;
	uint16_t version;
	const char *why;
	int rc;

	memset(h, 0, sizeof(*h));
	rc = parse_start(&c, header_magic, "header", ENVELOPE_VERSION_POOL, &version, e);
	if (rc == -EBADMSG)
		return header_corrupt(e, "it does not start as one");
	if (rc)
		return rc;
	get_head(&c, &head);
	if (!cursor_ok(&c) || !head.second || head.second > ENVELOPE_SLOTS_MAX)
		return header_corrupt(e, "its slot count is out of range");
	h->slot_count = head.second;
	memcpy(h->uuid, head.uuid, sizeof(h->uuid));
	h->seq = head.seq;
	h->epoch = head.epoch;
	if (parse_desc(&c, &h->desc))
		return header_corrupt(e, "its description is out of range");
	if (version != desc_version(&h->desc))
		return header_corrupt(e, "its version is not that of its policy");
	why = parse_slots(&c, h);
	if (why)
		return header_corrupt(e, why);
	(void)cursor_bytes(&c, MAC_SIZE);
	if (!cursor_done(&c))
		return header_corrupt(e, "its length is wrong");
	return 0;
}

int envelope_header_verify(const uint8_t *buf, size_t len,
			   const uint8_t data_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct cursor c = cursor_reader(buf, len);
	uint8_t mac[MAC_SIZE];
	const uint8_t *seen;
	int rc;

	if (len < MAC_SIZE)
		return header_corrupt(e, "it is too short");
	(void)cursor_bytes(&c, len - MAC_SIZE);
	seen = cursor_bytes(&c, MAC_SIZE);
	rc = header_mac(buf, len - MAC_SIZE, data_key, mac);
	if (rc)
		return error_crypto(e, rc, "HMAC-SHA256");
	if (CRYPTO_memcmp(mac, seen, MAC_SIZE))
		rc = header_corrupt(e, "its authentication code does not match its key");
	OPENSSL_cleanse(mac, sizeof(mac));
	return rc;
}

int envelope_header_open(const uint8_t *buf, size_t len,
			 const uint8_t data_key[ENVELOPE_KEY_SIZE],
			 struct envelope_header **out, struct error *e)
{
	struct envelope_header *h = malloc(sizeof(*h));
	int rc;

	if (!h)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	rc = envelope_header_parse(buf, len, h, e);
	if (!rc)
		rc = envelope_header_verify(buf, len, data_key, e);
	if (rc)
		free(h);
	else
		*out = h;
	return rc;
}

/*@ requires \valid_read(data_key + (0 .. ENVELOPE_KEY_SIZE - 1));
    requires \valid_read(salt + (0 .. SALT_SIZE - 1)) && \valid(key + (0 .. CRYPT_KEY_SIZE - 1));
    assigns key[0 .. CRYPT_KEY_SIZE - 1];
    ensures \result == 0 || \result == -EIO; */
static int blob_key(const uint8_t *data_key, const uint8_t salt[SALT_SIZE], uint16_t kind,
		    uint8_t key[CRYPT_KEY_SIZE])
{
	static const char label[] = "xen-vtpm blob";
	uint8_t info[sizeof(label) - 1 + 4];
	struct cursor c = cursor_writer(info, sizeof(info));

	cursor_put(&c, label, sizeof(label) - 1);
	cursor_put_u16(&c, ENVELOPE_VERSION);
	cursor_put_u16(&c, kind);
	return crypt_hkdf(data_key, ENVELOPE_KEY_SIZE, salt, SALT_SIZE, info,
			  sizeof(info), key);
}

/* Every blob has a key of its own (fresh salt), so a constant IV never repeats. */
static const uint8_t blob_iv[CRYPT_IV_SIZE];

int envelope_blob_seal(const uint8_t data_key[ENVELOPE_KEY_SIZE],
		       const struct envelope_blob *blob, const uint8_t *plain, size_t len,
		       uint8_t *out, size_t *out_len)
{
	struct cursor c = cursor_writer(out, BLOB_HEAD);
	uint8_t salt[SALT_SIZE], key[CRYPT_KEY_SIZE];
	int rc;

	if (len > INT32_MAX - ENVELOPE_BLOB_OVERHEAD)
		return -EINVAL;
	rc = crypt_random(salt, sizeof(salt));
	if (rc)
		return rc;
	put_head(&c, blob_magic, ENVELOPE_VERSION, blob->kind, blob->uuid, blob->seq,
		 blob->epoch);
	cursor_put(&c, salt, sizeof(salt));
	cursor_put_u32(&c, (uint32_t)len);
	rc = blob_key(data_key, salt, blob->kind, key);
	if (!rc)
		rc = crypt_gcm_seal(key, blob_iv, out, BLOB_HEAD, plain, len,
				    out + BLOB_HEAD, out + BLOB_HEAD + len);
	OPENSSL_cleanse(key, sizeof(key));
	/*@ assert crypt_wiped(&key[0], CRYPT_KEY_SIZE); */
	if (!rc)
		*out_len = len + ENVELOPE_BLOB_OVERHEAD;
	return rc;
}

/*@ requires e == \null || \valid(e);
    assigns *e;
    ensures \result == -EBADMSG; */
static int blob_corrupt(struct error *e, const char *why)
{
	return error_set(e, -EBADMSG, CAUSE_BLOB_CORRUPT,
			 "the vTPM's state is corrupt (%s): restore it from its previous "
			 "generation or a backup",
			 why);
}

int envelope_blob_open(const uint8_t data_key[ENVELOPE_KEY_SIZE],
		       struct envelope_blob *blob, const uint8_t *buf, size_t len,
		       uint8_t *plain, size_t *plain_len, struct error *e)
{
	struct cursor c = cursor_reader(buf, len);
	uint8_t salt[SALT_SIZE], key[CRYPT_KEY_SIZE];
	struct envelope_head head;
	const uint8_t *ct, *tag;
	uint16_t version;
	uint32_t n;
	int rc;

	rc = parse_start(&c, blob_magic, "state", ENVELOPE_VERSION, &version, e);
	if (rc == -EBADMSG)
		return blob_corrupt(e, "it does not start as one");
	if (rc)
		return rc;
	get_head(&c, &head);
	cursor_copy(&c, salt, sizeof(salt));
	n = cursor_u32(&c);
	ct = cursor_bytes(&c, n);
	tag = cursor_bytes(&c, CRYPT_TAG_SIZE);
	if (!cursor_done(&c))
		return blob_corrupt(e, "its length is wrong");
	if (memcmp(head.uuid, blob->uuid, sizeof(head.uuid)))
		return error_set(e, -EXDEV, CAUSE_WRONG_VTPM,
				 "the stored state belongs to another vTPM than its "
				 "header: put the files of one vTPM together again");
	if (head.second != blob->kind)
		return blob_corrupt(e, "it is an object of another kind");
	rc = blob_key(data_key, salt, blob->kind, key);
	if (!rc)
		rc = crypt_gcm_open(key, blob_iv, buf, BLOB_HEAD, ct, n, plain, tag);
	OPENSSL_cleanse(key, sizeof(key));
	/*@ assert crypt_wiped(&key[0], CRYPT_KEY_SIZE); */
	if (rc == -EBADMSG)
		return blob_corrupt(e, "its authentication tag does not match its key");
	if (rc)
		return error_crypto(e, rc, "AES-256-GCM");
	blob->seq = head.seq;
	blob->epoch = head.epoch;
	*plain_len = n;
	return 0;
}
