/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl migrate-receive: a process for each host that has connected, which gives vtpmd what that
 * host says. */
#include "lib/text.h"
#include "lib/witness.h"
#include "tools/vtpmctl/linelimit.h"
#include "tools/vtpmctl/memroom.h"
#include "tools/vtpmctl/migrate.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/xlimages.h"
#include "tools/vtpmctl/xlmigrate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN   64
#define PER_HOST   24 /* of them: those of an evacuation, and some that ask again */
#define BACK_TRIES 7  /* in some 20 s */
#define GREET_S	   10 /* in which who connects has to have proved which host it is */
#define REFUSE_S   2 /* in which a host that is refused has to have ended the connection */
#define VTPMD_S	   6   /* in which vtpmd has to have answered: less than GREET_S */
#define SEEN_MS	   250 /* between two questions of one connection, or its end */

/* To the other host, which has "... refuses this host: " before it. */
#define NO_VTPMD_HERE                                                              \
	"its vtpmd does not answer: `systemctl start vtpmd` there, whose journal " \
	"(`journalctl -u vtpmd`) says why it ended"

static const struct args_option options[] = {
	OPTION_TEXT("listen", struct migrate, listen, "HOST:PORT",
		    "this host's address in the list of hosts"),
	OPTION_FLAG("manual", struct migrate, manual,
		    "leave interrupted moves to `migrate --continue`"),
	OPTION_NUMBER("spare-memory", struct migrate, spare, "MIB", 0, 1 << 20,
		      "stay available when images come; 256"),
	MIGRATE_OPTIONS,
};

static const struct args_command command = {
	.usage = "migrate-receive [--listen HOST:PORT] [OPTIONS]",
	.about =
		"Takes guests and vTPMs that other hosts of the pool move to this one, "
		"until\nit is ended; and goes on with moves, to and from this one, that "
		"were\ninterrupted, as `migrate --continue` does.  A second one is refused.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

/* As that host asks, by the name that it gave, or by that of what it sends.  Names change hands:
 * vtpmd tells it nothing of what is in a move with another host, and does nothing. */
static int wish_of_peer(struct migrate *m, const char *peer, const char *event,
			char text[CLIENT_TEXT])
{
	m->name = m->asked[0] ? m->asked : m->vtpm;
	return migrate_ask(m,
			   json_pack("{s:s, s:s, s:s, s:s}", "op", "move", "name",
				     m->name, "event", event, "peer", peer),
			   text);
}

/* Another connection's xl may be about to end, which decides whether the vTPM stays.  *note: what
 * became of the guest. */
static int wait_for_xl(struct migrate *m, const char *peer, enum migrate_note *note,
		       char text[CLIENT_TEXT])
{
	int lock = migrate_lock(m, "receive", 0);

	if (lock >= 0) {
		*note = migrate_noted(lock);
		close(lock);
		return 0;
	}
	lock = migrate_lock(m, "receive", 60);
	if (lock < 0)
		return lock;
	*note = migrate_noted(lock);
	close(lock);
	return wish_of_peer(m, peer, "tick", text);
}

static int answer_turn(struct migrate *m, struct error *e)
{
	int rc;

	if (!m->out)
		m->out = json_array();
	rc = peerlink_send(m->link, m->out, e);
	json_array_clear(m->out);
	return rc;
}

/* Whether m->comes is in a move with that host. */
static bool comes_from(const struct migrate *m, const char *peer)
{
	const json_t *handover = json_object_get(m->comes, "handover");

	return !strcmp(client_text(handover, "peer"), peer);
}

/* One at a time, and ever later: each try has vtpmd stop its manager, and say so in the journal. */
static int hand_over_again(struct migrate *m, const char *peer, char text[CLIENT_TEXT],
			   struct error *e)
{
	int lock = migrate_lock(m, "receive", 0);
	int i, rc = wish_of_peer(m, peer, "tick", text);

	if (lock < 0)
		return rc ? rc : answer_turn(m, e);
	/* GO has not gone and will not: an xl that lives destroys its copy as well */
	if (!rc)
		xlguest_note_vtpm(m);
	if (!rc && comes_from(m, peer))
		(void)!xlguest_drop_incoming(m);
	/* its manager may be about to begin anew */
	for (i = 0; !rc && migrate_is(m, "owned") && i < BACK_TRIES; i++) {
		sleep((unsigned int)i);
		rc = wish_of_peer(m, peer, "back", text);
	}
	close(lock);
	return rc ? rc : answer_turn(m, e);
}

/* The source has not sent GO, or does not know that it has: a guest that was told to start has run
 * here, and what it left at the source is older. */
static int hear_hand_back(struct migrate *m, const char *peer, char text[CLIENT_TEXT],
			  struct error *e)
{
	enum migrate_note note;
	int rc = wait_for_xl(m, peer, &note, text);

	if (rc)
		return rc;
	/* vtpmd refuses it for a guest that runs */
	if (note == MIGRATE_NOT_TOLD && !hand_over_again(m, peer, text, e))
		return 0;
	text[0] = '\0';
	return answer_turn(m, e);
}

/* The source destroys what it has of the guest only when that was started here.  What was noted of that
 * may be lost, as vtpmd's socket is in a file system that is. */
static int tell_guest(struct migrate *m, const char *peer, char text[CLIENT_TEXT],
		      struct error *e)
{
	char why[CLIENT_TEXT] = "";
	enum migrate_note note;
	bool started;
	int rc = wait_for_xl(m, peer, &note, text);

	if (rc)
		return rc;
	started = note == MIGRATE_RUNS ||
		  (note != MIGRATE_NOT_TOLD && !wish_of_peer(m, peer, "started", why));
	return peerlink_send_word(m->link, XLWORD(XLWORD_REPORT, !started), e);
}

/* The source has lost a connection, and asks what became of a vTPM: by its name, which is
 * believed if vtpmd has it from that host. */
static int tell_again(struct migrate *m, const char *peer,
		      const struct peerlink_item *item, char text[CLIENT_TEXT],
		      struct error *e)
{
	enum migrate_note note = MIGRATE_GO;
	int rc;

	if (!item->len || item->len >= sizeof(m->asked) ||
	    !text_is_clean((const char *)item->data, item->len))
		return error_set(e, -EBADMSG, CAUSE_PEER, "%s asks for no vTPM", peer);
	memcpy(m->asked, item->data, item->len);
	m->asked[item->len] = '\0';
	rc = wish_of_peer(m, peer, "tick", text);
	if (!rc && !strcmp(m->peer, peer))
		rc = wait_for_xl(m, peer, &note, text);
	if (!rc && strcmp(m->peer, peer) != 0)
		rc = error_set(e, -EACCES, CAUSE_PEER,
			       "%s asks for a vTPM that has not come from there", peer);
	/* the source may have sent GO, and who was to tell xl was killed: its guest runs
	 * nowhere else */
	if (!rc && note == MIGRATE_NOT_TOLD && migrate_is(m, "owned") &&
	    !hand_over_again(m, peer, text, e))
		return 0;
	return rc ? rc : answer_turn(m, e);
}

/* A question about what this host has seen, which vtpmd answers.  Who asks has one, and does not wait
 * for the pause: with it one host has vtpmd answer PER_HOST in SEEN_MS, also by ever new
 * connections. */
static int tell_seen(struct migrate *m, const char *peer, const json_t *messages,
		     char text[CLIENT_TEXT], struct error *e)
{
	json_t *reply, *out;
	int rc = client_ask(&m->client, m->socket,
			    json_pack("{s:s, s:s, s:O}", "op", "pool-witness", "peer",
				      peer, "question", json_array_get(messages, 0)),
			    &reply, text);

	if (rc)
		return rc;
	out = json_pack("[O]", json_object_get(reply, "answer"));
	rc = out ? peerlink_send(m->link, out, e)
		 : error_set(e, -EBADMSG, CAUSE_INTERNAL,
			     "vtpmd's answer makes no sense");
	json_decref(out);
	json_decref(reply);
	(void)usleep(SEEN_MS * 1000);
	return rc;
}

static bool asks_seen(const json_t *messages)
{
	const char *hex = json_string_value(json_array_get(messages, 0));
	uint8_t kind;
	size_t one = 1;
	char first[3];

	snprintf(first, sizeof(first), "%s", hex ? hex : "");
	return json_array_size(messages) == 1 && !hex_decode(first, &kind, &one) && one &&
	       kind == WITNESS_ASKS;
}

static int serve_item(struct migrate *m, const char *peer, struct peerlink_item *item,
		      char text[CLIENT_TEXT], struct error *e)
{
	int rc = peerlink_recv_item(m->link, item, e);
	enum migrate_note note;

	if (rc)
		return rc;
	/* xl makes whatever guest is described to it: only that of a vTPM that comes */
	if (item->kind == PEERLINK_IS_WORD && item->word == XLWORD_START)
		return migrate_is(m, "accepted")
			       ? xlreceive_run(m, peer, text, e)
			       : error_set(e, -EACCES, CAUSE_PEER,
					   "%s sends a guest without its vTPM", peer);
	if (item->kind == PEERLINK_IS_WORD && item->word == XLWORD_IMAGE)
		return migrate_is(m, "accepted")
			       ? xlimages_receive(m, item, text, e)
			       : error_set(e, -EACCES, CAUSE_PEER,
					   "%s sends a guest without its vTPM", peer);
	if (item->kind == PEERLINK_IS_DATA)
		return tell_again(m, peer, item, text, e);
	if (item->kind == PEERLINK_IS_WORD && item->word == XLWORD(XLWORD_HAND_BACK, 0) &&
	    m->asked[0])
		return hear_hand_back(m, peer, text, e);
	if (item->kind == PEERLINK_IS_WORD && item->word == XLWORD(XLWORD_DOES_RUN, 0) &&
	    m->asked[0])
		return tell_guest(m, peer, text, e);
	if (item->kind != PEERLINK_IS_TURN)
		return error_set(
			e, -EBADMSG, CAUSE_PEER,
			"%s sends what makes no sense now: install one release on "
			"both",
			peer);
	if (asks_seen(item->messages)) {
		rc = tell_seen(m, peer, item->messages, text, e);
		json_decref(item->messages);
		return rc;
	}
	if (json_array_size(item->messages))
		rc = migrate_hear(m, peer, item->messages, text);
	else
		json_decref(item->messages);
	if (!rc && migrate_is(m, "owned"))
		rc = wait_for_xl(m, peer, &note, text);
	if (rc)
		return rc;
	return answer_turn(m, e);
}

/* One of the connections that a host of the pool may have, until this process ends: else one
 * that only holds them keeps all others away. */
static int take_place(struct migrate *m, const char *peer, struct error *e)
{
	char hex[2 * POOL_NAME_MAX + 1], side[16];
	int lock = -EBUSY;

	hex_encode((const uint8_t *)peer, strlen(peer), hex);
	m->name = hex;
	for (unsigned int i = 0; lock == -EBUSY && i < PER_HOST; i++) {
		snprintf(side, sizeof(side), "peer%u", i);
		lock = migrate_lock(m, side, 0);
	}
	m->name = NULL;
	return lock >= 0 ? 0
			 : error_set(e, lock, CAUSE_PEER,
				     "%s has %d connections already, or no lock can be "
				     "made beside vtpmd's socket",
				     peer, PER_HOST);
}

/* Says in the journal why nothing is taken from a host, and tells that host. */
static int refuse_peer(struct migrate *m, const char *peer, const char *why, bool waits,
		       struct error *e)
{
	linelimit_say(peer, "vtpmctl: %s", e->text);
	(void)alarm(REFUSE_S); /* which ends this process */
	peerlink_refuse(m->link, why, waits);
	return -EACCES;
}

/* In a pool the newest list is vtpmd's, which has that of etcd, too.  *status: what asking vtpmd for
 * it ended with. */
static int load_list(struct migrate *m, int *status, struct error *e)
{
	int rc = migrate_load(m, e);
	char text[CLIENT_TEXT];
	const char *hex;
	json_t *reply;

	if (rc)
		return rc;
	*status = client_try_soon(m->socket, client_request("pool-list", NULL), VTPMD_S,
				  &reply, text);
	if (*status)
		return 0;
	hex = json_string_value(json_object_get(reply, "list"));
	if (hex)
		(void)!poolfile_take(&m->file, hex, &m->conf);
	json_decref(reply);
	return 0;
}

/* This host's own `vtpmctl doctor`, which has no certificate but this host's, asks at once whether
 * it is heard. */
static bool answers_doctor(struct migrate *m)
{
	struct error e = {.cause = CAUSE_NONE};
	struct peerlink_item *item;
	bool asks = false;

	if (peerlink_is_quiet(m->link, REFUSE_S))
		return false;
	item = calloc(1, sizeof(*item));
	if (item && !peerlink_recv_item(m->link, item, &e)) {
		asks = item->kind == PEERLINK_IS_WORD &&
		       item->word == XLWORD(XLWORD_IS_HEARD, 0);
		json_decref(item->messages);
	}
	free(item);
	return asks && !peerlink_send_word(m->link, XLWORD(XLWORD_ALIVE, 0), &e);
}

/* Whether the host that has proved its name may say something here. */
static int admit_peer(struct migrate *m, const char *peer, struct error *e)
{
	char why[PEERLINK_REFUSAL + 1];
	struct pool_host h;
	int status;

	if (load_list(m, &status, e))
		return refuse_peer(m, peer,
				   "its list of hosts cannot be used: the journal of its "
				   "`vtpmctl migrate-receive` has why",
				   true, e);
	if (status == VTPMCTL_NO_VTPMD) {
		error_set(e, -EACCES, CAUSE_PEER,
			  "%s is refused, as vtpmd here does not answer: `systemctl "
			  "start vtpmd`, `journalctl -u vtpmd` says why it ended",
			  peer);
		return refuse_peer(m, peer, NO_VTPMD_HERE, true, e);
	}
	if (!poolfile_find(&m->file, peer, &h)) {
		error_set(e, -EACCES, CAUSE_PEER,
			  "%s is refused, as it is not in this host's list of hosts: "
			  "`vtpmctl peer add` here, with what `vtpmctl peer self %s` "
			  "prints there",
			  peer, peer);
		snprintf(why, sizeof(why),
			 "%s is not in its list of hosts: `vtpmctl peer add` there, with "
			 "what `vtpmctl peer self %s` prints here",
			 peer, peer);
		return refuse_peer(m, peer, why, true, e);
	}
	if (poolfile_is_own(&h, &m->conf) && answers_doctor(m))
		return -EACCES;
	if (poolfile_is_own(&h, &m->conf)) {
		error_set(e, -EACCES, CAUSE_PEER,
			  "another host has connected with a certificate of %s, which is "
			  "this one's name: each needs its own",
			  peer);
		return refuse_peer(
			m, peer,
			"that has connected with a certificate of its own name: "
			"see --cert",
			true, e);
	}
	/* who has all its places is not waited for */
	return take_place(m, peer, e)
		       ? refuse_peer(m, peer, "it has too many connections there already",
				     false, e)
		       : 0;
}

/* What came, and how the connection ended, unless as it does behind a move. */
static void tell_end(const struct migrate *m, const char *peer, const char *text,
		     const struct error *e)
{
	bool here = migrate_is_here(m) || migrate_is(m, "owned");

	if (m->came && here)
		fprintf(stderr, "%s came from %s\n", m->vtpm, peer);
	if (text[0])
		linelimit_say(peer, "vtpmctl: %s: %s", peer, text);
	else if (e->cause == CAUSE_PEER && !peerlink_has_ended(m->link))
		linelimit_say(peer, "vtpmctl: %s", e->text);
	else if (m->state[0] && !here && !migrate_has_ended(m))
		linelimit_say(
			peer,
			"vtpmctl: %s ended the connection, and the move of %s is %s",
			peer, m->vtpm, m->state);
}

/* One connection: each turn of the other host's is given to vtpmd. */
static int serve_peer(struct migrate *m, int fd, struct error *e)
{
	char text[CLIENT_TEXT] = "", peer[POOL_NAME_MAX + 1];
	struct peerlink_item *item;
	int rc;

	(void)alarm(GREET_S); /* which ends this process */
	rc = peerlink_accept(&m->keys, fd, &m->link, peer, e);
	/* whoever that is */
	if (rc == -EKEYREJECTED)
		linelimit_say("", "vtpmctl: %s", e->text);
	rc = rc ? rc : admit_peer(m, peer, e);
	(void)alarm(0);
	if (rc)
		return rc;
	item = malloc(sizeof(*item));
	while (item && !rc)
		rc = serve_item(m, peer, item, text, e);
	tell_end(m, peer, text, e);
	if (rc == VTPMCTL_NO_VTPMD) {
		(void)alarm(REFUSE_S);
		peerlink_refuse(m->link, NO_VTPMD_HERE, true);
	}
	free(item);
	return rc;
}

static void serve_child(struct migrate *m, int fd)
{
	struct error e = {.cause = CAUSE_NONE};

	(void)!serve_peer(m, fd, &e);
	migrate_end(m);
	_exit(0);
}

/* The process that goes on with what was interrupted (migrate_ask_begin()). */
struct asking {
	pid_t pid; /* or -1 */
	int fd; /* says that it has ended; -1: nobody is told, and poll() leaves it out */
};

static void begin_asking(const struct migrate *m, struct asking *a)
{
	a->pid = migrate_ask_begin(m);
	a->fd = a->pid > 0 ? pidfd_open(a->pid, 0) : -1;
}

/* Until a host connects; whoever goes on with interrupted moves is begun again when it has ended. */
static void await_host(const struct migrate *m, int fd, struct asking *a)
{
	struct pollfd on[] = {{.fd = fd, .events = POLLIN},
			      {.fd = a->fd, .events = POLLIN}};

	while (poll(on, 2, -1) < 0 && errno == EINTR)
		;
	if (!on[1].revents)
		return;
	(void)waitpid(a->pid, NULL, WNOHANG);
	close(a->fd);
	fprintf(stderr,
		"vtpmctl: the process that goes on with interrupted moves has ended, and is "
		"begun again\n");
	begin_asking(m, a);
}

static _Noreturn void await_hosts(struct migrate *m, int fd, struct asking *a)
{
	unsigned int children = 0;
	pid_t ended;
	int one;

	for (;;) {
		await_host(m, fd, a);
		one = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		while (children &&
		       (ended = waitpid(-1, NULL, children < CHILDREN ? WNOHANG : 0)) > 0)
			children -= ended != a->pid;
		if (one < 0)
			continue;
		switch (fork()) {
		case 0:
			close(fd);
			serve_child(m, one);
			break;
		case -1:
			break;
		default:
			children++;
		}
		close(one);
	}
}

/* Finds where to listen, which m->listen is then: a copy in address, if the list of hosts says it. */
static int find_address(struct migrate *m, char address[ADDRESS_MAX], struct error *e)
{
	struct pool_host h;

	if (poolfile_own(&m->file, &m->conf, &h)) {
		snprintf(address, ADDRESS_MAX, "%.*s", (int)h.address.n,
			 (const char *)h.address.p);
		m->listen = m->listen ? m->listen : address;
		return 0;
	}
	if (!m->listen)
		return error_set(
			e, -ENOENT, CAUSE_PEER,
			"the list of hosts does not have this one, with the address to "
			"listen at: `vtpmctl peer self NAME --address HOST:PORT`, and "
			"the `peer add` that it prints; or give --listen HOST:PORT");
	fprintf(stderr,
		"Warning: the list of hosts does not have this one, and whether the "
		"certificate %s has its name is not known: `vtpmctl peer self NAME "
		"--address %s`, and the `peer add` that it prints\n",
		m->keys.cert, m->listen);
	return 0;
}

/* What would have each move fail is told at once. */
static int prepare_receiving(struct migrate *m, char address[ADDRESS_MAX],
			     struct error *e)
{
	int status, rc = load_list(m, &status, e);

	if (!rc)
		rc = migrate_own(m, NULL, e);
	if (!rc)
		rc = peerlink_verify(&m->keys, e);
	if (!rc)
		rc = find_address(m, address, e);
	/* each connection reads them anew */
	poolfile_free(&m->file);
	hostconf_free(&m->conf);
	return rc;
}

int migrate_receive_main(int argc, char **argv)
{
	struct migrate m = {.socket = CLIENT_SOCKET,
			    .config = HOSTCONF_PATH,
			    .keys = MIGRATE_KEYS,
			    .spare = MEMROOM_SPARE};
	struct error e = {.cause = CAUSE_NONE};
	char address[ADDRESS_MAX];
	struct asking a = {.pid = -1, .fd = -1};
	int fd, rc;

	args_parse_or_exit(&command, argc, argv, &m);
	rc = prepare_receiving(&m, address, &e);
	if (!rc)
		rc = peerlink_listen(m.listen, &fd, &e);
	if (rc)
		return vtpmctl_fail(&e);
	/* a host that has gone before it was accepted keeps no other waiting */
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	fprintf(stderr, "listens at %s\n", m.listen);
	linelimit_begin();
	if (!m.manual)
		begin_asking(&m, &a);
	await_hosts(&m, fd, &a);
}
