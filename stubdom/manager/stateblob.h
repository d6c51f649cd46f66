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
 * TAG_MIGRATION; or, with swtpm's --migration-key, encrypted as above, under tags of their own.
 */
#ifndef XVTPM_MANAGER_STATEBLOB_H
#define XVTPM_MANAGER_STATEBLOB_H

#include "include/compiler.h"
#include "lib/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stateblob_key {
	uint8_t bytes[32];
	size_t len; /* 16 or 32; 0: none */
};

struct stateblob_keys {
	struct stateblob_key file;	/* --key */
	struct stateblob_key migration; /* --migration-key */
};

/* Opens a file of swtpm, or a blob that `swtpm_ioctl --save` wrote; *plain is malloc()ed, for
 * stateblob_free().  -EPROTONOSUPPORT: it is none, or of another version; -ENOKEY: it is
 * encrypted, and the key has not its size; -EBADMSG: the key is another one, or it was
 * changed.  *e says so. */
int __must_check stateblob_open_file(const uint8_t *file, size_t len,
				     const struct stateblob_keys *keys, uint8_t **plain,
				     size_t *plain_len, struct error *e);
/* Whether what was opened is the permanent state of a TPM of that version.  -EMEDIUMTYPE: *e
 * says what it is.  One that is none of libtpms's states is left to libtpms. */
int __must_check stateblob_check(const uint8_t *plain, size_t len, bool tpm12,
				 struct error *e);
/* Opens what SET_STATEBLOB brings, with its state_flags.  Errors as above: there is no key. */
int __must_check stateblob_take(const uint8_t *blob, size_t len, uint32_t state_flags,
				uint8_t **plain, size_t *plain_len);
/* Makes what GET_STATEBLOB gives. -ENOMEM */
int __must_check stateblob_give(const uint8_t *plain, size_t plain_len, uint8_t **blob,
				size_t *len);
/* Wipes, and frees; bytes may be NULL. */
void stateblob_free(uint8_t *bytes, size_t len);

#endif
