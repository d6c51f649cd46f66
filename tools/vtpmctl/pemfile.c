/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/pemfile.h"
#include "tools/vtpmctl/file.h"

#include <errno.h>
#include <stdlib.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

int pemfile_key(const char *path, EVP_PKEY **key, const char *otherwise, struct error *e)
{
	char *pem;
	size_t len;
	BIO *bio;
	int rc = file_read(path, &pem, &len, e);

	*key = NULL;
	if (rc)
		return rc;
	bio = BIO_new_mem_buf(pem, (int)len);
	if (bio)
		*key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	OPENSSL_cleanse(pem, len);
	free(pem);
	if (*key)
		return 0;
	return error_set(e, -EINVAL, CAUSE_INTERNAL, "%s %s", path, otherwise);
}
