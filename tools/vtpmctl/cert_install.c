/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/certfile.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdlib.h>

struct cert_install {
	const char *name, *file, *socket;
};

static const struct args_option options[] = {
	CLIENT_SOCKET_OPTION(struct cert_install),
};

static const struct args_command command = {
	.usage = "cert install NAME FILE [OPTIONS]",
	.about =
		"Gives a vTPM the certificates in FILE, PEM or DER, that another CA has issued\n"
		"for its endorsement keys (`vtpmctl csr`), or a platform certificate.  Each\n"
		"takes the place of its kind's; its guest goes on.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct cert_install, name),
	.second = "FILE",
	.second_offset = offsetof(struct cert_install, file),
};

int cert_install_main(int argc, char **argv)
{
	struct cert_install c = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &c);
	struct error e = {.cause = CAUSE_NONE};
	json_t *certs;
	struct holder h;
	char *file;
	size_t len;
	int status, rc;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (file_read(c.file, &file, &len, &e))
		return vtpmctl_fail(&e);
	status = holder_ask(&h, c.socket, c.name);
	if (status) {
		free(file);
		return status;
	}
	certs = json_object();
	rc = certfile_take((const uint8_t *)file, len, &h, certs, &e);
	holder_free(&h);
	free(file);
	if (!rc)
		return holder_install(c.socket, c.name, certs);
	json_decref(certs);
	return vtpmctl_fail(&e);
}
