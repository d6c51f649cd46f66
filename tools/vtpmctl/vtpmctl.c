/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "compiler.h"
#include "lib/crypt.h"
#include "lib/text.h"
#include "version.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static const struct vtpmctl_command commands[] = {
	{"host", "set up this host: init, renew, approve, anchor, show", host_main},
	{"create", "make a vTPM, seal it, start it; import: of a state of swtpm",
	 create_main},
	{"start", "start a vTPM that was stopped", start_main},
	{"stop", "stop a vTPM; its state stays in the store", stop_main},
	{"set", "change what a vTPM's guest may", set_main},
	{"launch", "start a guest's vTPMs, then the guest (xl create)", launch_main},
	{"check", "tell what xl create would meet with a guest's file", check_main},
	{"resume", "keep the PCRs for a guest that is saved and restored", resume_main},
	{"list", "all vTPMs of this host; top: what they do", list_main},
	{"top", NULL, top_main},
	{"show", "all about one vTPM", show_main},
	{"backup", "write vTPMs' sealed states into files, or try one", backup_main},
	{"restore", "make a vTPM of a backup, or replace it by one", restore_main},
	{"attest", "evidence of a vTPM and its host, for vtpm-verify", attest_main},
	{"rekey", "make running vTPMs' key slots anew, or all keys", rekey_main},
	{"clone", "make a vTPM as another one is; rename: give one another name",
	 clone_main},
	{"recover", "open a vTPM with the recovery key, seal it to this host",
	 recover_main},
	{"ca", "the CA for vTPMs' certificates: init, show", ca_main},
	{"cert", "a vTPM's certificates: issue, install, show, export; csr: for a CA",
	 cert_main},
	{"migrate", "move a guest with its vTPM; migrate-receive: take what moves here",
	 migrate_main},
	{"peer", "the hosts that vTPMs move to; pool: hosts that share vTPMs in etcd",
	 peer_main},
	{"pool", NULL, pool_main},
	{"migrate-receive", NULL, migrate_receive_main},
	{"migrate-pipe", NULL, migrate_pipe_main},
	{"csr", NULL, csr_main}, /* help: one screen of 24 lines */
	{"rename", NULL, rename_main},
	{"import", NULL, import_main},
	{"doctor", "look for what is wrong on this host; audit: verify the audit log",
	 doctor_main},
	{"audit", NULL, audit_main},
	{"delete", "remove a vTPM and its state for ever", delete_main},
};

static void vtpmctl_help(FILE *to)
{
	size_t i;

	fputs("Commands: vtpmctl COMMAND [OPTIONS]; COMMAND --help lists them; vtpmctl(8)\n",
	      to);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].help)
			fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
}

/* An argument stands in sentences and in lines of the journal. */
static bool check_arguments(int argc, char **argv)
{
	char word[80];

	if (text_are_clean(argc, argv, word, sizeof(word)))
		return true;
	fprintf(stderr,
		"vtpmctl: \"%s\" has a control character, or is no UTF-8 (shown as ?): give "
		"it without these, and rename a file whose name has them\n",
		word);
	return false;
}

int main(int argc, char **argv)
{
	const char *lacks = crypt_init();
	size_t i;

	/* a core file would have keys in it */
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (lacks) {
		fprintf(stderr, "vtpmctl: " CRYPT_LACKS "\n", lacks);
		return VTPMCTL_FAILED;
	}
	/* a broken pipe is an error that write() returns, not a death */
	signal(SIGPIPE, SIG_IGN);
	if (!check_arguments(argc, argv))
		return VTPMCTL_USAGE;
	if (argc < 2) {
		vtpmctl_help(stderr);
		return VTPMCTL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		vtpmctl_help(stdout);
		return VTPMCTL_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("vtpmctl " XEN_VTPM_VERSION);
		return VTPMCTL_OK;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "vtpmctl: \"%s\" is not a command; `vtpmctl --help` lists them\n",
		argv[1]);
	return VTPMCTL_USAGE;
}
