/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/error.h"
#include "compiler.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* How a cause goes away. */
enum {
	PASSES = 1, /* by itself: error_passes() */
	CONFIG = 2, /* by another host.json: error_by_config() */
};

/* docs/errors.md says the same of each, and why. */
static const struct {
	const char *word;
	unsigned int remedy;
} causes[] = {
	[CAUSE_NONE] = {"none", 0},
	[CAUSE_INTERNAL] = {"internal", 0},
	[CAUSE_CHANNEL] = {"channel", 0},
	[CAUSE_STORE] = {"store", PASSES},
	[CAUSE_NO_STATE] = {"no-state", 0},
	[CAUSE_STATE_EXISTS] = {"state-exists", 0},
	[CAUSE_HEADER_CORRUPT] = {"header-corrupt", 0},
	[CAUSE_BLOB_CORRUPT] = {"blob-corrupt", 0},
	[CAUSE_WRONG_VTPM] = {"wrong-vtpm", 0},
	[CAUSE_ROLLED_BACK] = {"rolled-back", 0},
	[CAUSE_VERSION] = {"version", 0},
	[CAUSE_NOT_CONFIGURED] = {"not-configured", CONFIG},
	[CAUSE_TPM_UNREACHABLE] = {"tpm-unreachable", PASSES | CONFIG},
	[CAUSE_TPM_REPLACED] = {"tpm-replaced", 0},
	[CAUSE_PCRS_CHANGED] = {"pcrs-changed", CONFIG},
	[CAUSE_TPM_REFUSED] = {"tpm-refused", 0},
	[CAUSE_KMS_UNREACHABLE] = {"kms-unreachable", PASSES | CONFIG},
	[CAUSE_KMS_UNTRUSTED] = {"kms-untrusted", CONFIG},
	[CAUSE_KMS_DENIED] = {"kms-denied", CONFIG},
	[CAUSE_KMS_KEY] = {"kms-key", CONFIG},
	[CAUSE_KMS_REFUSED] = {"kms-refused", PASSES | CONFIG},
	[CAUSE_RANDOM] = {"random", 0},
	[CAUSE_ENGINE] = {"engine", 0},
	[CAUSE_CRYPTO] = {"crypto", 0},
	[CAUSE_TPM_BUSY] = {"tpm-busy", PASSES | CONFIG},
	[CAUSE_KMS_CERT_TIME] = {"kms-cert-time", PASSES | CONFIG},
	[CAUSE_LEASE] = {"lease", 0},
	[CAUSE_RESOURCES] = {"resources", PASSES},
	[CAUSE_PEER] = {"peer", 0},
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
	if (cause >= ARRAY_SIZE(causes) || !causes[cause].word)
		return "unknown";
	return causes[cause].word;
}

bool error_passes(uint32_t cause)
{
	return cause < ARRAY_SIZE(causes) && causes[cause].remedy & PASSES;
}

bool error_by_config(uint32_t cause)
{
	return cause < ARRAY_SIZE(causes) && causes[cause].remedy & CONFIG;
}

enum cause error_of_host(int rc)
{
	switch (-rc) {
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
	case EROFS:
	case EIO:
	case EAGAIN:
	case EINTR:
	case EMFILE:
	case ENFILE:
	case ETXTBSY: /* a program that is being installed */
		return CAUSE_RESOURCES;
	default:
		return CAUSE_INTERNAL;
	}
}
