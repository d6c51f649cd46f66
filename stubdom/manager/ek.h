/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endorsement keys of this TPM, made from its endorsement seed with the templates
 * that everybody uses.  Source: TCG EK Credential Profile for TPM Family 2.0, version
 * 2.5, B.3 (L-1, L-2) and B.4 (H-3).
 *
 * A key follows from the seed and the template alone: it is the same each time, and
 * TPM2_Clear leaves it as it is.  Only TPM2_ChangeEPS would change it, which takes the
 * platform's authorization, and nobody has that but the manager (firmware.h).
 */
#ifndef XVTPM_EK_H
#define XVTPM_EK_H

#include "command.h"

enum ek { EK_P256, EK_RSA2048, EK_P384, EK_KINDS };

/* Where swtpm and others keep the RSA key: TCG Registry of Reserved TPM 2.0 Handles
 * and Localities. */
#define EK_RSA2048_HANDLE 0x81010001u

/* Makes it, with the empty endorsementAuth: c->handle is the key, until ek_flush(), and
 * the response goes on with its TPM2B_PUBLIC.  As command_run(). */
int __must_check ek_create_primary(enum ek which, struct command *c);
int __must_check ek_flush(struct command *c, uint32_t handle);
/* Keeps the key at handle under the persistent one, with the empty ownerAuth. */
int __must_check ek_evict_control(struct command *c, uint32_t handle,
				  uint32_t persistent);
/* Whether there is an object at handle; -errno. */
int __must_check ek_read_public(struct command *c, uint32_t handle);

#endif
