/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpm-attest, in a guest: evidence of this guest's TPM and of the host that it runs on,
 * through the TPM itself.  The same as `vtpmctl attest` on the host gets, but that the
 * attestation key is the guest's.
 */
#include "tools/vtpm-attest/guestkey.h"
#include "tools/vtpm-attest/vendorcmd.h"
#include "include/vendor.h"
#include "lib/crypt.h"
#include "lib/hex.h"
#include "version.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#define NONCE_MIN 16
#define NONCE_MAX 64
#define TCTI	  "device:/dev/tpm0"

enum { DONE = 0, FAILED = 1, USAGE = 2, AGAIN = 3 };

struct options {
	const char *nonce, *pcrs, *output, *tcti;
	TPM2B_DATA nonce_bytes;
	uint32_t bits;
};

static void help(FILE *to)
{
	fputs("Usage: vtpm-attest --nonce HEX [OPTIONS]\n"
	      "Writes evidence of this guest's TPM and of its host, for vtpm-verify.\n\n"
	      "  --nonce HEX        the verifier's random number, 16 to 64 bytes\n"
	      "  --pcrs N,N,...     that are quoted, in every bank; 0 to 15\n"
	      "  --output FILE, -o  where to; else standard output\n"
	      "  --tcti TCTI        the TPM, " TCTI "; not /dev/tpmrm0,\n"
	      "                     which passes the TCG's commands only\n"
	      "  --version, --help\n\n"
	      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 too often: ask again.\n",
	      to);
}

static int usage(const char *what)
{
	fprintf(stderr, "vtpm-attest: %s; `vtpm-attest --help` lists the options\n",
		what);
	return USAGE;
}

static bool parse_pcrs(const char *text, uint32_t *bits)
{
	unsigned long n;
	char *end;

	for (*bits = 0;; text = end + 1) {
		n = strtoul(text, &end, 10);
		if (end == text || *text < '0' || *text > '9' || n > 23)
			return false;
		*bits |= 1u << n;
		if (*end != ',')
			return !*end;
	}
}

/* -1: go on; else the exit status. */
static int check(struct options *o)
{
	size_t len = NONCE_MAX;

	if (!o->nonce || hex_decode(o->nonce, o->nonce_bytes.buffer, &len) ||
	    len < NONCE_MIN)
		return usage(
			"--nonce takes 32 to 128 hexadecimal digits, from the verifier");
	o->nonce_bytes.size = (uint16_t)len;
	if (!o->pcrs)
		o->bits = 0xffff;
	else if (!parse_pcrs(o->pcrs, &o->bits))
		return usage("--pcrs takes numbers from 0 to 23");
	return -1;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"nonce", required_argument, NULL, 'n'},
		{"pcrs", required_argument, NULL, 'p'},
		{"output", required_argument, NULL, 'o'},
		{"tcti", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) != -1) {
		if (c == 'n')
			o->nonce = optarg;
		else if (c == 'p')
			o->pcrs = optarg;
		else if (c == 'o')
			o->output = optarg;
		else if (c == 't')
			o->tcti = optarg;
		else if (c == 'v')
			puts("vtpm-attest " XEN_VTPM_VERSION);
		else if (c == 'h')
			help(stdout);
		if (c == 'v' || c == 'h')
			return DONE;
		if (c == '?')
			return USAGE;
	}
	return optind == argc ? check(o) : usage("it takes no arguments");
}

static int refused(TSS2_RC rc, const char *doing)
{
	fprintf(stderr,
		"vtpm-attest: the TPM refused to %s: %s (0x%x); `dmesg | grep -i "
		"tpm` may tell why\n",
		doing, Tss2_RC_Decode(rc), rc);
	return FAILED;
}

static int no_evidence(int rc, uint32_t tpm_rc)
{
	if (rc != -EREMOTEIO) {
		fputs("vtpm-attest: the TPM did not answer; is it a Xen vTPM, at /dev/tpm0?\n",
		      stderr);
		return FAILED;
	}
	switch (tpm_rc) {
	case VENDOR_RC_RETRY:
		fputs("vtpm-attest: the host's TPM quotes only now and then for each guest; "
		      "ask again in some seconds\n",
		      stderr);
		return AGAIN;
	case VENDOR_RC_DISABLED:
		fputs("vtpm-attest: the host does not attest; its operator has to look "
		      "(`journalctl -u vtpmd` on the host)\n",
		      stderr);
		return FAILED;
	case TPM2_RC_COMMAND_CODE:
	case TPM2_RC_COMMAND_CODE | TSS2_RESMGR_RC_LAYER:
		fputs("vtpm-attest: the TPM does not know the command; it has to be a vTPM "
		      "of xen-vtpm, at /dev/tpm0, not at /dev/tpmrm0\n",
		      stderr);
		return FAILED;
	default:
		return refused(tpm_rc, "attest");
	}
}

static int write_out(const struct options *o, const char *text, size_t len)
{
	FILE *f = o->output ? fopen(o->output, "we") : stdout;
	bool good = f && fwrite(text, 1, len, f) == len && fputc('\n', f) != EOF;

	good = f && !(f == stdout ? fflush(f) : fclose(f)) && good;
	if (!good)
		fprintf(stderr, "vtpm-attest: %s cannot be written: %s\n",
			o->output ? o->output : "standard output", strerror(errno));
	return good ? DONE : FAILED;
}

/* With the key in the TPM. */
static int attest(const struct options *o, TSS2_TCTI_CONTEXT *tcti,
		  const struct guestkey *k)
{
	uint8_t signature[sizeof(TPMT_SIGNATURE)];
	struct vendorcmd_attest a = {.nonce = o->nonce_bytes.buffer,
				     .nonce_len = o->nonce_bytes.size,
				     .pcrs = o->bits,
				     .key = k->handle,
				     .quote = k->quote.attestationData,
				     .quote_len = k->quote.size,
				     .signature = signature};
	uint32_t tpm_rc = 0;
	char *text = NULL;
	size_t len;
	int rc, status;

	if (Tss2_MU_TPMT_SIGNATURE_Marshal(&k->signature, signature, sizeof(signature),
					   &a.signature_len))
		return FAILED;
	rc = vendorcmd_attest(tcti, &a, &tpm_rc);
	if (!rc)
		rc = vendorcmd_evidence(tcti, &text, &len, &tpm_rc);
	status = rc ? no_evidence(rc, tpm_rc) : write_out(o, text, len);
	free(text);
	return status;
}

static int run(const struct options *o, TSS2_TCTI_CONTEXT *tcti)
{
	const char *doing = "start a conversation";
	struct guestkey k = {.key = ESYS_TR_NONE};
	ESYS_CONTEXT *esys = NULL;
	TSS2_RC rc = Esys_Initialize(&esys, tcti, NULL);
	int status;

	if (!rc)
		rc = guestkey_make(esys, &k, &doing);
	if (!rc)
		rc = guestkey_quote(esys, &k, &o->nonce_bytes, o->bits, &doing);
	status = rc ? refused(rc, doing) : attest(o, tcti, &k);
	if (esys)
		guestkey_flush(esys, &k);
	Esys_Finalize(&esys);
	return status;
}

int main(int argc, char **argv)
{
	struct options o = {.tcti = TCTI};
	const char *lacks = crypt_init();
	TSS2_TCTI_CONTEXT *tcti = NULL;
	int status = parse(argc, argv, &o);
	TSS2_RC rc;

	if (lacks) {
		fprintf(stderr, "vtpm-attest: " CRYPT_LACKS "\n", lacks);
		return FAILED;
	}
	if (status >= 0)
		return status;
	/* the library logs each refusal by itself; one sentence is enough */
	setenv("TSS2_LOG", "all+NONE", 0);
	rc = Tss2_TctiLdr_Initialize(o.tcti, &tcti);
	if (rc) {
		fprintf(stderr,
			"vtpm-attest: there is no TPM at \"%s\" (%s), or something else "
			"uses it; see `dmesg | grep -i tpm`\n",
			o.tcti, Tss2_RC_Decode(rc));
		return FAILED;
	}
	status = run(&o, tcti);
	Tss2_TctiLdr_Finalize(&tcti);
	return status;
}
