/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/error.h"
#include "compiler.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const words[] = {
	[CAUSE_NONE] = "none",
	[CAUSE_INTERNAL] = "internal",
	[CAUSE_CHANNEL] = "channel",
	[CAUSE_STORE] = "store",
	[CAUSE_NO_STATE] = "no-state",
	[CAUSE_STATE_EXISTS] = "state-exists",
	[CAUSE_HEADER_CORRUPT] = "header-corrupt",
	[CAUSE_BLOB_CORRUPT] = "blob-corrupt",
	[CAUSE_WRONG_VTPM] = "wrong-vtpm",
	[CAUSE_ROLLED_BACK] = "rolled-back",
	[CAUSE_VERSION] = "version",
	[CAUSE_NOT_CONFIGURED] = "not-configured",
	[CAUSE_TPM_UNREACHABLE] = "tpm-unreachable",
	[CAUSE_TPM_REPLACED] = "tpm-replaced",
	[CAUSE_PCRS_CHANGED] = "pcrs-changed",
	[CAUSE_TPM_REFUSED] = "tpm-refused",
	[CAUSE_KMS_UNREACHABLE] = "kms-unreachable",
	[CAUSE_KMS_UNTRUSTED] = "kms-untrusted",
	[CAUSE_KMS_DENIED] = "kms-denied",
	[CAUSE_KMS_KEY] = "kms-key",
	[CAUSE_KMS_REFUSED] = "kms-refused",
	[CAUSE_RANDOM] = "random",
	[CAUSE_ENGINE] = "engine",
	[CAUSE_CRYPTO] = "crypto",
	[CAUSE_TPM_BUSY] = "tpm-busy",
};

/* Takes off a last character of UTF-8 that may not be whole. */
static void cut(char *text, size_t n)
{
	while (n && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
		n--;
	if (n && (unsigned char)text[n - 1] & 0x80)
		n--;
	text[n] = '\0';
}

int error_set(struct error *e, int rc, enum cause cause, const char *fmt, ...)
{
	va_list ap;

	if (!e || e->cause != CAUSE_NONE)
		return rc;
	e->cause = cause;
	va_start(ap, fmt);
	if (vsnprintf(e->text, sizeof(e->text), fmt, ap) >= (int)sizeof(e->text))
		cut(e->text, sizeof(e->text) - 1);
	va_end(ap);
	return rc;
}

int error_crypto(struct error *e, int rc, const char *what)
{
	return error_set(e, rc, CAUSE_CRYPTO,
			 "OpenSSL failed at %s: no key was found wrong by that, and "
			 "nothing was changed; see whether memory is short and which "
			 "libcrypto is installed, and try again",
			 what);
}

const char *error_word(uint32_t cause)
{
	if (cause >= ARRAY_SIZE(words) || !words[cause])
		return "unknown";
	return words[cause];
}
