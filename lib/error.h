/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something failed, in a form for programs (the cause) and for people (one
 * sentence: the cause and the next step).  The manager sends both to vtpmd in a
 * FAIL message and prints the sentence on its console; vtpmctl prints it again.
 * The numbers are part of the host channel's protocol: never reuse one.
 */
#ifndef XVTPM_ERROR_H
#define XVTPM_ERROR_H

#include <stdbool.h>
#include <stdint.h>

enum cause {
	CAUSE_NONE = 0,
	CAUSE_INTERNAL = 1,	  /* a bug, or no memory */
	CAUSE_CHANNEL = 2,	  /* the host channel broke, or its data were malformed */
	CAUSE_STORE = 3,	  /* vtpmd could not read or write the store */
	CAUSE_NO_STATE = 4,	  /* the vTPM has no state and was not being created */
	CAUSE_STATE_EXISTS = 5,	  /* asked to create over an existing state */
	CAUSE_HEADER_CORRUPT = 6, /* the header does not parse or authenticate */
	CAUSE_BLOB_CORRUPT = 7,	  /* a state blob does not parse or authenticate */
	CAUSE_WRONG_VTPM = 8,	  /* header, blob or entry are of different vTPMs */
	CAUSE_ROLLED_BACK = 9,	  /* an older generation than the last known */
	CAUSE_VERSION = 10,	  /* a format or protocol newer than this program */
	CAUSE_NOT_CONFIGURED = 11,  /* the policy asks for what the host lacks */
	CAUSE_TPM_UNREACHABLE = 12, /* the host's TPM did not answer */
	CAUSE_TPM_REPLACED = 13,    /* its storage key is not the pinned one */
	CAUSE_PCRS_CHANGED = 14,    /* the boot state is not an approved one */
	CAUSE_TPM_REFUSED = 15,	    /* any other refusal by the host's TPM */
	CAUSE_KMS_UNREACHABLE = 16, /* no connection to the KMS */
	CAUSE_KMS_UNTRUSTED = 17,   /* the KMS's certificate does not verify */
	CAUSE_KMS_DENIED = 18,	    /* the KMS refused our certificate or permission */
	CAUSE_KMS_KEY = 19,	    /* the key is revoked, deactivated, gone */
	CAUSE_KMS_REFUSED = 20,	    /* any other refusal by the KMS */
	CAUSE_RANDOM = 21,	    /* no good entropy source */
	CAUSE_ENGINE = 22,	    /* libtpms rejects the state, or failed */
	CAUSE_CRYPTO = 23,	    /* OpenSSL failed; no key was judged by it */
	CAUSE_TPM_BUSY = 24,	    /* the host's TPM warns: not now */
	CAUSE_KMS_CERT_TIME = 25,   /* a certificate is out of its time by a clock */
	CAUSE_LEASE = 26,	    /* another vtpmd, or another machine, has the vTPM */
	CAUSE_RESOURCES = 27,	    /* this host has no memory, room or time for it now */
	CAUSE_PEER = 28,	    /* another host is none that a vTPM may move to */
};

struct error {
	enum cause cause;
	char text[320]; /* one sentence, no newline */
};

/* Fills *e unless it is NULL or already tells an earlier cause. Returns rc. */
/*@ requires e == \null || \valid(e);
    assigns *e;
    ensures \result == rc; */
int error_set(struct error *e, int rc, enum cause cause, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* OpenSSL failed at what ("AES-256-GCM"): says so, and that no key was found wrong. */
/*@ requires e == \null || \valid(e);
    assigns *e;
    ensures \result == rc; */
int error_crypto(struct error *e, int rc, const char *what);
/* A short word for the cause, for JSON and logs: "pcrs-changed"; never NULL. */
const char *error_word(uint32_t cause);
/* Whether it may pass without a change to this host: a start that fails of
 * it is tried again for ever.  All others need a person, and stay failed. */
bool error_passes(uint32_t cause);
/* Whether another host.json may be what mends it. */
bool error_by_config(uint32_t cause);
/* What a failed system call of this host comes to: CAUSE_RESOURCES when it may pass, else
 * CAUSE_INTERNAL.  rc: -errno. */
enum cause error_of_host(int rc);

#endif
