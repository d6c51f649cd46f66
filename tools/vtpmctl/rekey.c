/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/verb.h"
#include "tools/vtpmctl/vtpmctl.h"

int rekey_main(int argc, char **argv)
{
	static const struct verb verb = {
		.op = "rekey",
		.usage = "rekey NAME [OPTIONS]",
		.about =
			"Makes a running vTPM's key slots anew, of what `vtpmctl host` says now: after a\n"
			"change of the KMS key, the policy key or the recovery key.  The guest goes on.\n"
			"The slots of before are kept as header.prev until the next change; a key that\n"
			"is to open nothing any more has to be revoked as well.\n",
	};

	return verb_main(&verb, argc, argv);
}
