/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/verb.h"
#include "tools/vtpmctl/vtpmctl.h"

int start_main(int argc, char **argv)
{
	static const struct verb verb = {
		.op = "start",
		.usage = "start NAME [OPTIONS]",
		.about =
			"Opens a vTPM's state, starts its stub domain, and waits until guests may come,\n"
			"or says in one sentence why the state does not open.  One that runs goes on,\n"
			"also when its stub domain was asked to end (`xl shutdown`).\n",
	};

	return verb_main(&verb, argc, argv);
}
