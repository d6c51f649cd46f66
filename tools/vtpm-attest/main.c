/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpm-attest, in a guest: evidence of this guest's TPM and of the host that it runs on,
 * through the TPM itself.  `vtpmctl attest` gets the same on the host.
 */
#include "include/compiler.h"
#include "include/vendor.h"
#include "include/version.h"
#include "lib/firmwarelog.h"
#include "lib/text.h"
#include "lib/tpm2/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>

struct vendorcmd_attest {
	const uint8_t *nonce, *user; /* user data, of 0 to 64 bytes */
	size_t nonce_len, user_len;
	uint32_t pcrs;
};

#define EVIDENCE_MAX (1024 * 1024)

static int exchange(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp,
		    size_t *rsp_len)
{
	TSS2_TCTI_CONTEXT *tcti = ctx;

	if (Tss2_Tcti_Transmit(tcti, len, cmd) ||
	    Tss2_Tcti_Receive(tcti, rsp_len, rsp, TSS2_TCTI_TIMEOUT_BLOCK))
		return -EIO;
	return 0;
}

/* As tpm2_run(), here and below. */
static int vendorcmd_attest(struct tpm2_cmd *c, const struct vendorcmd_attest *a)
{
	tpm2_begin(c, XVTPM_CC_ATTEST);
	tpm2_put_2b(&c->in, (struct tpm2_bytes){a->nonce, a->nonce_len});
	cursor_put_u32(&c->in, a->pcrs);
	tpm2_put_2b(&c->in, (struct tpm2_bytes){a->user, a->user_len});
	return tpm2_run(c);
}

/* One piece; *total grows from 0 to what it is. */
static int read_piece(struct tpm2_cmd *c, char **text, size_t *at, size_t *total)
{
	size_t n, all;
	int rc;

	tpm2_begin(c, XVTPM_CC_READ_EVIDENCE);
	cursor_put_u32(&c->in, (uint32_t)*at);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	all = cursor_u32(&c->out);
	n = cursor_u16(&c->out);
	if (!all || all > EVIDENCE_MAX || (*total && all != *total) || !n ||
	    n > all - *at || n > cursor_left(&c->out))
		return -EIO;
	if (!*total)
		*text = calloc(1, all + 1);
	if (!*text)
		return -ENOMEM;
	*total = all;
	cursor_copy(&c->out, *text + *at, n);
	*at += n;
	return 0;
}

/* *text is malloc()ed, len bytes and a zero. */
static int vendorcmd_evidence(struct tpm2_cmd *c, char **text, size_t *len)
{
	size_t at = 0, total = 0;
	int rc;

	*text = NULL;
	do
		rc = read_piece(c, text, &at, &total);
	while (!rc && at < total);
	*len = total;
	if (rc) {
		free(*text);
		*text = NULL;
	}
	return rc;
}

#define NONCE_MIN    16
#define NONCE_MAX    64
#define USER_MAX     64
#define TCTI	     "device:/dev/tpm0"
#define FIRMWARE_LOG "/sys/kernel/security/tpm0/binary_bios_measurements"

enum { DONE = 0, FAILED = 1, USAGE = 2, AGAIN = 3 };

struct options {
	const char *nonce, *user, *pcrs, *output, *tcti, *log;
	uint8_t nonce_bytes[NONCE_MAX], user_bytes[USER_MAX];
	size_t nonce_len, user_len;
	uint32_t bits;
};

static void help(FILE *to)
{
	fputs("Usage: vtpm-attest --nonce HEX [OPTIONS]\n"
	      "Writes evidence of this guest's TPM and of its host, for vtpm-verify.\n\n"
	      "  --nonce HEX        the verifier's random number, 16 to 64 bytes\n"
	      "  --user-data HEX    up to 64 bytes to be signed with it, e.g. a TLS key's hash\n"
	      "  --pcrs N,N,...     that are quoted, in every bank; 0 to 15\n"
	      "  --event-log FILE   of this guest's firmware; without it\n"
	      "                     " FIRMWARE_LOG ",\n"
	      "                     if there is one\n"
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
	o->nonce_len = sizeof(o->nonce_bytes);
	o->user_len = sizeof(o->user_bytes);
	if (!o->nonce || hex_decode(o->nonce, o->nonce_bytes, &o->nonce_len) ||
	    o->nonce_len < NONCE_MIN)
		return usage(
			"--nonce takes 32 to 128 hexadecimal digits, from the verifier");
	if (hex_decode(o->user, o->user_bytes, &o->user_len))
		return usage("--user-data takes at most 128 hexadecimal digits");
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
		{"user-data", required_argument, NULL, 'u'},
		{"pcrs", required_argument, NULL, 'p'},
		{"event-log", required_argument, NULL, 'l'},
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
		else if (c == 'u')
			o->user = optarg;
		else if (c == 'p')
			o->pcrs = optarg;
		else if (c == 'l')
			o->log = optarg;
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

static int refused(TSS2_RC rc)
{
	fprintf(stderr,
		"vtpm-attest: the TPM refused to attest: %s (0x%x); ask again, and when "
		"that stays, have the host's operator look at `journalctl -u vtpmd`\n",
		Tss2_RC_Decode(rc), rc);
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
	case TPM2_RC_RETRY:
		fputs("vtpm-attest: the host's TPM quotes only now and then for each guest; "
		      "ask again in some seconds\n",
		      stderr);
		return AGAIN;
	case TPM2_RC_DISABLED:
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
	case TPM2_RC_OBJECT_MEMORY:
		fputs("vtpm-attest: the TPM's memory for keys is full; flush some with "
		      "`tpm2_flushcontext -t`, or ask again\n",
		      stderr);
		return AGAIN;
	default:
		return refused(tpm_rc);
	}
}

static int write_out(const struct options *o, const char *text, size_t len)
{
	FILE *f = o->output ? fopen(o->output, "we") : stdout;
	bool good = f && fwrite(text, 1, len, f) == len && fputc('\n', f) != EOF;

	good = f && !(f == stdout ? fflush(f) : fclose(f)) && good;
	if (!good)
		fprintf(stderr,
			"vtpm-attest: %s cannot be written: %s; check the path and the disk's space\n",
			o->output ? o->output : "standard output", strerror(errno));
	return good ? DONE : FAILED;
}

/* 0, or it was said why not.  Without --event-log a measured launch's log stays as it is. */
static int add_firmware_log(const struct options *o, char **text, size_t *len)
{
	const char *path = o->log ? o->log : FIRMWARE_LOG;
	uint8_t *log = NULL;
	size_t n;
	int rc = firmwarelog_read(path, &log, &n);

	if (!o->log && (rc == -ENOENT || rc == -EACCES || rc == -ENODATA))
		return 0;
	if (rc) {
		fprintf(stderr,
			"vtpm-attest: the event log %s cannot be read: %s; give another --event-log\n",
			path, strerror(-rc));
		return rc;
	}
	rc = firmwarelog_add(text, len, log, n);
	free(log);
	if (rc == -EEXIST && !o->log)
		return 0;
	if (rc)
		fprintf(stderr, "vtpm-attest: --event-log: %s\n",
			rc == -EEXIST
				? "the host measured this guest's launch, and its log is "
				  "in the evidence: leave the option out"
				: strerror(-rc));
	return rc;
}

static int main_run(const struct options *o, TSS2_TCTI_CONTEXT *tcti)
{
	const struct vendorcmd_attest a = {.nonce = o->nonce_bytes,
					   .nonce_len = o->nonce_len,
					   .user = o->user_bytes,
					   .user_len = o->user_len,
					   .pcrs = o->bits};
	const struct tpm2_transport tpm = {.ctx = tcti, .exchange = exchange};
	struct tpm2_cmd c = {.transport = &tpm};
	char *text = NULL;
	size_t len;
	int status, rc = vendorcmd_attest(&c, &a);

	if (!rc)
		rc = vendorcmd_evidence(&c, &text, &len);
	if (rc)
		status = no_evidence(rc, c.rc);
	else if (add_firmware_log(o, &text, &len))
		status = FAILED;
	else
		status = write_out(o, text, len);
	free(text);
	return status;
}

int main(int argc, char **argv)
{
	struct options o = {.user = "", .tcti = TCTI};
	TSS2_TCTI_CONTEXT *tcti = NULL;
	int status = parse(argc, argv, &o);
	TSS2_RC rc;

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
	status = main_run(&o, tcti);
	Tss2_TctiLdr_Finalize(&tcti);
	return status;
}
