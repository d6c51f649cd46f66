/* SPDX-License-Identifier: Apache-2.0 */
/* The pool (lib/pool.h) as a file that vtpmctl reads and writes, beside host.json. */
#ifndef XVTPM_VTPMCTL_POOLFILE_H
#define XVTPM_VTPMCTL_POOLFILE_H

#include "lib/error.h"
#include "lib/hostconf.h"
#include "lib/pool.h"

#include <openssl/evp.h>

struct poolfile {
	char path[4096];
	char *bytes; /* NULL: there is none */
	size_t len;
	struct pool pool; /* points into bytes */
};

/* Reads it, and verifies its signature by host.json's policy key.  0 also if there is none. */
int __must_check poolfile_load(struct poolfile *f, const char *config,
			       const struct hostconf *h, struct error *e);
/* Takes bytes, hexadecimal, as the list, if the policy key signed them.  -EACCES, -EBADMSG,
 * -ENOMEM: what was loaded stays */
int __must_check poolfile_take(struct poolfile *f, const char *hex,
			       const struct hostconf *h);
/* Whether a host may be added by that name: letters, digits, '_', '.' or '-', the first a letter or
 * digit, as a certificate has it for its common name. */
bool poolfile_is_name(const char *name);
/* The same; -EINVAL, and what may be. */
int __must_check poolfile_check_name(const char *name, struct error *e);
/* Whether it is HOST:PORT, an IPv6 address in brackets. */
bool poolfile_is_address(const char *address);
/* The same, of --address.  -EINVAL */
int __must_check poolfile_check_address(const char *address, struct error *e);
/* The host of that name; false: none. */
bool poolfile_find(const struct poolfile *f, const char *name, struct pool_host *h);
/* Whether it is the host of that configuration: it has its storage key. */
bool poolfile_is_own(const struct pool_host *h, const struct hostconf *conf);
/* That one; false: the pool does not have it. */
bool poolfile_own(const struct poolfile *f, const struct hostconf *conf,
		  struct pool_host *h);
/* Whether there is a host with this storage key. */
bool poolfile_has_srk(const struct poolfile *f, const uint8_t *name, size_t len);
void poolfile_free(struct poolfile *f);

/* The policy key in that file.  -EKEYREJECTED: it is not host.json's. */
int __must_check poolfile_key(const char *path, const struct hostconf *h, EVP_PKEY **key,
			      struct error *e);

/* Writing a list: begin, images and hosts (and keys), sign. */

/* The label and a number above the present list's. */
void poolfile_begin(struct cursor *w, const struct poolfile *f, bool has_keys);
/* B: u16 length | bytes */
void poolfile_put_part(struct cursor *w, const void *p, size_t n);
/* What is between two cursors of one list. */
void poolfile_put_same(struct cursor *w, const struct cursor *from,
		       const struct cursor *to);
/* Signs what is in out, of which *w is the writer, and stores it as the file. */
int __must_check poolfile_sign(const struct poolfile *f, uint8_t *out, struct cursor *w,
			       EVP_PKEY *key, const struct hostconf *h, struct error *e);

#endif
