/* SPDX-License-Identifier: Apache-2.0 */
/* What `vtpmctl migrate` and `migrate-receive` know of one transfer, and how they ask vtpmd. */
#ifndef XVTPM_VTPMCTL_MIGRATE_H
#define XVTPM_VTPMCTL_MIGRATE_H

#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/peerlink.h"
#include "tools/vtpmctl/poolfile.h"

#define MIGRATE_KEYS                                                        \
	{                                                                   \
		"/etc/xen-vtpm/peer-ca.pem", "/etc/xen-vtpm/peer-cert.pem", \
			"/etc/xen-vtpm/peer-key.pem"                        \
	}
/* Rows of both commands' tables of options. */
#define MIGRATE_OPTIONS                                                                  \
	OPTION_TEXT("ca", struct migrate, keys.ca, "FILE", "/etc/xen-vtpm/peer-ca.pem"), \
		OPTION_TEXT("cert", struct migrate, keys.cert, "FILE",                   \
			    "/etc/xen-vtpm/peer-cert.pem"),                              \
		OPTION_TEXT("key", struct migrate, keys.key, "FILE",                     \
			    "/etc/xen-vtpm/peer-key.pem"),                               \
		OPTION_TEXT("config", struct migrate, config, "FILE", HOSTCONF_PATH),    \
		CLIENT_SOCKET_OPTION(struct migrate)

struct xlimages;

struct migrate {
	const char *name, *host, *goes_on, *listen, *socket, *config, *evacuate, *forget;
	unsigned int jobs;
	unsigned int spare;		   /* MiB: memroom.h */
	bool back, take, yes, moved, said; /* said: on stderr, why not */
	bool manual;			   /* nobody goes on with what was interrupted */
	bool busy;			   /* another process goes on with it */
	bool with_guest; /* m->name is a guest's, and no vTPM's alone ... */
	bool gone;	 /* ... and there is none of that name */
	bool stopped;	 /* the vTPM, by an operator */
	bool replaced;	 /* another machine has the other host's name */
	int lock;
	struct peerlink_keys keys;

	struct hostconf conf;
	struct poolfile file;
	struct client client;
	struct peerlink *link;
	/* as vtpmd said last */
	char vtpm[80], state[32], why[320], peer[POOL_NAME_MAX + 1];
	json_t *out; /* messages for the other host */

	char asked[80]; /* the vTPM that the source asks about */
	json_t *comes;	/* the vTPM that comes with a guest, as vtpmd describes it */
	bool came;	/* it was this host's, by what vtpmd said */
	bool runs;	/* the guest, on the other host, as that has said */
	bool quietly;	/* what waits is told by somebody else */

	/* what that guest boots, if it was launched; NULL: not asked yet */
	struct xlimages *images;
	/* of a guest that moves along; domid "": none does */
	char domid[16], guest[80], of_guest[80];
};

/* Asks vtpmd, and keeps what it says.  An exit status; text: why not. */
int __must_check migrate_ask(struct migrate *m, json_t *request, char text[CLIENT_TEXT]);
/* The same, of an event of m->name. */
int __must_check migrate_wish(struct migrate *m, const char *event,
			      char text[CLIENT_TEXT]);
/* messages, which it takes over, came from that host. */
int __must_check migrate_hear(struct migrate *m, const char *peer, json_t *messages,
			      char text[CLIENT_TEXT]);
/* The same two, whose answer is taken when poll() finds it at client_fd(), or when it is waited for:
 * so that xl's stream passes meanwhile.  Whatever is asked before that lets it go. */
int __must_check migrate_wish_later(struct migrate *m, const char *event,
				    char text[CLIENT_TEXT]);
int __must_check migrate_hear_later(struct migrate *m, const char *peer, json_t *messages,
				    char text[CLIENT_TEXT]);
/* Whether an answer is awaited. */
bool migrate_is_asked(const struct migrate *m);
int __must_check migrate_take_answer(struct migrate *m, char text[CLIENT_TEXT]);
bool migrate_is(const struct migrate *m, const char *state);
/* Fails, with why, when the other host of m->peer may be up. */
int __must_check migrate_see_it_is_gone(struct migrate *m, struct error *e);
/* Lists what has moved away; has this host forget one, m->forget.  An exit status. */
int __must_check migrate_list_moved(const struct migrate *m);
int __must_check migrate_forget(struct migrate *m, char text[CLIENT_TEXT],
				struct error *e);
/* The files of this host: its configuration, and the pool. */
int __must_check migrate_load(struct migrate *m, struct error *e);
/* Whether this host's certificate is within its time, and of the host that the pool says that it
 * is, if it is in it.  days: how long it is good, unless NULL. */
int __must_check migrate_own(const struct migrate *m, int *days, struct error *e);
void migrate_end(struct migrate *m);
/* Goes on with m->goes_on, over the connection that there is, and says what came of it; quietly: unless nothing did. */
int __must_check migrate_go_on(struct migrate *m, bool quietly);
/* Begins a process that does so with what was interrupted, and ends with this one; -1: that failed, and was said. */
pid_t migrate_ask_begin(const struct migrate *m);
bool migrate_has_ended(const struct migrate *m);
/* It is this host's, and in no handover. */
bool migrate_is_here(const struct migrate *m);
/* What there is to be sent to the other host, if anything. */
int __must_check migrate_flush(struct migrate *m, struct error *e);
/* To the host of that name in the pool. */
int __must_check migrate_connect(struct migrate *m, const char *host, struct error *e);
/* The other host's answer to what there is to send, given to vtpmd. */
int __must_check migrate_exchange(struct migrate *m, char text[CLIENT_TEXT],
				  struct error *e);
/* Takes the vTPM back, of which migrate_tell() then tells the other host: that one may take its
 * time, in which a guest does not stand still. */
void migrate_take_back(struct migrate *m);
/* What is to be sent, on a connection of its own. */
void migrate_tell(struct migrate *m);
/* Both. */
void migrate_cancel(struct migrate *m);
/* One process at a time moves a vTPM, on each side: a lock that ends with it.  Waits that many
 * seconds for another one.  Returns a descriptor, or -errno. */
int __must_check migrate_lock(const struct migrate *m, const char *side, int seconds);
/* Of the destination's lock, "receive": what became of the guest that comes.  Who holds it clears
 * that when a guest begins to come, notes GO before xl hears it, and RUNS when xl has said so.
 * -errno; a file that cannot be read says GO.  What is noted does not outlive the host's run. */
enum migrate_note {
	MIGRATE_UNKNOWN,  /* nothing is noted: it may have been told, and have run */
	MIGRATE_NOT_TOLD, /* xl was not told that it may start it, or could not */
	MIGRATE_GO,	  /* it was, and whether it could is not known */
	MIGRATE_RUNS,	  /* it was started */
};
int __must_check migrate_note_clear(int lock);
int __must_check migrate_note_set(int lock, enum migrate_note note);
enum migrate_note migrate_noted(int lock);

#endif
