/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of vtpmd, from the client's side: one request, one JSON
 * object a line each way.  vtpmd streams {"progress": "..."} lines, then one
 * {"ok": true, ...} or {"ok": false, "error": "sentence", "cause": "word"}.
 *
 * Nothing here times out: vtpmd bounds each operation itself and answers with
 * the reason; when it dies, the connection ends.
 */
#ifndef XVTPM_CLIENT_H
#define XVTPM_CLIENT_H

#include "include/compiler.h"
#include "tools/vtpmctl/args.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define CLIENT_SOCKET "/run/xen-vtpm/vtpmd.sock"
#define CLIENT_TEXT   4096 /* a sentence, and its zero */

/* The option that every command which talks to vtpmd has (tools/vtpmctl/args.h). */
#define CLIENT_SOCKET_OPTION(type) \
	OPTION_TEXT("socket", type, socket, "PATH", "of vtpmd, " CLIENT_SOCKET)

/* Takes over request.  Progress goes to stderr, as does the sentence when it
 * fails.  Returns an exit status; on VTPMCTL_OK *reply is the last line's object,
 * which the caller releases. */
int __must_check client_call(const char *socket_path, json_t *request, json_t **reply);
/* The same, with the sentence in text, which is set when it fails. */
int __must_check client_try(const char *socket_path, json_t *request, json_t **reply,
			    char text[CLIENT_TEXT]);
/* The same, of a vtpmd that has to answer within so many seconds, and is taken as one that ended
 * when it does not. */
int __must_check client_try_soon(const char *socket_path, json_t *request,
				 unsigned int seconds, json_t **reply,
				 char text[CLIENT_TEXT]);

/* The same, again and again for some seconds while vtpmd is at work on that vTPM, as when its place
 * in a pool's etcd is being claimed. */
int __must_check client_insist(const char *socket_path, json_t *request, json_t **reply,
			       char text[CLIENT_TEXT]);

/* A connection with several requests, one after the other. */
struct client {
	FILE *stream; /* NULL: none */
	bool is_sent; /* a request, whose answer was not read yet */
	bool busy; /* why vtpmd refused the last request: others are at work on that vTPM */
};

/* As client_try(); the connection, which it makes, stays until client_close(). */
int __must_check client_ask(struct client *c, const char *socket_path, json_t *request,
			    json_t **reply, char text[CLIENT_TEXT]);
/* The same in two halves: the answer is waited for by the second, or by poll() at client_fd().  On
 * failure of the first there is none.  *reply: NULL if the status is not VTPMCTL_OK. */
int __must_check client_send(struct client *c, const char *socket_path, json_t *request,
			     char text[CLIENT_TEXT]);
int __must_check client_recv(struct client *c, json_t **reply, char text[CLIENT_TEXT]);
int client_fd(const struct client *c);
void client_close(struct client *c);

/* each() for every vTPM of this host, with what "list" tells of it, one after the other;
 * what each() prints is shown at once.  each() returns an exit status: after
 * VTPMCTL_NO_VTPMD there is no sense in going on, after another one there is.  Returns
 * VTPMCTL_FAILED when one was not VTPMCTL_OK. */
int __must_check client_each(const char *socket_path,
			     int (*each)(void *context, const json_t *vtpm),
			     void *context);
/* {"op": op, "name": name}; name may be NULL. */
json_t *client_request(const char *op, const char *name);
/* The text that an object of a reply has there; "" when it has none. */
const char *client_text(const json_t *object, const char *key);

/* A command that names a vTPM, asks vtpmd for one thing, and prints nothing. */

struct verb {
	const char *op;	   /* what vtpmd calls it */
	const char *usage; /* as in struct args_command */
	const char *about;
	const char *flag; /* an option, and what vtpmd calls it; NULL: none */
	const char *flag_help;
};

/* An exit status. */
int verb_main(const struct verb *v, int argc, char **argv);

#endif
