/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_PEMFILE_H
#define XVTPM_PEMFILE_H

#include <openssl/evp.h>
#include "compiler.h"
#include "lib/error.h"

/* The private key in a PEM file; nobody is asked for a passphrase.  otherwise: how the
 * sentence goes on behind the path when the file holds none.  On failure *key is NULL. */
int __must_check pemfile_key(const char *path, EVP_PKEY **key, const char *otherwise,
			     struct error *e);

#endif
