/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.json: what `vtpmctl host init` found out and decided about this host, for
 * vtpmd, which hands it to the managers as the CONFIG TLVs of include/channel.h.
 * Nobody but root may read it: both "auth" and the anchor's "key" keep those out who may open the
 * TPM, and no more.  They open nothing without the TPM in an approved boot state.  Byte
 * strings stand as hex, PEMs as text:
 *
 * { "version": 3,
 *   "tpm": { "srk_handle": "0x81005654", "srk_name": HEX, "policy_key": HEX,
 *            "pcrs": [0, 2, 4, 7], "approvals": [HEX, ...],
 *            "approval_notes": [{ "digest": HEX, "at": TIME, "label": TEXT }, ...],
 *            the notes tell people which approval is which, by its policy digest
 *            "counter_name": HEX, "auth": HEX,  see include/channel.h
 *            "anchor": { "nv_index": "0x01805654", "nv_name": HEX, "key": HEX (the private
 *                        key that signs each write, DER), "adopt": HEX,
 *                        "take_store": BOOL } },
 *                          "anchor" is absent on hosts that were set up without; so is
 *            "ak": { "handle": "0x81015655", "name": HEX, "auth": HEX, "object": HEX }, the key
 *            that attests: host_quote.h
 *   "kms": { "address": "HOST:PORT[,HOST:PORT...]", "ca": PEM, "cert": PEM, "key_sealed": HEX,
 *            "key_id": TEXT, "mode": "get" },     "kms" is absent after --no-kms, "mode" of
 *                                      a KMS that encrypts; "cert" with a token of Vault's,
 *                                      which is what "key_sealed" has then
 *   "recovery_key": HEX,                absent without --recovery-key
 *   "store": { "url": "etcd://HOST:PORT,.../POOL", "ca": FILE, "cert": FILE, "key": FILE } }
 *                                       of a host in a pool (`vtpmctl pool`): whole paths, PEM
 */
#ifndef XVTPM_HOSTCONF_H
#define XVTPM_HOSTCONF_H

#include "lib/slot/recovery.h"
#include "lib/tpm2/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTCONF_VERSION       3
#define HOSTCONF_PATH	       "/etc/xen-vtpm/host.json"
#define HOSTCONF_SRK_HANDLE    0x81005654u
#define HOSTCONF_APPROVALS_MAX 16
#define HOSTCONF_SEALED_MAX    32768
#define HOSTCONF_AUTH_SIZE     32
#define HOSTCONF_KEY_MAX       256
#define HOSTCONF_OBJECT_MAX    1024

#define HOSTCONF_LABEL_MAX 40

/* What people know of an approval; "": nothing, it is of an older version. */
struct hostconf_note {
	char at[24]; /* when it was given, 2026-11-24T20:36:14Z */
	char label[HOSTCONF_LABEL_MAX + 1];
};

struct cursor;

/* A pool's etcd, each malloc()ed; url NULL: the store is a folder. */
struct hostconf_store {
	char *url, *ca, *cert, *key;
};

struct hostconf {
	uint32_t
		srk_handle; /* 0: this host has no TPM, and none of what follows to the AK */
	uint8_t srk_name[POLICYKEY_NAME_SIZE];
	uint8_t policy_key[POLICYKEY_PUBLIC_SIZE];
	uint32_t pcrs;
	size_t approval_count;
	struct approval approvals[HOSTCONF_APPROVALS_MAX];
	struct hostconf_note notes[HOSTCONF_APPROVALS_MAX]; /* one for each */

	uint8_t counter_name[POLICYKEY_NAME_SIZE]; /* see tpmnv.h */
	uint8_t auth[HOSTCONF_AUTH_SIZE];

	uint32_t anchor_index; /* 0: none; see host_anchor.h */
	uint8_t anchor_name[POLICYKEY_NAME_SIZE];
	uint8_t anchor_key[HOSTCONF_KEY_MAX]; /* DER */
	size_t anchor_key_len;
	/* what the index has until vtpmd has taken the store as it is */
	uint8_t anchor_adopt[APPROVAL_HASH_SIZE];
	/* false: a vtpmd that runs may replace it by what it knows, and no more */
	bool anchor_take_store;

	uint32_t ak_handle; /* 0: none; see host_quote.h */
	uint8_t ak_name[POLICYKEY_NAME_SIZE];
	uint8_t ak_auth[HOSTCONF_AUTH_SIZE];
	uint8_t ak_object[HOSTCONF_OBJECT_MAX]; /* TPM2B_PUBLIC | TPM2B_PRIVATE */
	size_t ak_object_len;

	bool has_kms;
	bool kms_get; /* it gives its key out: what new vTPMs are made for, and no more */
	char *kms_address, *kms_ca, *kms_cert,
		*kms_key_id;	 /* malloc()ed; cert: or NULL */
	uint8_t *kms_key_sealed; /* malloc()ed */
	size_t kms_key_sealed_len;

	uint8_t recovery_key[RECOVERY_PUBLIC_MAX]; /* SubjectPublicKeyInfo, DER */
	size_t recovery_key_len;		   /* 0: none */

	struct hostconf_store store; /* vtpmd's, unless its options name one */

	/* of vtpmctl's: the SHA-256 of the text that it was read from; not written */
	bool has_origin;
	uint8_t origin[APPROVAL_HASH_SIZE];
};

/* The text that is written, malloc()ed; NULL: out of memory or not UTF-8. */
char *hostconf_print(const struct hostconf *h);
/* -EBADMSG. */
int __must_check hostconf_parse(const char *text, struct hostconf *h);
/* The CONFIG TLVs of include/channel.h that managers get of it.  -EMSGSIZE */
int __must_check hostconf_encode(const struct hostconf *h, struct cursor *w);
/* Frees what names a pool's etcd: the store is a folder then. */
void hostconf_drop_store(struct hostconf *h);
/* Wipes and frees. */
void hostconf_free(struct hostconf *h);

/* Letters, digits, "_", "." and "-", one of them no digit: else it would be a number. */
bool hostconf_label_ok(const char *label);
/* Adds an approval that was given now; label may be NULL.  -ENOSPC */
int __must_check hostconf_approve(struct hostconf *h, const struct approval *a,
				  const char *label);
/* Which approval is meant by its number, from 1, or its label; -ENOENT. */
int __must_check hostconf_find_approval(const struct hostconf *h, const char *which,
					size_t *index);
void hostconf_revoke(struct hostconf *h, size_t index);

#endif
