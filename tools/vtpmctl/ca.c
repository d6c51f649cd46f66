/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/ca.h"
#include "tools/vtpmctl/cakey.h"
#include "tools/vtpmctl/file.h"

#include <errno.h>
#include <stdbool.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/pem.h>

static int damaged(struct error *e, const char *folder, const char *name)
{
	return error_set(e, -EBADMSG, CAUSE_INTERNAL,
			 "%s/%s is not what `vtpmctl ca init` wrote: put it back", folder,
			 name);
}

static int load(const char *folder, const char *name, char **text, size_t *len,
		struct error *e)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return damaged(e, "CA's folder", name);
	return file_read(path, text, len, e);
}

static int read_json(struct ca *ca, const char *folder, struct error *e)
{
	char *text;
	const char *where;
	size_t len;
	json_t *root;
	json_int_t days;
	int rc = load(folder, "ca.json", &text, &len, e);

	if (rc)
		return rc;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	where = json_string_value(json_object_get(root, "key"));
	days = json_integer_value(json_object_get(root, "days"));
	ca->where = where ? strdup(where) : NULL;
	ca->days = (unsigned int)days;
	if (!ca->where || days < 1 || days > 36500 ||
	    json_integer_value(json_object_get(root, "version")) != 1)
		rc = damaged(e, folder, "ca.json");
	json_decref(root);
	return rc;
}

static int read_cert(struct ca *ca, const char *folder, struct error *e)
{
	char *text;
	size_t len;
	BIO *bio;
	int rc = load(folder, "ca.pem", &text, &len, e);

	if (rc)
		return rc;
	bio = BIO_new_mem_buf(text, (int)len);
	ca->cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	free(text);
	return ca->cert ? 0 : damaged(e, folder, "ca.pem");
}

bool ca_is_there(const char *folder)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/ca.json", folder) < (int)sizeof(path) &&
	       !access(path, F_OK);
}

int ca_open(struct ca *ca, const char *folder, const char *tcti, bool with_key,
	    struct error *e)
{
	int rc;

	memset(ca, 0, sizeof(*ca));
	if (!ca_is_there(folder))
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "There is no CA in %s: `vtpmctl ca init` makes one, or "
				 "use another with `vtpmctl csr`",
				 folder);
	rc = read_json(ca, folder, e);
	if (!rc)
		rc = read_cert(ca, folder, e);
	if (!rc && with_key)
		rc = cakey_load(ca->where, folder, tcti, &ca->key, e);
	if (!rc && with_key && X509_check_private_key(ca->cert, ca->key) != 1)
		rc = error_set(e, -EINVAL, CAUSE_INTERNAL,
			       "The key of the CA in %s is not the one of its "
			       "certificate: put back what `vtpmctl ca init` made",
			       folder);
	if (rc)
		ca_close(ca);
	return rc;
}

void ca_close(struct ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	free(ca->where);
	memset(ca, 0, sizeof(*ca));
}
