/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager may ask of the host's TPM: the commands that sealing and unsealing under
 * the pinned storage key need, each in the one form that stubdom/manager/hosttpm.c,
 * _pcr.c and _policy.c give it, on the handles that this manager got itself.  A stub
 * domain that its guest took over can so neither raise the TPM's failure count (no
 * object that counts, no password, no session bound to another entity), nor make keys,
 * nor reach what belongs to other vTPMs.
 * Source: TPM 2.0 Library, Part 2 clause 6.5.2 (command codes), Part 3.
 */
#ifndef VTPMD_TPM_FILTER_H
#define VTPMD_TPM_FILTER_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

#define TPM_FILTER_COMMAND_MAX 4096
/* A manager has three at most: an object, a policy session, and beside them the policy key
 * or another session. */
#define TPM_FILTER_HANDLES 4

/* What host.json pins. */
struct tpm_filter_host {
	uint32_t srk;		   /* handle of the storage key; 0: none */
	const uint8_t *policy_key; /* TPMT_PUBLIC */
	size_t policy_key_len;
	/* whose shares the manager may have derived of a pool's key: its own vTPM's, and the
	 * one's that this is made as a copy of; 16 bytes, or NULL: none */
	const uint8_t *uuid[2];
};

enum tpm_filter_kind {
	TPM_FILTER_NONE = 0,
	TPM_FILTER_HMAC, /* a session */
	TPM_FILTER_POLICY,
	TPM_FILTER_SEALED, /* an object */
	TPM_FILTER_KEY,	   /* the policy key */
	TPM_FILTER_SHARE,  /* a pool's key */
};

/* The handles that the TPM gave to one manager and that are still its own.  Starts
 * zeroed; is zeroed again when the file of the TPM is closed. */
struct tpm_filter {
	struct {
		uint32_t handle;
		enum tpm_filter_kind kind;
	} own[TPM_FILTER_HANDLES];
};

struct tpm_filter_verdict {
	uint32_t code;	  /* of the command; 0 when it has none */
	const char *name; /* TPM2_...; NULL when unknown here */
	const char *why;  /* of a refusal */
	/* what a success makes: a handle of this kind, or that this one is gone */
	enum tpm_filter_kind gives;
	uint32_t flushes;
};

/* 0, or -EPERM with the reason in *v. */
int __must_check tpm_filter_check(const struct tpm_filter *f,
				  const struct tpm_filter_host *host, const uint8_t *cmd,
				  size_t len, struct tpm_filter_verdict *v);
/* Takes the response to the command that *v lets through. */
void tpm_filter_answered(struct tpm_filter *f, const struct tpm_filter_verdict *v,
			 const uint8_t *rsp, size_t len);

#endif
