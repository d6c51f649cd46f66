/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/sockspec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 512
#define FD_MAX	 65535

int sockspec_number(const char *option, const char *text, unsigned long least,
		    unsigned long most, unsigned long *n, struct error *e)
{
	char *end = NULL;

	errno = 0;
	*n = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
	if (end && !*end && !errno && *n >= least && *n <= most)
		return 0;
	return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
			 "%s %.40s: name a number from %lu to %lu", option, text, least,
			 most);
}

static int take_number(const char *option, const char *text, enum sockspec_kind kind,
		       struct sockspec *s, struct error *e)
{
	unsigned long n = 0;
	int rc = sockspec_number(option, text, kind == SOCKSPEC_TCP ? 1 : 0,
				 kind == SOCKSPEC_TCP ? UINT16_MAX : FD_MAX, &n, e);

	s->kind = kind;
	if (kind == SOCKSPEC_TCP)
		s->port = (uint16_t)n;
	else
		s->fd = (int)n;
	return rc;
}

static bool is_key(const char *word, const char *key, const char **value)
{
	size_t n = strlen(key);

	if (strncmp(word, key, n) || word[n] != '=')
		return false;
	*value = word + n + 1;
	return true;
}

static int take_word(const char *option, const char *word, struct sockspec *s,
		     struct error *e)
{
	bool server = !strcmp(option, "--server");
	const char *value;

	if (!strcmp(word, "type=tcp") || !strcmp(word, "type=unixio") ||
	    !strcmp(word, "bindaddr=127.0.0.1") || !strcmp(word, "bindaddr=localhost"))
		return 0; /* port= or path= says it, too */
	if (is_key(word, "port", &value))
		return take_number(option, value, SOCKSPEC_TCP, s, e);
	if (is_key(word, "path", &value) && *value && strlen(value) < sizeof(s->path)) {
		s->kind = SOCKSPEC_UNIX;
		strcpy(s->path, value);
		return 0;
	}
	if (is_key(word, "clientfd", &value) && !server)
		return take_number(option, value, SOCKSPEC_CLIENT, s, e);
	if (is_key(word, "fd", &value))
		return take_number(option, value,
				   server ? SOCKSPEC_CLIENT : SOCKSPEC_LISTENS, s, e);
	if (!strcmp(word, "disconnect") && server) {
		s->disconnect = true;
		return 0;
	}
	if (is_key(word, "bindaddr", &value))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "%s %.60s: it listens on 127.0.0.1 alone, as who "
				 "reaches the socket has the TPM",
				 option, word);
	return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
			 "%s %.60s is not known: type=tcp,port=N, type=unixio,path=PATH "
			 "(of up to 107 bytes), %s",
			 option, word, server ? "fd=N, disconnect" : "fd=N, clientfd=N");
}

int sockspec_parse(const char *option, const char *text, struct sockspec *s,
		   struct error *e)
{
	char copy[TEXT_MAX], *rest, *word;
	int rc = 0;

	*s = (struct sockspec){.fd = -1};
	if (strlen(text) >= sizeof(copy))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "%s: it is longer than %d bytes", option, TEXT_MAX - 1);
	strcpy(copy, text);
	for (word = strtok_r(copy, ",", &rest); word && !rc;
	     word = strtok_r(NULL, ",", &rest))
		rc = take_word(option, word, s, e);
	if (!rc && s->kind == SOCKSPEC_NONE)
		rc = error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
			       "%s %.60s: name port=N or path=PATH", option, text);
	return rc;
}
