/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/verb.h"
#include "tools/vtpmctl/vtpmctl.h"

int resume_main(int argc, char **argv)
{
	static const struct verb verb = {
		.op = "resume",
		.usage = "resume NAME [OPTIONS]",
		.about =
			"Between `xl save` and `xl restore` of a guest: its TPM goes on with the PCRs,\n"
			"sessions and objects that the guest left, instead of being restarted.  Holds\n"
			"for the next guest of the vTPM, for 10 minutes.\n"
			"  xl save web1 FILE; vtpmctl resume web1 && xl restore FILE\n"
			"Give it for a guest that boots, and that guest has another boot's PCRs.\n",
	};

	return verb_main(&verb, argc, argv);
}
