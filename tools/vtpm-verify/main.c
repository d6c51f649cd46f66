/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpm-verify: whether evidence of a vTPM and its host is what a policy accepts.  It needs
 * no TPM, no network and no other file, and keeps nothing.
 */
#include "tools/vtpm-verify/policy.h"
#include "tools/vtpm-verify/judge.h"
#include "tools/vtpm-verify/first.h"
#include "lib/crypt.h"
#include "lib/text.h"
#include "version.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { ACCEPTED = 0, REFUSED = 1, USAGE = 2 };

#define CRLS_MAX 16
#define CRL_MAX	 (16 * 1024 * 1024)
#define AT_MAX	 253402300799 /* the last second that a certificate can name */

struct options {
	const char *policy, *nonce, *user, *evidence, *crl[CRLS_MAX];
	size_t crls;
	bool json, make_policy;
	time_t at;
	uint8_t nonce_bytes[BINDING_NONCE_MAX], user_bytes[BINDING_USER_MAX];
	size_t nonce_len, user_len;
};

static void help(FILE *to)
{
	fputs("Usage: vtpm-verify --policy FILE --nonce HEX [OPTIONS] EVIDENCE\n"
	      "Tells whether the evidence that `vtpmctl attest` or vtpm-attest wrote is to be\n"
	      "believed, and whether the policy accepts what it says.  EVIDENCE may be \"-\".\n\n"
	      "  --policy FILE    what is accepted: docs/attestation.md\n"
	      "  --nonce HEX      the random number that the evidence was asked for with\n"
	      "  --user-data HEX  what it has to have been made for besides, e.g. the hash\n"
	      "                   of the TLS key of who presents it; without it: nothing\n"
	      "  --crl FILE       revocation lists of the policy's CAs, PEM or DER; repeatable\n"
	      "  --make-policy    when it accepts, print the policy with this boot added,\n"
	      "                   in place of the verdict: of the log of its own firmware;\n"
	      "                   without --policy a first one, of this evidence alone\n"
	      "  --json           the verdict as a JSON object\n"
	      "  --at SECONDS     judge certificates as of then, since 1970; else now\n"
	      "  --version, --help\n\n"
	      "Exit status: 0 accepted, 1 refused, 2 no verdict: wrong usage, or a file that\n"
	      "cannot be read, or a policy that makes no sense.\n",
	      to);
}

static int usage(const char *what)
{
	fprintf(stderr, "vtpm-verify: %s; `vtpm-verify --help` lists the options\n",
		what);
	return USAGE;
}

/* strtoll() takes signs, blanks, and nothing at all, too. */
static bool take_time(const char *text, time_t *at)
{
	long long seconds;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	seconds = strtoll(text, &end, 10);
	if (errno || *end || seconds > AT_MAX)
		return false;
	*at = (time_t)seconds;
	return true;
}

static int check(struct options *o)
{
	if ((!o->policy && !o->make_policy) || !o->nonce || !o->evidence)
		return usage("--policy (or --make-policy), --nonce and one file of "
			     "evidence are needed");
	o->nonce_len = sizeof(o->nonce_bytes);
	if (hex_decode(o->nonce, o->nonce_bytes, &o->nonce_len) ||
	    o->nonce_len < BINDING_NONCE_MIN)
		return usage("--nonce takes 32 to 128 hexadecimal digits");
	o->user_len = sizeof(o->user_bytes);
	if (!o->user)
		o->user_len = 0;
	else if (hex_decode(o->user, o->user_bytes, &o->user_len) || !o->user_len)
		return usage("--user-data takes 2 to 128 hexadecimal digits");
	return -1;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"policy", required_argument, NULL, 'p'},
		{"nonce", required_argument, NULL, 'n'},
		{"user-data", required_argument, NULL, 'u'},
		{"crl", required_argument, NULL, 'c'},
		{"at", required_argument, NULL, 'a'},
		{"make-policy", no_argument, NULL, 'm'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'p')
			o->policy = optarg;
		else if (c == 'n')
			o->nonce = optarg;
		else if (c == 'u')
			o->user = optarg;
		else if (c == 'c' && o->crls < CRLS_MAX)
			o->crl[o->crls++] = optarg;
		else if (c == 'c')
			return usage("--crl 16 times at most; one file may have many");
		else if (c == 'a' && !take_time(optarg, &o->at))
			return usage("--at takes seconds since 1970, in decimal, up to "
				     "the year 9999");
		else if (c == 'm')
			o->make_policy = true;
		else if (c == 'j')
			o->json = true;
		else if (c == 'h')
			help(stdout);
		else if (c == 'v')
			puts("vtpm-verify " XEN_VTPM_VERSION);
		if (c == 'h' || c == 'v')
			return ACCEPTED;
		if (c == '?')
			return USAGE;
	}
	o->evidence = optind == argc - 1 ? argv[optind] : NULL;
	return check(o);
}

/* malloc()ed, zero-terminated; NULL: an error was printed. */
static char *read_text(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	char *text = malloc(EVIDENCE_MAX + 2);
	size_t n = 0;

	if (f && text)
		n = fread(text, 1, EVIDENCE_MAX + 1, f);
	if (!f || !text || ferror(f) || n > EVIDENCE_MAX) {
		fprintf(stderr,
			"vtpm-verify: cannot read %s: %s; check the path and its permissions\n",
			path, n > EVIDENCE_MAX ? "it is too long" : strerror(errno));
		free(text);
		text = NULL;
	} else {
		text[n] = 0;
		/* a zero inside would hide the rest */
		if (strlen(text) != n)
			text[0] = 0;
	}
	if (f && f != stdin)
		fclose(f);
	return text;
}

static int add_crls(struct policy *p, const char *path)
{
	uint8_t *bytes = malloc(CRL_MAX + 1);
	FILE *f = fopen(path, "re");
	size_t n = f && bytes ? fread(bytes, 1, CRL_MAX + 1, f) : 0;
	int rc = -EBADMSG;

	if (n && n <= CRL_MAX && !ferror(f))
		rc = chain_add_crls(p->ca, bytes, n);
	if (f)
		fclose(f);
	free(bytes);
	if (rc)
		fprintf(stderr,
			"vtpm-verify: %s cannot be read, or has other things in it than "
			"complete revocation lists (no delta CRL), PEM or DER, signed with "
			"a hash that is not weak (no SHA-1): see `openssl crl -in`\n",
			path);
	return rc;
}

/* USAGE: it was said why; 0. */
static int add_all_crls(const struct options *o, struct policy *p)
{
	size_t i;

	if (o->crls && !p->ca)
		return usage("--crl is for the certificates of \"ek_ca\", which the "
			     "policy does not have");
	for (i = 0; i < o->crls; i++)
		if (add_crls(p, o->crl[i]))
			return USAGE;
	return 0;
}

static void print_policy(json_t *policy)
{
	json_dumpf(policy, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(policy);
}

static int verify_evidence(const struct options *o, const struct policy *p,
			   const char *text)
{
	json_t *made = NULL;
	struct judge j = {.policy = p,
			  .nonce = o->nonce_bytes,
			  .nonce_len = o->nonce_len,
			  .user = o->user_bytes,
			  .user_len = o->user_len,
			  .at = o->at,
			  .policy_made = o->make_policy ? &made : NULL,
			  .is_first = !o->policy};
	struct verdict v = {0};
	struct evidence *e;

	if (evidence_parse(text, &e)) {
		verdict_add(&v, "malformed",
			    "%s is not evidence as `vtpmctl attest` writes it",
			    o->evidence);
	} else {
		judge(&j, e, &v);
		evidence_free(e);
	}
	if (made)
		print_policy(made);
	else
		verdict_print(&v, o->json, stdout);
	if (fflush(stdout) || (o->make_policy && !v.reasons && !made))
		return USAGE;
	return v.reasons ? REFUSED : ACCEPTED;
}

/* The text of a policy of the evidence's own; "": it is no evidence, as no policy is. */
static char *make_first(const char *text)
{
	struct evidence *e;
	json_t *policy;
	char *made;

	if (evidence_parse(text, &e))
		return strdup("");
	policy = first_policy(e);
	evidence_free(e);
	made = policy ? json_dumps(policy, 0) : NULL;
	json_decref(policy);
	return made ? made : strdup("");
}

int main(int argc, char **argv)
{
	struct options o = {.at = time(NULL)};
	const char *lacks = crypt_init();
	int status = parse(argc, argv, &o);
	char *policy, *text, why[200];
	struct policy p;

	if (lacks) {
		fprintf(stderr, "vtpm-verify: " CRYPT_LACKS "\n", lacks);
		return USAGE;
	}
	if (status >= 0)
		return status;
	text = read_text(o.evidence);
	policy = o.policy ? read_text(o.policy) : text ? make_first(text) : NULL;
	status = USAGE;
	if (policy && text && !o.policy && !policy[0]) {
		fprintf(stderr,
			"vtpm-verify: %s is not evidence as `vtpmctl attest` writes it\n",
			o.evidence);
	} else if (policy && text && policy_parse(policy, &p, why, sizeof(why))) {
		fprintf(stderr, "vtpm-verify: the policy %s makes no sense: %s\n",
			o.policy ? o.policy : "of this evidence", why);
	} else if (policy && text) {
		status = add_all_crls(&o, &p);
		if (!status)
			status = verify_evidence(&o, &p, text);
		policy_free(&p);
	}
	free(policy);
	free(text);
	return status;
}
