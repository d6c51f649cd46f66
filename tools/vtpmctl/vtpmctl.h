/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator types.  A table of subcommands (vtpmctl.c), a file each; each
 * gets its own argv, prints data on stdout, progress and one sentence about a
 * failure on stderr, and returns an exit status.
 */
#ifndef XVTPM_VTPMCTL_H
#define XVTPM_VTPMCTL_H

#include "lib/error.h"

enum vtpmctl_status {
	VTPMCTL_OK = 0,
	VTPMCTL_FAILED = 1,	    /* anything that has no status of its own */
	VTPMCTL_USAGE = 2,	    /* the command line */
	VTPMCTL_NO_VTPMD = 3,	    /* vtpmd does not answer */
	VTPMCTL_NOT_CONFIGURED = 4, /* no `host init`, or no KMS in it */
	VTPMCTL_NO_SUCH_VTPM = 5,
	VTPMCTL_TPM = 6, /* the host's TPM: absent, replaced, PCRs changed, ... */
	VTPMCTL_KMS = 7, /* the KMS: unreachable, untrusted, denied, key gone */
	VTPMCTL_XL = 8,	 /* xl failed, with a complaint of its own */
};

struct vtpmctl_command {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

/* The exit status for an error_word() or one of vtpmd's own words. */
int vtpmctl_status(const char *cause);
/* Prints "vtpmctl: sentence" on stderr and gives the exit status. */
int vtpmctl_fail(const struct error *e);

int create_main(int argc, char **argv);
int import_main(int argc, char **argv);
int start_main(int argc, char **argv);
int stop_main(int argc, char **argv);
int resume_main(int argc, char **argv);
int set_main(int argc, char **argv);
int launch_main(int argc, char **argv);
int check_main(int argc, char **argv);
int backup_main(int argc, char **argv);
int restore_main(int argc, char **argv);
int recover_main(int argc, char **argv);
int attest_main(int argc, char **argv);
int rekey_main(int argc, char **argv);
int clone_main(int argc, char **argv);
int rename_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int audit_main(int argc, char **argv);
int peer_main(int argc, char **argv);
int pool_main(int argc, char **argv);
int peer_self_main(int argc, char **argv);
int migrate_main(int argc, char **argv);
int migrate_receive_main(int argc, char **argv);
int migrate_pipe_main(int argc, char **argv);
int list_main(int argc, char **argv);
int top_main(int argc, char **argv);
int show_main(int argc, char **argv);
int delete_main(int argc, char **argv);
int ca_main(int argc, char **argv);
int ca_init_main(int argc, char **argv);
int ca_show_main(int argc, char **argv);
int cert_main(int argc, char **argv);
int cert_issue_main(int argc, char **argv);
int cert_install_main(int argc, char **argv);
int cert_show_main(int argc, char **argv);
int cert_export_main(int argc, char **argv);
int csr_main(int argc, char **argv);
int host_main(int argc, char **argv);
int host_anchor_main(int argc, char **argv);
int host_approve_main(int argc, char **argv);
int host_newkey_main(int argc, char **argv);
int host_init_main(int argc, char **argv);
int host_predict_main(int argc, char **argv);
int host_remove_main(int argc, char **argv);
int host_renew_main(int argc, char **argv);
int host_quote_main(int argc, char **argv);
int host_witness_main(int argc, char **argv);
int host_show_main(int argc, char **argv);

#define VTPMCTL_STORE "/var/lib/xen-vtpm" /* of vtpmd, where nothing else is said */

#endif
