/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/file.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int hostfile_load(const char *path, struct hostconf *h, struct error *e)
{
	char *text;
	size_t len;
	int rc = file_read(path, &text, &len, NULL);

	memset(h, 0, sizeof(*h));
	if (rc == -ENOENT)
		return error_set(
			e, rc, CAUSE_NOT_CONFIGURED,
			"this host is not set up: there is no %s; bring it back "
			"from a backup, or, on a new host, run `vtpmctl host init` "
			"(see its --help)",
			path);
	if (rc)
		return error_set(e, rc, CAUSE_INTERNAL,
				 "cannot read %s: %s; run this as root", path,
				 strerror(-rc));
	rc = hostconf_parse(text, h);
	if (!rc && !h->srk_handle) {
		hostconf_free(h);
		rc = -EBADMSG;
	}
	OPENSSL_cleanse(text, len);
	free(text);
	if (rc)
		error_set(e, rc, CAUSE_NOT_CONFIGURED,
			  "%s is not what `vtpmctl host init` wrote; restore it from a "
			  "backup, or run `vtpmctl host init --force` with the same "
			  "policy key",
			  path);
	return rc;
}

void hostfile_keep(const char *path)
{
	char previous[PATH_MAX];

	if (access(path, F_OK) || snprintf(previous, sizeof(previous), "%s.prev", path) >=
					  (int)sizeof(previous))
		return;
	unlink(previous);
	if (!link(path, previous))
		fprintf(stderr, "Kept what was configured before as %s\n", previous);
}

int hostfile_write(const char *path, const struct hostconf *h, struct error *e)
{
	char *text = hostconf_print(h);
	int rc;

	if (!text)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "the configuration is not plain text: check the KMS's "
				 "address, key id and certificates");
	rc = file_write(path, 0600, true, text, strlen(text), e);
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	return rc;
}
