/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a verifier accepts; docs/attestation.md goes through it by example.  Byte strings
 * are hexadecimal, as the tools that make them print them.
 *
 * { "version": 1,
 *   "hosts": [{ "name": TEXT, "ak": Name, "pcrs": [{ "0": SHA-256, ... }, ...],
 *               "vtpms": [UUID, ...] }, ...],           "vtpms" absent: any
 *   "images": [{ "kernel": SHA-256, "manager": SHA-256 }, ...],
 *                                        "kernel" absent: a process of domain 0
 *   "ek_ca": PEM, "eks": [SHA-256 of SubjectPublicKeyInfo, ...],   one of them, or both
 *   "pcrs": { "sha256": { "7": [value, ...] } },        may be absent
 *   "events": { "4": [{ "name": TEXT, "sha256": [digest, ...] }, ...] },     the same
 *   "firmware": { "image": ["sha256:...", ...], or "unbound": any;           the same
 *                 "secure_boot": BOOLEAN,
 *                 "variables": { "db": [digest of its event, ...], ... } } }
 *
 * A member that is not known is an error: a word that is misspelt must not approve.
 */
#ifndef VERIFY_POLICY_H
#define VERIFY_POLICY_H

#include "include/compiler.h"
#include "lib/tpm2/quote.h"

#include <jansson.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct policy {
	json_t *all;
	X509_STORE *ca; /* NULL: none */
};

/* -EBADMSG, and in why what is wrong with it, as half a sentence. */
int __must_check policy_parse(const char *text, struct policy *p, char *why, size_t size);
void policy_free(struct policy *p);

/* Whether value, or a member of it when it is an array, is these bytes in hexadecimal. */
bool policy_has(const json_t *value, const uint8_t *bytes, size_t len);

/* Certificates of endorsement keys, against the CAs of a policy. */

/* Takes in the revocation lists (RFC 5280, 5) of a file, PEM, any number, or DER.  From then
 * on a certificate is good only with one of its CA, and of each CA above it.  -EBADMSG:
 * no certificate, or one does not parse. */
int __must_check chain_add_crls(X509_STORE *store, const uint8_t *bytes, size_t len);
/*
 * 0, or one sentence's half in *why and
 *   -EBADMSG     no certificate
 *   -EKEYREJECTED of another key, or not for an endorsement key
 *   -EKEYEXPIRED  expired, or not valid yet, at that time
 *   -ENOKEY       no CA of the store has issued it
 *   -EKEYREVOKED  it, or a CA above it, is on a revocation list
 *   -ENODATA      there are revocation lists, and none of that CA that is good at that time
 */
int __must_check chain_check(X509_STORE *store, time_t at, const uint8_t *der, size_t len,
			     const struct tpm2_key *key, const char **why);
/* Who issued a certificate, printable; "?": it does not parse. */
void chain_issuer(const uint8_t *der, size_t len, char *out, size_t room);

#endif
