/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness of a vTPM's endorsement keys: what spares a manager that starts the making of
 * them, which takes as long as all else that it does by itself.
 *
 * It is the Name of one more primary key of the endorsement hierarchy, an HMAC key, whose
 * template has as `unique`
 *   SHA-256("xen-vtpm endorsement keys 1" | u32 release of libtpms, as TPMLIB_GetVersion() has it
 *           | for each key, in the order of enum envelope_ek: its template as a TPM2B_PUBLIC
 *           | u16 n | n bytes, its Name)
 * A primary key follows from the hierarchy's seed, and "all of the bits of the template are used
 * in the creation of the Primary Key" (TPM 2.0 Library, Part 3, 24.1): a TPM makes the same
 * witness again only if it has the seed of the one that made it, and the Names are those that it
 * had then.  It takes hashes, and no computation on a curve.  Into an HMAC key's Name libtpms
 * brings the storage hierarchy's proof, too (CryptCreateObject()): after a TPM2_Clear it is
 * another one.
 *
 *   the manager makes all keys, compares them with the Names in the header, and sends their
 *     public parts in CHANNEL_IDENTITY, and behind them u16 0 | the witness
 *   vtpmd keeps both, in vtpm.json; from a manager that starts alone, before its guest came:
 *     never from another host, or a backup
 *   the next manager gets the witness in its configuration, and makes its own: of the seed in the
 *     state and the Names in the header, both of which it has authenticated.  If it is the
 *     same, it has nothing to tell; else it makes all keys, as the first one did.
 *
 * It is no secret, and whoever writes vtpm.json can put any there.  Who does not have this TPM
 * (its seed, or the use of it) cannot make the one of other Names; and who brings those into the
 * header has the data key, and with it the seed.  So a witness makes nobody believe more than
 * he who has it could have made believed without.
 */
#ifndef XVTPM_EKWITNESS_H
#define XVTPM_EKWITNESS_H

#include "include/channel.h"

#define EKWITNESS_SIZE 34 /* a Name with SHA-256 */

/* In the configuration of a TPM 2.0.  Empty: vtpmd keeps a witness, and has none, or not all
 * keys.  A manager that does not know the tag makes the keys; to a vtpmd that does not send it
 * no witness is sent. */
#define CONFIG_EK_WITNESS (CONFIG_MAY_BE_SKIPPED | 23)

#endif
