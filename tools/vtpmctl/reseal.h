/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New key slots for a vTPM that does not run: `vtpmctl recover`, and `vtpmctl rekey --old`.
 * The data key is in this process for that time, and nowhere else.
 */
#ifndef XVTPM_VTPMCTL_RESEAL_H
#define XVTPM_VTPMCTL_RESEAL_H

#include "lib/hostconf.h"
#include "lib/slot/envelope.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/poolfile.h"
#include "tools/vtpmctl/tpm.h"

/* A vTPM's header, in a backup or in vtpmd's answer. */
struct reseal_header {
	uint8_t bytes[ENVELOPE_HEADER_MAX];
	size_t len;
	struct envelope_header parsed;
};

/* Reads it.  from: the backup's file; NULL: vtpmd's answer. */
int __must_check reseal_get(struct reseal_header *h, const json_t *backup,
			    const char *from, struct error *e);
/* Makes the bytes of the next header of what is in h->parsed: sealed to this TPM, and as
 * *conf says.  A recovery slot that it had stays, and stderr is told, when *conf has no
 * recovery key.  old_key: the data key that a deep rekey is replacing; NULL: none is.  fetch: a KMS
 * that gives its key out may give it to this process.  list: of a pool's hosts, of which *conf's is
 * one; NULL: none */
int __must_check reseal_seal(struct reseal_header *h, const struct hostconf *conf,
			     const struct pool *list, struct tpm *tpm,
			     const uint8_t data_key[ENVELOPE_KEY_SIZE],
			     const uint8_t *old_key, bool fetch, struct error *e);
/* Puts it into the store; an exit status, and the sentence in text. */
int __must_check reseal_put(const char *socket, const char *name,
			    const struct reseal_header *h, char text[CLIENT_TEXT]);

/* What a vTPM that does not run is sealed anew with. */
struct reseal {
	struct hostconf now, old; /* its header opens with either */
	struct poolfile now_list, old_list;
	struct tpm tpm;
	const char *socket;
};

int __must_check reseal_open(struct reseal *r, const char *tcti, const char *config,
			     const char *old, struct error *e);
void reseal_close(struct reseal *r);
/* Does it with one vTPM; an exit status, and the sentence in text. */
int __must_check reseal_one(struct reseal *r, const char *name, char text[CLIENT_TEXT]);

#endif
