/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "compiler.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *word;
	enum vtpmctl_status status;
} statuses[] = {
	{"not-configured", VTPMCTL_NOT_CONFIGURED},
	{"no-such-vtpm", VTPMCTL_NO_SUCH_VTPM},
	{"pcrs-changed", VTPMCTL_TPM},
	{"tpm-busy", VTPMCTL_TPM},
};

int vtpmctl_status(const char *cause)
{
	size_t i;

	if (!cause)
		return VTPMCTL_FAILED;
	if (!strncmp(cause, "tpm-", 4))
		return VTPMCTL_TPM;
	if (!strncmp(cause, "kms-", 4))
		return VTPMCTL_KMS;
	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (!strcmp(cause, statuses[i].word))
			return statuses[i].status;
	return VTPMCTL_FAILED;
}

int vtpmctl_fail(const struct error *e)
{
	fprintf(stderr, "vtpmctl: %s\n", e->text);
	return vtpmctl_status(error_word(e->cause));
}
