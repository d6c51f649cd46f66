/* SPDX-License-Identifier: Apache-2.0 */
/* What vtpmd knows about a vTPM: vtpm.json, whose writer can delete or clear the vTPM, and
 * learns and opens nothing; and beside it what the vTPM's header says (describe.h). */
#ifndef VTPMD_META_H
#define VTPMD_META_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "compiler.h"
#include "include/ekwitness.h"
#include "lib/slot/envelope.h"
#include "lib/error.h"
#include "lib/text.h"
#include "tools/vtpmd/store.h"

#define META_NAME_MAX 40
/* The guest gets locality 0; the others need a trusted launch of the guest. */
#define META_LOCALITIES 0x01

#define META_EKS    3
#define META_EK_MAX 384 /* a TPMT_PUBLIC */

#define META_NO_POLICY "unknown"

/* MiB.  vtpmctl takes no less than what a stub domain of this release needs, 8. */
#define META_MEMORY_MIN 4
#define META_MEMORY_MAX 4096

struct meta {
	char name[META_NAME_MAX + 1];
	uint8_t uuid[16];
	/* of the header; of a vTPM that is being made, what was asked for */
	char policy[12]; /* lib/slot/slot.c; META_NO_POLICY: no header was read */
	uint8_t localities;
	uint8_t pcr_banks; /* CONFIG_PCR_BANKS; 0: what a new TPM has */
	bool tpm12;	   /* a TPM 1.2; else a TPM 2.0 */
	bool measured;	   /* serves measured guests only */
	struct envelope_name names[ENVELOPE_EKS]; /* of its endorsement keys */

	unsigned int memory;
	bool is_copy; /* ... of the vTPM copy_of */
	uint8_t copy_of[16];
	bool imported; /* its state was swtpm's, or it is a copy of such a one */
	bool process;  /* placement */
	bool by_name;  /* a guest's line need not have its uuid (bind.h) */
	bool creating; /* it has never been ready */
	bool launched; /* it serves measured guests only, until it is stopped */
	bool wanted;   /* it is to run; also after a reboot of the host */
	bool ending;   /* its stub domain was asked to end, and a guest uses it yet */
	char created[32];
	char sealed[STAMP_SIZE]; /* when its key slots were made; empty: not known */
	char keyed[STAMP_SIZE];	 /* the same of its data key */
	/* the endorsement keys whose Names those are, once they are known: identity.h */
	unsigned int eks;
	struct meta_ek {
		uint16_t len;
		uint8_t bytes[META_EK_MAX];
	} ek[META_EKS];
	/* of all of them: include/ekwitness.h */
	bool has_witness;
	uint8_t ek_witness[EKWITNESS_SIZE];
	/* PPI of HVM guests (presence.h): operations and a response, as function 5 has them */
	struct meta_presence {
		bool denied;
		uint32_t request; /* 0: none is pending */
		uint32_t last, response;
	} presence;
	struct error error; /* of the last start; cause none: it went well */
};

/* Letters, digits, "_", ".", "-", not first a sign: it becomes part of a domain's
 * name, of file names and of xenstore values. */
bool meta_name_ok(const char *name);
/* What an operator does once more when it did not come to be: "clone", ... */
static inline const char *meta_made_by(const struct meta *m)
{
	if (m->is_copy)
		return "clone";
	return m->imported ? "import it" : "create it";
}
/* "1.2", "2.0" */
const char *meta_version(const struct meta *m);
/* NULL stands for what vTPMs were before there was a choice. -EINVAL */
int __must_check meta_version_parse(const char *version, bool *tpm12);
/* CONFIG_POLICY's value; 0: no such policy. */
uint16_t meta_policy(const char *policy);
/* --ppi */
#define META_PPI_ALLOW "allow"
#define META_PPI_DENY  "deny"
const char *meta_ppi(const struct meta *m);
/* The endorsement keys, as vtpm.json and backups have them. */
json_t *meta_eks(const struct meta *m);
/* Of a backup: ready, not wanted, without an error. -EBADMSG */
int __must_check meta_parse(const json_t *root, struct meta *m);
/* -EBADMSG: not what meta_write() wrote. */
int __must_check meta_read(struct store *s, struct meta *m);
/* 0: durable. */
int __must_check meta_write(struct store *s, const struct meta *m);

#endif
