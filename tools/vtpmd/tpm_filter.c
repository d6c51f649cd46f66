/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/tpm_filter.h"

#include <errno.h>
#include <string.h>

#define HASH_SIZE 32
#define NAME_SIZE 34
/* TPM2B_PRIVATE of a pool's key, encrypted to the storage key (lib/tpm2/duplicate.h) */
#define DUPLICATE_SIZE (2 + HASH_SIZE + 2 + 2 + 2 + 2 + HASH_SIZE + 2 + HASH_SIZE)
/* TPMU_HA's largest: a ticket's digest */
#define DIGEST_MAX 64

/* Of lib/slot/shares.h, without its terminating zero */
static const uint8_t pool_label[sizeof(SHARES_POOL_LABEL) - 1] = SHARES_POOL_LABEL;

/* One command, while it is read. */
struct check {
	struct cursor c;
	const struct tpm_filter *f;
	const struct tpm_filter_host *host;
	struct tpm_filter_verdict *v;
};

/*
 * check_holds    what is compared lies apart from what is written
 * check_kept     which command is read, and what it is compared with, are the same
 * check_went_on  it is that command, and the cursor is bad, or was good
 * check_took     it is that command, and the cursor is bad, or was good and took n bytes
 * check_begins   what follows a command's header is read next
 */
/*@ predicate check_holds(struct check *k) =
	\valid(k) && cursor_holds(&k->c) && \valid_read(k->f) && \valid(k->v) &&
	tpm_filter_pinned(k->host) &&
	\separated(k, k->v, k->f, k->host);
    predicate check_kept{A, B}(struct check *k) =
	\at(k->c.rd, A) == \at(k->c.rd, B) && \at(k->f, A) == \at(k->f, B) &&
	\at(k->host, A) == \at(k->host, B) && \at(k->v, A) == \at(k->v, B);
    predicate check_took{A, B}(struct check *k, integer n) =
	check_kept{A, B}(k) &&
	(!\at(k->c.bad, B) ==>
	 !\at(k->c.bad, A) && \at(k->c.pos, B) == \at(k->c.pos, A) + n);
    predicate check_went_on{A, B}(struct check *k) =
	check_kept{A, B}(k) && (!\at(k->c.bad, B) ==> !\at(k->c.bad, A));
    predicate check_begins(struct check *k) = check_holds(k) && k->c.pos == 10; */

/*@ requires check_holds(k);
    assigns k->c.bad, k->v->why;
    ensures check_holds(k) && check_kept{Pre, Post}(k) && k->c.bad; */
static void fail(struct check *k, const char *why)
{
	if (!k->v->why && cursor_ok(&k->c))
		k->v->why = why;
	cursor_fail(&k->c);
}

/*@ requires check_holds(k);
    assigns k->c.bad;
    ensures check_holds(k);
    ensures k->c.bad <==> \old(k->c.bad) || !is; */
static void want(struct check *k, bool is)
{
	if (!is)
		cursor_fail(&k->c);
}

/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 1);
    ensures !k->c.bad ==> k->c.rd[\old(k->c.pos)] == value; */
static void want_u8(struct check *k, uint8_t value)
{
	want(k, cursor_u8(&k->c) == value);
}

/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 2);
    ensures !k->c.bad ==> cursor_be16(k->c.rd + \old(k->c.pos)) == value; */
static void want_u16(struct check *k, uint16_t value)
{
	want(k, cursor_u16(&k->c) == value);
}

/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 4);
    ensures !k->c.bad ==> cursor_be32(k->c.rd + \old(k->c.pos)) == value; */
static void want_u32(struct check *k, uint32_t value)
{
	want(k, cursor_u32(&k->c) == value);
}

/* A TPM2B of so many bytes, whatever they are. */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 2 + size);
    ensures !k->c.bad ==> cursor_be16(k->c.rd + \old(k->c.pos)) == size; */
static void want_bytes(struct check *k, uint16_t size)
{
	want_u16(k, size);
	(void)cursor_bytes(&k->c, size);
}

/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 2 + cursor_be16(k->c.rd + \old(k->c.pos)));
    ensures !k->c.bad ==> cursor_be16(k->c.rd + \old(k->c.pos)) <= max; */
static void want_bytes_up_to(struct check *k, uint16_t max)
{
	uint16_t size = cursor_u16(&k->c);

	want(k, size <= max);
	(void)cursor_bytes(&k->c, size);
}

/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 4);
    ensures !k->c.bad ==> tpm_filter_srk(k->host, cursor_be32(k->c.rd + \old(k->c.pos))); */
static void want_srk(struct check *k)
{
	uint32_t handle = cursor_u32(&k->c);

	if (!k->host->srk || handle != k->host->srk)
		fail(k, "it names a key that is not the manager's to use");
}

/*@ requires \valid_read(f);
    assigns \nothing;
    ensures \result != TPM_FILTER_NONE ==> tpm_filter_own(f, handle, \result); */
static enum tpm_filter_kind kind_of(const struct tpm_filter *f, uint32_t handle)
{
	size_t i;

	/*@ loop invariant i <= TPM_FILTER_HANDLES;
	    loop assigns i;
	    loop variant TPM_FILTER_HANDLES - i; */
	for (i = 0; i < ARRAY_SIZE(f->own); i++)
		if (f->own[i].kind && f->own[i].handle == handle)
			return f->own[i].kind;
	return TPM_FILTER_NONE;
}

/*@ requires check_holds(k) && kind != TPM_FILTER_NONE;
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 4);
    ensures !k->c.bad ==> tpm_filter_own(k->f, cursor_be32(k->c.rd + \old(k->c.pos)), kind); */
static void want_own(struct check *k, enum tpm_filter_kind kind)
{
	uint32_t handle = cursor_u32(&k->c);

	if (kind_of(k->f, handle) != kind)
		fail(k, "it names an object or a session that this vTPM does not have");
}

/* The command makes one more handle. */
/*@ requires check_holds(k);
    assigns k->c.bad, k->v->why, k->v->gives;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures k->v->gives == kind; */
static void gives(struct check *k, enum tpm_filter_kind kind)
{
	size_t i;

	/*@ loop invariant i <= TPM_FILTER_HANDLES;
	    loop assigns i;
	    loop variant TPM_FILTER_HANDLES - i; */
	for (i = 0; i < ARRAY_SIZE(k->f->own) && k->f->own[i].kind; i++)
		;
	if (i == ARRAY_SIZE(k->f->own))
		fail(k, "it has too many objects and sessions in the TPM already");
	k->v->gives = kind;
}

/* One TPMS_AUTH_COMMAND (Part 2, 10.13.2) with a session that this manager started. */
/*@ requires check_holds(k) && kind != TPM_FILTER_NONE;
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 77);
    ensures !k->c.bad ==> tpm_filter_auth(k->f, k->c.rd, \old(k->c.pos), kind, attributes); */
static void want_auth(struct check *k, enum tpm_filter_kind kind, uint8_t attributes)
{
	want_u32(k, 4 + 2 + HASH_SIZE + 1 + 2 + HASH_SIZE);
	want_own(k, kind);
	want_bytes(k, HASH_SIZE); /* nonceCaller */
	want_u8(k, attributes);
	want_bytes(k, HASH_SIZE); /* hmac */
}

/* The storage key as the parent of an object, which a session for HMACs authorizes */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 81);
    ensures !k->c.bad ==>
	    tpm_filter_parent(k->f, k->host, k->c.rd, \old(k->c.pos), attributes); */
static void want_parent(struct check *k, uint8_t attributes)
{
	want_srk(k);
	want_auth(k, TPM_FILTER_HMAC, attributes);
}

/* TPM2B_PUBLIC of so many bytes (Part 2, 12.2.4), up to its authPolicy */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 44);
    ensures !k->c.bad ==>
	    tpm_filter_template(k->c.rd, \old(k->c.pos), size, attributes); */
static void want_template(struct check *k, uint16_t size, uint32_t attributes)
{
	want_u16(k, size);
	want_u16(k, TPM2_ALG_KEYEDHASH);
	want_u16(k, TPM2_ALG_SHA256);
	want_u32(k, attributes);
	want_bytes(k, HASH_SIZE); /* authPolicy */
}

/* Of a sealed object; the TPM fills unique in. */
/*@ requires check_holds(k) && unique <= 32;
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 48 + unique);
    ensures !k->c.bad ==> tpm_filter_sealed(k->c.rd, \old(k->c.pos), unique); */
static void want_sealed(struct check *k, uint16_t unique)
{
	want_template(k, 2 + 2 + 4 + 2 + HASH_SIZE + 2 + 2 + unique,
		      TPM_FILTER_SEALED_ATTRIBUTES);
	want_u16(k, TPM2_ALG_NULL); /* scheme: data, not a key */
	want_bytes(k, unique);
}

/* Of a pool's key: an HMAC key, and nothing that could be unsealed */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 82);
    ensures !k->c.bad ==> tpm_filter_share(k->c.rd, \old(k->c.pos)); */
static void want_share(struct check *k)
{
	want_template(k, 2 + 2 + 4 + 2 + HASH_SIZE + 2 + 2 + 2 + HASH_SIZE,
		      TPM_FILTER_SHARE_ATTRIBUTES);
	want_u16(k, TPM2_ALG_HMAC);
	want_u16(k, TPM2_ALG_SHA256);
	want_bytes(k, HASH_SIZE); /* unique */
}

/* Whether the object that follows is a pool's key, by its attributes. */
/*@ requires check_holds(k);
    assigns \nothing; */
static bool is_share(const struct check *k)
{
	struct cursor c = cursor_reader(k->c.rd + k->c.pos, cursor_left(&k->c));

	(void)cursor_bytes(&c, 2 + 2 + 2);
	return cursor_u32(&c) == TPM_FILTER_SHARE_ATTRIBUTES;
}

/* TPML_PCR_SELECTION of the SHA-256 bank (Part 2, 10.9.7) */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 10);
    ensures !k->c.bad ==> tpm_filter_selection(k->c.rd, \old(k->c.pos)); */
static void want_selection(struct check *k)
{
	want_u32(k, 1);
	want_u16(k, TPM2_ALG_SHA256);
	want_u8(k, 3);
	(void)cursor_bytes(&k->c, 3);
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_create(k->f, k->host, k->c.rd, k->c.pos); */
static void check_create(struct check *k)
{
	want_parent(k, TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT);
	want_bytes_up_to(k, TPM_FILTER_SENSITIVE_MAX);
	want_sealed(k, 0);
	want_bytes(k, 0); /* outsideInfo */
	want_u32(k, 0);	  /* creationPCR */
}

/* Of an object that the TPM made, or imported; returns what it is. */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==>
	    tpm_filter_object(k->c.rd, \old(k->c.pos), k->c.pos, \result); */
static enum tpm_filter_kind want_object(struct check *k)
{
	if (is_share(k)) {
		want_share(k);
		return TPM_FILTER_SHARE;
	}
	want_sealed(k, HASH_SIZE);
	return TPM_FILTER_SEALED;
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why, k->v->gives;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_load(k->f, k->host, k->c.rd, k->c.pos, k->v->gives); */
static void check_load(struct check *k)
{
	want_parent(k, TPMA_SESSION_CONTINUESESSION);
	want_bytes_up_to(k, TPM_FILTER_PRIVATE_MAX);
	gives(k, want_object(k));
}

/* A duplicate with the outer wrapper alone */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 182);
    ensures !k->c.bad ==> tpm_filter_wrapped(k->c.rd, \old(k->c.pos)); */
static void want_wrapped(struct check *k)
{
	want_bytes(k, DUPLICATE_SIZE);
	want_bytes(k, 2 + 32 + 2 + 32); /* inSymSeed: a point of P-256 */
	want_u16(k, TPM2_ALG_NULL);
}

/* It makes no handle. */
/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_import(k->f, k->host, k->c.rd, k->c.pos); */
static void check_import(struct check *k)
{
	want_parent(k, TPMA_SESSION_CONTINUESESSION);
	want_bytes(k, 0); /* encryptionKey */
	want_share(k);
	want_wrapped(k);
}

/*@ requires tpm_filter_pinned(host);
    requires uuid == \null || \valid_read(uuid + (0 .. 15));
    assigns \nothing;
    ensures \result ==> uuid != \null && tpm_filter_uuid(host, uuid); */
static bool is_uuid_of(const struct tpm_filter_host *host, const uint8_t *uuid)
{
	size_t i;

	/*@ loop invariant i <= 2;
	    loop assigns i;
	    loop variant 2 - i; */
	for (i = 0; uuid && i < ARRAY_SIZE(host->uuid); i++)
		if (host->uuid[i] && !memcmp(host->uuid[i], uuid, 16))
			return true;
	return false;
}

/* What a pool's key is to authenticate, which goes in clear: lib/slot/shares.h.  The share of
 * another vTPM would open that one, to who has its header and the KMS. */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 73);
    ensures !k->c.bad ==> tpm_filter_pool_data(k->host, k->c.rd, \old(k->c.pos)) &&
	    tpm_filter_same(k->c.rd + \old(k->c.pos) + 2, &pool_label[0], 19); */
static void want_pool_data(struct check *k)
{
	const uint8_t *label, *uuid;

	want_u16(k, SHARES_POOL_SIZE);
	label = cursor_bytes(&k->c, sizeof(pool_label));
	want(k, label && !memcmp(label, pool_label, sizeof(pool_label)));
	(void)cursor_u32(&k->c); /* version of the key */
	uuid = cursor_bytes(&k->c, 16);
	if (!is_uuid_of(k->host, uuid))
		fail(k, "it asks for the key share of another vTPM");
	(void)cursor_bytes(&k->c, HASH_SIZE); /* nonce */
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_hmac(k->f, k->host, k->c.rd, k->c.pos);
    ensures !k->c.bad ==>
	    tpm_filter_same(k->c.rd + 93, &pool_label[0], 19); */
static void check_hmac(struct check *k)
{
	want_own(k, TPM_FILTER_SHARE);
	want_auth(k, TPM_FILTER_POLICY,
		  TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_ENCRYPT);
	want_pool_data(k);
	want_u16(k, TPM2_ALG_SHA256);
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_unseal(k->f, k->c.rd, k->c.pos); */
static void check_unseal(struct check *k)
{
	want_own(k, TPM_FILTER_SEALED);
	want_auth(k, TPM_FILTER_POLICY,
		  TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_ENCRYPT);
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why, k->v->flushes;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_flush(k->f, k->c.rd, k->c.pos, k->v->flushes); */
static void check_flush(struct check *k)
{
	k->v->flushes = cursor_u32(&k->c);
	if (!kind_of(k->f, k->v->flushes))
		fail(k, "it names an object or a session that this vTPM does not have");
}

/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==>
	    tpm_filter_policy_key(k->host, k->c.rd, \old(k->c.pos), k->c.pos); */
static void want_policy_key(struct check *k)
{
	const struct tpm_filter_host *host = k->host;
	uint16_t size = cursor_u16(&k->c);
	const uint8_t *key = cursor_bytes(&k->c, size);

	if (!size || size != host->policy_key_len || !key ||
	    memcmp(key, host->policy_key, size))
		fail(k, "it loads another key than the host's policy key");
}

/* The policy key, without a private part; of the owner's hierarchy, for its ticket. */
/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why, k->v->gives;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_external(k->host, k->c.rd, k->c.pos, k->v->gives); */
static void check_load_external(struct check *k)
{
	gives(k, TPM_FILTER_KEY);
	want_bytes(k, 0);
	want_policy_key(k);
	want_u32(k, TPM2_RH_OWNER);
}

/* TPMT_SIGNATURE of P-256 (Part 2, 11.3.4) */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==>
	    tpm_filter_signature(k->c.rd, \old(k->c.pos), k->c.pos); */
static void want_signature(struct check *k)
{
	want_u16(k, TPM2_ALG_ECDSA);
	want_u16(k, TPM2_ALG_SHA256);
	want_bytes_up_to(k, HASH_SIZE);
	want_bytes_up_to(k, HASH_SIZE);
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_verify(k->f, k->c.rd, k->c.pos); */
static void check_verify_signature(struct check *k)
{
	want_own(k, TPM_FILTER_KEY);
	want_bytes(k, HASH_SIZE);
	want_signature(k);
}

/* TPMT_TK_VERIFIED (Part 2, 10.7.4) */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_ticket(k->c.rd, \old(k->c.pos), k->c.pos); */
static void want_ticket(struct check *k)
{
	want_u16(k, TPM2_ST_VERIFIED);
	want_u32(k, TPM2_RH_OWNER);
	want_bytes_up_to(k, DIGEST_MAX);
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_authorize(k->f, k->c.rd, k->c.pos); */
static void check_policy_authorize(struct check *k)
{
	want_own(k, TPM_FILTER_POLICY);
	want_bytes(k, HASH_SIZE); /* approvedPolicy */
	want_bytes(k, HASH_SIZE); /* policyRef */
	want_bytes(k, NAME_SIZE);
	want_ticket(k);
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_policy_pcr(k->f, k->c.rd, k->c.pos); */
static void check_policy_pcr(struct check *k)
{
	want_own(k, TPM_FILTER_POLICY);
	want_bytes(k, 0); /* pcrDigest */
	want_selection(k);
}

/* Equal to a number of eight bytes, and nothing else of it */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 14);
    ensures !k->c.bad ==> tpm_filter_equals(k->c.rd, \old(k->c.pos)); */
static void want_equals(struct check *k)
{
	want_bytes(k, 8); /* operandB */
	want_u32(k, 0);	  /* offset, and TPM_EO_EQ */
}

/* The counter of revocations, which authorizes itself and has noDA, and no other index */
/*@ requires check_holds(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 4);
    ensures !k->c.bad ==> cursor_be32(k->c.rd + \old(k->c.pos)) == CHANNEL_COUNTER_INDEX; */
static void want_counter(struct check *k)
{
	if (cursor_u32(&k->c) != CHANNEL_COUNTER_INDEX)
		fail(k, "it names an NV index that is not the manager's to use");
}

/* Whether that counter, by its own authorization, equals a number */
/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_policy_nv(k->f, k->c.rd, k->c.pos); */
static void check_policy_nv(struct check *k)
{
	want_counter(k);
	want_counter(k);
	want_own(k, TPM_FILTER_POLICY);
	want_auth(k, TPM_FILTER_HMAC, TPMA_SESSION_CONTINUESESSION);
	want_equals(k);
}

/* PolicyAuthValue, PolicyGetDigest */
/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 4);
    ensures !k->c.bad ==>
	    tpm_filter_own(k->f, cursor_be32(k->c.rd + 10), TPM_FILTER_POLICY); */
static void check_policy_plain(struct check *k)
{
	want_own(k, TPM_FILTER_POLICY);
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 4);
    ensures !k->c.bad ==> tpm_filter_srk(k->host, cursor_be32(k->c.rd + 10)); */
static void check_read_public(struct check *k)
{
	want_srk(k);
}

/* Salted to the storage key, bound to nothing; no trial session. */
/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad, k->v->why, k->v->gives;
    ensures check_holds(k);
    ensures check_went_on{Pre, Post}(k);
    ensures !k->c.bad ==> tpm_filter_start(k->host, k->c.rd, k->c.pos, k->v->gives); */
static void check_start(struct check *k)
{
	uint8_t type;

	want_srk(k);
	if (cursor_u32(&k->c) != TPM2_RH_NULL)
		fail(k, "its session is bound to an entity of the TPM");
	want_bytes(k, HASH_SIZE);	/* nonceCaller */
	want_bytes(k, 2 + 32 + 2 + 32); /* encryptedSalt: a point of P-256 */
	type = cursor_u8(&k->c);
	want(k, type <= 1);
	want_u16(k, TPM2_ALG_AES);
	want_u16(k, 128);
	want_u16(k, TPM2_ALG_CFB);
	want_u16(k, TPM2_ALG_SHA256);
	gives(k, type ? TPM_FILTER_POLICY : TPM_FILTER_HMAC);
}

/*@ requires check_begins(k);
    assigns k->c.pos, k->c.bad;
    ensures check_holds(k);
    ensures check_took{Pre, Post}(k, 2);
    ensures !k->c.bad ==> cursor_be16(k->c.rd + 10) <= TPM_FILTER_RANDOM_MAX; */
static void check_random(struct check *k)
{
	want(k, cursor_u16(&k->c) <= TPM_FILTER_RANDOM_MAX);
}

/* What a session of the manager's authorizes; returns whether the code is one of these. */
/*@ requires check_begins(k);
    requires k->v->gives == TPM_FILTER_NONE && k->v->flushes == 0;
    assigns k->c.pos, k->c.bad, k->v->why, k->v->gives;
    ensures check_holds(k) && check_kept{Pre, Post}(k);
    ensures \result && !k->c.bad && k->v->code == TPM2_CC_HMAC ==>
	    tpm_filter_same(k->c.rd + 93, &pool_label[0], 19);
    ensures \result && !k->c.bad ==>
	    tpm_filter_authorized(k->f, k->host, k->v, k->c.rd, k->c.pos); */
static bool check_authorized(struct check *k)
{
	switch (k->v->code) {
	case TPM2_CC_PolicyNV:
		check_policy_nv(k);
		return true;
	case TPM2_CC_Create:
		check_create(k);
		return true;
	case TPM2_CC_Load:
		check_load(k);
		return true;
	case TPM2_CC_Unseal:
		check_unseal(k);
		return true;
	case TPM2_CC_Import:
		check_import(k);
		return true;
	case TPM2_CC_HMAC:
		check_hmac(k);
		return true;
	default:
		return false;
	}
}

/* What nothing authorizes; as check_authorized(). */
/*@ requires check_begins(k);
    requires k->v->gives == TPM_FILTER_NONE && k->v->flushes == 0;
    assigns k->c.pos, k->c.bad, k->v->why, k->v->gives, k->v->flushes;
    ensures check_holds(k) && check_kept{Pre, Post}(k);
    ensures \result ==> k->v->code != TPM2_CC_HMAC;
    ensures \result && !k->c.bad ==>
	    tpm_filter_plain(k->f, k->host, k->v, k->c.rd, k->c.pos); */
static bool check_plain(struct check *k)
{
	switch (k->v->code) {
	case TPM2_CC_FlushContext:
		check_flush(k);
		return true;
	case TPM2_CC_LoadExternal:
		check_load_external(k);
		return true;
	case TPM2_CC_PolicyAuthorize:
		check_policy_authorize(k);
		return true;
	case TPM2_CC_PolicyAuthValue:
	case TPM2_CC_PolicyGetDigest:
		check_policy_plain(k);
		return true;
	case TPM2_CC_ReadPublic:
		check_read_public(k);
		return true;
	case TPM2_CC_StartAuthSession:
		check_start(k);
		return true;
	case TPM2_CC_VerifySignature:
		check_verify_signature(k);
		return true;
	case TPM2_CC_GetRandom:
		check_random(k);
		return true;
	case TPM2_CC_PCR_Read:
		want_selection(k);
		return true;
	case TPM2_CC_PolicyPCR:
		check_policy_pcr(k);
		return true;
	default:
		return false;
	}
}

/* For the log, also of those that are on no list */
static const struct {
	uint32_t code;
	const char *name;
} names[] = {
	{TPM2_CC_PolicyNV, "TPM2_PolicyNV"},
	{TPM2_CC_Create, "TPM2_Create"},
	{TPM2_CC_Load, "TPM2_Load"},
	{TPM2_CC_Unseal, "TPM2_Unseal"},
	{TPM2_CC_Import, "TPM2_Import"},
	{TPM2_CC_HMAC, "TPM2_HMAC"},
	{TPM2_CC_FlushContext, "TPM2_FlushContext"},
	{TPM2_CC_LoadExternal, "TPM2_LoadExternal"},
	{TPM2_CC_PolicyAuthorize, "TPM2_PolicyAuthorize"},
	{TPM2_CC_PolicyAuthValue, "TPM2_PolicyAuthValue"},
	{TPM2_CC_ReadPublic, "TPM2_ReadPublic"},
	{TPM2_CC_StartAuthSession, "TPM2_StartAuthSession"},
	{TPM2_CC_VerifySignature, "TPM2_VerifySignature"},
	{TPM2_CC_GetRandom, "TPM2_GetRandom"},
	{TPM2_CC_PCR_Read, "TPM2_PCR_Read"},
	{TPM2_CC_PolicyPCR, "TPM2_PolicyPCR"},
	{TPM2_CC_PolicyGetDigest, "TPM2_PolicyGetDigest"},
	{TPM2_CC_NV_UndefineSpaceSpecial, "TPM2_NV_UndefineSpaceSpecial"},
	{TPM2_CC_EvictControl, "TPM2_EvictControl"},
	{TPM2_CC_HierarchyControl, "TPM2_HierarchyControl"},
	{TPM2_CC_NV_UndefineSpace, "TPM2_NV_UndefineSpace"},
	{TPM2_CC_ChangeEPS, "TPM2_ChangeEPS"},
	{TPM2_CC_ChangePPS, "TPM2_ChangePPS"},
	{TPM2_CC_Clear, "TPM2_Clear"},
	{TPM2_CC_ClearControl, "TPM2_ClearControl"},
	{TPM2_CC_ClockSet, "TPM2_ClockSet"},
	{TPM2_CC_HierarchyChangeAuth, "TPM2_HierarchyChangeAuth"},
	{TPM2_CC_NV_DefineSpace, "TPM2_NV_DefineSpace"},
	{TPM2_CC_PCR_Allocate, "TPM2_PCR_Allocate"},
	{TPM2_CC_SetPrimaryPolicy, "TPM2_SetPrimaryPolicy"},
	{TPM2_CC_FieldUpgradeStart, "TPM2_FieldUpgradeStart"},
	{TPM2_CC_CreatePrimary, "TPM2_CreatePrimary"},
	{TPM2_CC_NV_Increment, "TPM2_NV_Increment"},
	{TPM2_CC_NV_SetBits, "TPM2_NV_SetBits"},
	{TPM2_CC_NV_Extend, "TPM2_NV_Extend"},
	{TPM2_CC_NV_Write, "TPM2_NV_Write"},
	{TPM2_CC_NV_WriteLock, "TPM2_NV_WriteLock"},
	{TPM2_CC_DictionaryAttackLockReset, "TPM2_DictionaryAttackLockReset"},
	{TPM2_CC_DictionaryAttackParameters, "TPM2_DictionaryAttackParameters"},
	{TPM2_CC_NV_ChangeAuth, "TPM2_NV_ChangeAuth"},
	{TPM2_CC_PCR_Event, "TPM2_PCR_Event"},
	{TPM2_CC_PCR_Reset, "TPM2_PCR_Reset"},
	{TPM2_CC_Startup, "TPM2_Startup"},
	{TPM2_CC_Shutdown, "TPM2_Shutdown"},
	{TPM2_CC_Duplicate, "TPM2_Duplicate"},
	{TPM2_CC_NV_Read, "TPM2_NV_Read"},
	{TPM2_CC_Quote, "TPM2_Quote"},
	{TPM2_CC_Sign, "TPM2_Sign"},
	{TPM2_CC_ContextLoad, "TPM2_ContextLoad"},
	{TPM2_CC_ContextSave, "TPM2_ContextSave"},
	{TPM2_CC_GetCapability, "TPM2_GetCapability"},
	{TPM2_CC_PCR_Extend, "TPM2_PCR_Extend"},
};

/*@ assigns \nothing; */
static const char *name_of_command(uint32_t code)
{
	size_t i;

	/*@ loop invariant i <= 52;
	    loop assigns i;
	    loop variant 52 - i; */
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].code == code)
			return names[i].name;
	return NULL;
}

/*@ requires \valid(v);
    assigns v->why, v->gives, v->flushes;
    ensures \result == -EPERM && v->gives == TPM_FILTER_NONE && v->flushes == 0; */
static int refuse_filter(struct tpm_filter_verdict *v, const char *why)
{
	if (!v->why)
		v->why = why;
	v->gives = TPM_FILTER_NONE;
	v->flushes = 0;
	return -EPERM;
}

/* Returns the tag (Part 1, 18.2); the length that the command says is that which it has. */
/*@ requires check_holds(k) && k->c.pos == 0 && !k->c.bad;
    assigns k->c.pos, k->c.bad, k->v->code, k->v->name;
    ensures check_holds(k) && check_kept{Pre, Post}(k);
    ensures !k->c.bad ==>
	    tpm_filter_header(k->c.rd, k->c.len, \result, k->v->code) && k->c.pos == 10; */
static uint16_t take_header(struct check *k)
{
	uint16_t tag = cursor_u16(&k->c);
	uint32_t size = cursor_u32(&k->c);

	k->v->code = cursor_u32(&k->c);
	k->v->name = name_of_command(k->v->code);
	want(k, size == k->c.len && size <= TPM_FILTER_COMMAND_MAX);
	return tag;
}

/* Returns NULL, or why the command is refused. */
/*@ requires check_holds(k) && k->c.pos == 0 && !k->c.bad;
    requires k->v->gives == TPM_FILTER_NONE && k->v->flushes == 0;
    assigns k->c.pos, k->c.bad, *k->v;
    ensures check_kept{Pre, Post}(k);
    ensures \result == \null ==>
	    tpm_filter_listed(k->f, k->host, k->c.rd, k->c.len, k->v);
    ensures \result == \null && k->v->code == TPM2_CC_HMAC ==>
	    tpm_filter_same(k->c.rd + 93, &pool_label[0], 19); */
static const char *read_command(struct check *k)
{
	uint16_t tag = take_header(k);
	bool is_listed;

	if (!cursor_ok(&k->c))
		return "its length is wrong";
	if (tag == TPM2_ST_SESSIONS)
		is_listed = check_authorized(k);
	else if (tag == TPM2_ST_NO_SESSIONS)
		is_listed = check_plain(k);
	else
		return "it is no TPM 2.0 command";
	/*@ assert tpm_filter_header(k->c.rd, k->c.len, tag, k->v->code); */
	if (!is_listed)
		return "it is not on the allow-list";
	if (!cursor_done(&k->c))
		return "it is not as a vTPM's manager makes it";
	/*@ assert tag == TPM2_ST_SESSIONS ==>
	    tpm_filter_authorized(k->f, k->host, k->v, k->c.rd, k->c.len); */
	/*@ assert tag == TPM2_ST_NO_SESSIONS ==>
	    tpm_filter_plain(k->f, k->host, k->v, k->c.rd, k->c.len); */
	/*@ assert k->v->code == TPM2_CC_HMAC ==>
	    tpm_filter_same(k->c.rd + 93, &pool_label[0], 19); */
	return NULL;
}

/*@ ensures \result == 0 && v->code == TPM2_CC_HMAC ==>
	    tpm_filter_same(cmd + 93, &pool_label[0], 19); */
int tpm_filter_check(const struct tpm_filter *f, const struct tpm_filter_host *host,
		     const uint8_t *cmd, size_t len, struct tpm_filter_verdict *v)
{
	struct check k = {cursor_reader(cmd, len), f, host, v};
	const char *why;

	*v = (struct tpm_filter_verdict){0};
	why = read_command(&k);
	return why ? refuse_filter(v, why) : 0;
}

/* Entry i is free, or as it was. */
/*@ predicate own_kept{A, B}(struct tpm_filter *f, integer i) =
	\at(f->own[i].kind, B) == TPM_FILTER_NONE ||
	(\at(f->own[i].kind, B) == \at(f->own[i].kind, A) &&
	 \at(f->own[i].handle, B) == \at(f->own[i].handle, A)); */

/*@ requires \valid(f);
    assigns f->own[0 .. TPM_FILTER_HANDLES - 1];
    ensures \forall integer i; 0 <= i < TPM_FILTER_HANDLES ==> own_kept{Pre, Post}(f, i); */
static void forget_filter(struct tpm_filter *f, uint32_t handle)
{
	size_t i;

	/*@ loop invariant i <= TPM_FILTER_HANDLES;
	    loop invariant \forall integer j; 0 <= j < TPM_FILTER_HANDLES ==>
		    own_kept{Pre, Here}(f, j);
	    loop assigns i, f->own[0 .. TPM_FILTER_HANDLES - 1];
	    loop variant TPM_FILTER_HANDLES - i; */
	for (i = 0; i < ARRAY_SIZE(f->own); i++) {
		if (f->own[i].handle == handle) {
			f->own[i].handle = 0;
			f->own[i].kind = TPM_FILTER_NONE;
		}
	}
}

/* Writes a handle into the first entry that is free, and leaves it in no other. */
/*@ requires \valid(f);
    assigns f->own[0 .. TPM_FILTER_HANDLES - 1];
    ensures \forall integer i; 0 <= i < TPM_FILTER_HANDLES ==> own_kept{Pre, Post}(f, i) ||
	    (f->own[i].handle == handle && f->own[i].kind == kind); */
static void keep_filter(struct tpm_filter *f, uint32_t handle, enum tpm_filter_kind kind)
{
	size_t i;

	forget_filter(f, handle);
	/*@ loop invariant i <= TPM_FILTER_HANDLES;
	    loop assigns i;
	    loop variant TPM_FILTER_HANDLES - i; */
	for (i = 0; i < ARRAY_SIZE(f->own); i++) {
		if (f->own[i].kind)
			continue;
		f->own[i].handle = handle;
		f->own[i].kind = kind;
		return;
	}
}

/* Part 2, 7.2: the handle's first byte is its type. */
/*@ assigns \nothing; */
static bool may_be(uint32_t handle, enum tpm_filter_kind kind)
{
	switch (kind) {
	case TPM_FILTER_HMAC:
		return handle >> 24 == 0x02;
	case TPM_FILTER_POLICY:
		return handle >> 24 == 0x03;
	case TPM_FILTER_SEALED:
	case TPM_FILTER_KEY:
	case TPM_FILTER_SHARE:
		return handle >> 24 == 0x80;
	case TPM_FILTER_NONE:
		break;
	}
	return false;
}

void tpm_filter_answered(struct tpm_filter *f, const struct tpm_filter_verdict *v,
			 const uint8_t *rsp, size_t len)
{
	const enum tpm_filter_kind kind = v->gives;
	struct cursor c = cursor_reader(rsp, len);
	uint32_t handle, code;

	(void)cursor_u16(&c);
	(void)cursor_u32(&c);
	code = cursor_u32(&c);
	if (!cursor_ok(&c) || code)
		return;
	if (v->flushes)
		forget_filter(f, v->flushes);
	/*@ assert \forall integer i; 0 <= i < TPM_FILTER_HANDLES ==> own_kept{Pre, Here}(f, i); */
	handle = cursor_u32(&c);
	if (!kind || !cursor_ok(&c) || !may_be(handle, kind))
		return;
	/*@ assert len >= 14 && cursor_be32(rsp + 6) == 0 && handle == cursor_be32(rsp + 10); */
	keep_filter(f, handle, kind);
	/*@ assert v->gives == kind; */
	/*@ assert \forall integer i; 0 <= i < TPM_FILTER_HANDLES ==> own_kept{Pre, Here}(f, i) ||
	    (f->own[i].handle == handle && f->own[i].kind == kind); */
}
