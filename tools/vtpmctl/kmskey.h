/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This host's identity at the KMS: CA, client certificate and its private key as the
 * operator gives them in files; the key's sealed form (include/channel.h); and whether the
 * KMS takes them.
 */
#ifndef XVTPM_KMSKEY_H
#define XVTPM_KMSKEY_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "include/channel.h"
#include "lib/error.h"
#include "lib/hostconf.h"
#include "lib/pool.h"
#include "lib/text.h"
#include "stubdom/manager/unlock.h"
#include "tools/vtpmctl/tpm.h"

struct kmskey {
	char *ca_pem, *cert_pem; /* as in the files */
	char *key_pem; /* PKCS#8, whatever form the file had; or a token, and no cert_pem */
	size_t key_len;
};

/* Reads the files and checks that they fit together: the CA file holds a certificate,
 * the key is the certificate's, and that is valid now.  ca may be NULL, and cert and
 * key both may: what they would fill stays NULL. */
int __must_check kmskey_load(struct kmskey *k, const char *ca, const char *cert,
			     const char *key, struct error *e);
/* The same, with a token of Vault's in place of certificate and key. */
int __must_check kmskey_load_token(struct kmskey *k, const char *ca, const char *token,
				   struct error *e);
/* Wipes and frees. */
void kmskey_free(struct kmskey *k);
/* What `host show` says of the certificate.  *subject is malloc()ed, RFC 2253. */
int __must_check kmskey_describe(const char *cert_pem, char **subject, time_t *expires);

/* host.json as vtpmd gives it to a manager, and the host's TPM and KMS as its transports:
 * vtpmctl does with them what a manager does. */
struct unlockconf {
	struct unlock_config config;
	uint8_t tlvs[CHANNEL_PAYLOAD_MAX / 2];
	/* A plain TCP connection as the byte stream of lib/kms.h, with time limits: what
	 * vtpmd's tunnel is to a manager */
	struct tcp {
		const char *addresses; /* lib/text.h */
		int fd;
	} tcp;
	struct unlock unlock;
};

/* tpm (which is open) and e have to outlive it.  uuid: of the vTPM that is opened, or NULL.
 * NULL: host.json makes no sense, or out of memory; *e tells. */
struct unlockconf *unlockconf_new(const struct hostconf *h, struct tpm *tpm,
				  const uint8_t *uuid, struct error *e);
/* The same of a host that has a pool's keys, of that list, for the key slots that need them; in_pool:
 * what is sealed is to have such a slot. */
struct unlockconf *unlockconf_new_with(const struct hostconf *h, const struct pool *list,
				       bool in_pool, struct tpm *tpm, const uint8_t *uuid,
				       struct error *e);
void unlockconf_free(struct unlockconf *u);

/* Seals the key to the host's TPM, whose storage key h pins, for h's policy key and auth, and
 * opens it once, which takes an approved boot state.  *sealed is malloc()ed. */
int __must_check kmskey_seal(const struct kmskey *k, const struct hostconf *h,
			     struct tpm *t, uint8_t **sealed, size_t *len,
			     struct error *e);

/* The same of the key that *from has sealed, which takes a boot state that is approved in
 * both. */
int __must_check kmskey_move(const struct hostconf *from, const struct hostconf *to,
			     struct tpm *t, uint8_t **sealed, size_t *len,
			     struct error *e);

/*
 * Tries the KMS: a secret is encrypted and decrypted at each address by itself, so
 * that a mistake in the second one is found now, and not on the day when the first
 * one is away.  Of a KMS that gives its key out (is_get, or h's kms_get) it is asked what the
 * key is, and the key stays where it is.  An address that cannot be reached is passed over as long as another one
 * works; one that answers and refuses is an error.
 */

/* With a key that lies in memory.  Warns on stderr of an address that is passed over. */
int __must_check kmskey_try(const char *addresses, const struct kmskey *k,
			    const char *key_id, bool is_get, struct error *e);
/* With h's sealed key, as a vTPM's manager would: the boot state must be approved.
 * away: the addresses that were passed over, with commas between; NULL: warns of them on
 * stderr.  token: as struct kms_config has it; may be NULL. */
int __must_check kmskey_try_sealed(const struct hostconf *h, struct tpm *t,
				   char away[ADDRESS_LIST], struct kms_token *token,
				   struct error *e);
/* Tells vtpmd of this host's token, which was used just now: for its metrics. */
void kmskey_tell(const char *socket, const struct kms_token *token);

#endif
