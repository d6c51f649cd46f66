/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: read with a bound, written so that a power cut leaves the old or
 * the new one.  Each failure's sentence names the path. */
#ifndef XVTPM_FILE_H
#define XVTPM_FILE_H

#include "include/compiler.h"
#include "lib/error.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FILE_READ_MAX 65536

/* *text is malloc()ed and ends with a zero. The caller wipes what is secret. */
int __must_check file_read(const char *path, char **text, size_t *len, struct error *e);
/* The same, of a file of up to max bytes. */
int __must_check file_read_most(const char *path, size_t max, char **text, size_t *len,
				struct error *e);
/* A file of this mode, whole and fsynced, under its name; then its folder is
 * fsynced.  replace: what was there goes; else -EEXIST. */
int __must_check file_write(const char *path, mode_t mode, bool replace, const char *text,
			    size_t len, struct error *e);
/* The same, for a file that the operator names: when it is there, and not to be replaced,
 * the sentence names --replace, which each command that calls this has to have. */
int __must_check file_save(const char *path, mode_t mode, bool replace, const char *text,
			   size_t len, struct error *e);
/* -EEXIST, and the sentence that file_save() gives then; other: "another FILE" */
int __must_check file_there(const char *path, const char *other, struct error *e);
/* Makes path's folder (0755) when it is not there; not the folder's folder. */
int __must_check file_make_folder(const char *path, struct error *e);
/* path's folder, with its slash; out has room for size. */
int __must_check file_beside(const char *path, const char *name, char *out, size_t size);

/* The private key in PEM text of len bytes; NULL: it holds none without a passphrase. */
EVP_PKEY *pemfile_parse_key(const char *pem, size_t len);
/* The private key in a PEM file; no passphrase is asked for.  otherwise: how the
 * sentence goes on after the path when the file holds none.  On failure *key is NULL. */
int __must_check pemfile_key(const char *path, EVP_PKEY **key, const char *otherwise,
			     struct error *e);

/* A command that has commands of its own: `vtpmctl GROUP COMMAND`. */

/* An exit status. */
int group_main(const char *group, const struct vtpmctl_command *commands, size_t count,
	       int argc, char **argv);

#endif
