/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TPM's state as swtpm writes it, in a file and on the control channel:
 *
 *   u8 version 2 | u8 least version | u16 size of this header, 10 | u16 flags
 *   | u32 length of all | TLVs: u16 tag | u32 length | value
 *
 * A file has TAG_DATA, which is libtpms's own blob; or, with swtpm's --key, TAG_ENCRYPTED
 * (AES-CBC, padded to the key's size), TAG_HMAC (HMAC-SHA256 under the same key over ciphertext
 * and IV) and TAG_IVEC.  A blob of the control channel has the TLVs of a file inside of
 * TAG_MIGRATION, which swtpm's --migration-key would encrypt.
 */
#ifndef XVTPM_MANAGER_STATEBLOB_H
#define XVTPM_MANAGER_STATEBLOB_H

#include "include/compiler.h"
#include "lib/error.h"

#include <stddef.h>
#include <stdint.h>

struct stateblob_key {
	uint8_t bytes[32];
	size_t len; /* 16 or 32; 0: none */
};

/* Opens a file of swtpm; *plain is malloc()ed, for stateblob_free().  -EPROTONOSUPPORT: it is
 * none, or of another version; -ENOKEY: it is encrypted, and key has not its size; -EBADMSG:
 * the key is another one, or it was changed.  *e says so. */
int __must_check stateblob_open_file(const uint8_t *file, size_t len,
				     const struct stateblob_key *key, uint8_t **plain,
				     size_t *plain_len, struct error *e);
/* Opens what SET_STATEBLOB brings, with its state_flags.  Errors as above: there is no key. */
int __must_check stateblob_take(const uint8_t *blob, size_t len, uint32_t state_flags,
				uint8_t **plain, size_t *plain_len);
/* Makes what GET_STATEBLOB gives. -ENOMEM */
int __must_check stateblob_give(const uint8_t *plain, size_t plain_len, uint8_t **blob,
				size_t *len);
/* Wipes, and frees; bytes may be NULL. */
void stateblob_free(uint8_t *bytes, size_t len);

#endif
