/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a vTPM is kept: the sealed objects of its manager, its description, its
 * certificates, and the claim of one vtpmd on them.  vtpmd never understands the objects;
 * it reads only the clear head of lib/slot/envelope.h's formats, so that one vTPM's object,
 * or an older one, cannot get into another's place.
 *
 * What is the same wherever it is kept is store.c; struct store_ops is a place, by names of
 * whole values: the folder ROOT/UUID/ (0700), store_folder.c, or a pool of hosts in etcd,
 * store_etcd.c.
 *
 * The generation before an object is kept beside it as NAME.prev, but for one case: a
 * deep rekey.  It begins with a header that has an old-key slot (lib/slot/previous_key.h), and ends
 * with one that has none.  At its begin the header's previous generation is erased, at
 * its end all previous generations: they lead to the old data key, or are states under
 * it.  The header that it replaces goes last, by store_settle().
 */
#ifndef VTPMD_STORE_H
#define VTPMD_STORE_H

#include "include/channel.h"
#include "include/compiler.h"
#include "lib/error.h"
#include "lib/slot/envelope.h"
#include "lib/twin.h"
#include "tools/vtpmd/work.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct store_put;

/* What a store tells of a vTPM, from the event loop and from none of its operations. */
enum store_event {
	STORE_CLAIMED, /* a claim that was under way is over: store_claim() tells how */
	STORE_SLOW,    /* a claim is under way for long: store_waits_for() tells why */
	STORE_LOST,    /* the claim: another may have the vTPM now */
	STORE_CHANGED, /* another vtpmd put something */
};

/*
 * A place where vTPMs are kept.  Nothing waits for a network: what is not done at once is
 * -EAGAIN or a callback.  get() is not: a store that is far away reads all of a vTPM when
 * that is opened or claimed, and again when another changes it, since nobody else puts
 * while it is claimed.  Renewing a claim is a place's own affair, as one lease may stand
 * for all vTPMs of a host; STORE_LOST tells when it could not.
 */
struct store_ops {
	/* Calls each() with the uuid of every vTPM, and maybe with other texts. */
	int (*list)(const char *root, void (*each)(void *ctx, const char *uuid),
		    void *ctx);
	/* As store_open(); s->uuid is set. */
	int (*open)(struct store *s, const char *root, bool create);
	void (*close)(struct store *s);
	/* -EBUSY and CAUSE_LEASE: another's.  -EAGAIN: as store_claim() */
	int (*claim)(struct store *s, struct error *e);
	/* Also of a claim that is under way.  later: sync() makes it durable, not this. */
	void (*release)(struct store *s, bool later);
	/* NULL: release() leaves nothing for later. */
	int (*sync)(const char *root);
	/* malloc()ed, and one byte longer. -ENOENT; -EFBIG: longer than max */
	int (*get)(struct store *s, const char *name, size_t max, uint8_t **buf,
		   size_t *len);
	/* As store_set(); no other generation is kept. */
	int (*set)(struct store *s, const char *name, const void *buf, size_t len);
	/* Begins to store p->buf if it may replace what is stored (store_put()), and calls
	 * store_put_end() unless this fails: later or within the call, p->now within it. */
	int (*put)(struct store_put *p);
	/* Erases the generation before a value; whole: the value too.  Not being there is
	 * success. */
	int (*erase)(struct store *s, const char *name, bool whole);
	/* The key slots go first. */
	int (*remove)(struct store *s, const char *root);
	/* As store_open_beside() and store_swap(); NULL: the place has no such thing. */
	int (*open_beside)(struct store *s, const char *root);
	int (*swap)(struct store *own, struct store *beside, const char *root);
	/* As store_is_here() and store_is_settled(); NULL: always. */
	bool (*is_here)(const struct store *s);
	bool (*is_settled)(const struct store *s);
	/* As store_lease_ms() of what is claimed; NULL: a claim lasts until it is given back. */
	int (*lease_ms)(const struct store *s, uint32_t *ms);
	/* As store_is_held(); NULL: always. */
	bool (*is_held)(const struct store *s);
	/* As store_waits_for(); NULL: nothing is waited for. */
	void (*waits_for)(const struct store *s, char *text, size_t room);
};

extern const struct store_ops store_folder;

/* The name of an object's value; NULL: there is no such object. */
const char *store_name(uint16_t object);

/* The bytes of an object that were checked, or stored by this vtpmd: others are not given
 * out any more, whoever puts them into the store. */
struct store_known {
	bool set;
	uint8_t hash[32]; /* SHA-256 */
	uint64_t seq, epoch;
};

#define STORE_DESCRIPTION "vtpm.json"
#define STORE_KNOWN	  4 /* header, permall, and the same of the source of a copy */

struct store {
	const struct store_ops *ops; /* NULL: none is open */
	uint8_t uuid[16];
	bool beside; /* not the vTPM's place, but the one beside it: store_open_beside() */
	uint64_t epoch; /* of the run, which all puts have to carry; 0: any */
	bool claimed, claiming;
	bool lost; /* the claim, and not claimed again since: nothing is written */
	struct store_known known[STORE_KNOWN];
	struct store_known coming;    /* of the put that runs */
	struct store_known described; /* by store_describe(), durable */
	bool describes;		      /* ... and nobody else has written it since */
	uint8_t *lent; /* CHANNEL_OBJECT_SOURCE_SWTPM: in memory alone; NULL: none */
	size_t lent_len;
	unsigned int puts;				    /* that run */
	void (*on_event)(void *ctx, enum store_event what); /* NULL: nobody is told */
	void *ctx;
	/* the folder's own */
	int dir, lease;
	struct twin_own own; /* the state's file; the put's that runs */
};

/* Roots that begin with the scheme, "etcd://", are that place's. */
void store_add(const char *scheme, const struct store_ops *ops);
/* Calls each() with the uuid of every vTPM in root, which is made if it is not there. */
int __must_check store_list(const char *root, void (*each)(void *ctx, const char *uuid),
			    void *ctx);
/* Opens the vTPM's place below root; create: makes it (-EEXIST). */
int __must_check store_open(struct store *s, const char *root, const uint8_t uuid[16],
			    bool create);
/* Opens an empty place beside the vTPM's own, for what is to replace it: it is no vTPM, and
 * goes when vtpmd starts, or is opened beside again.  -EOPNOTSUPP */
int __must_check store_open_beside(struct store *s, const char *root,
				   const uint8_t uuid[16]);
/* Exchanges the two places in one step, which is durable: beside is the vTPM's own then.  On
 * failure both are as they were. */
int __must_check store_swap(struct store *own, struct store *beside, const char *root);
/* While there is no claim: what is there now, which may be another one (a folder's copy
 * that was put back). */
int __must_check store_reopen(struct store *s, const char *root);
/* Gives the claim back too. */
void store_close(struct store *s);

/* One owner at a time.  A claim that another machine never gave back is refused (-EBUSY)
 * with a sentence: its vTPM may still run there.  -EAGAIN: not known yet; STORE_CLAIMED
 * follows, within a bounded time, and then the same call tells. */
int __must_check store_claim(struct store *s, struct error *e);
/* The vTPM is stopped; it may be started anywhere. */
void store_release(struct store *s);
/*
 * The end of a vtpmd, which gives back all that it claimed: from store_ending() on that is
 * not made durable one by one, which takes a disk's fsync() for each of thousands, but all
 * at once by store_end().  After a power cut before that some claims are still this host's:
 * safe, since nothing ran any more of what was given back, and as after a power cut while
 * it ran.
 */
void store_ending(void);
/* -errno: claims may come back with a power cut; nothing else is lost. */
int __must_check store_end(const char *root);
/* Whether the vTPM is this host's to adopt, and to start with the host: of those in a pool,
 * no other host had it since. */
bool store_is_here(const struct store *s);
/* Whether all that store_set() changed is durable, too. */
bool store_is_settled(const struct store *s);
/* Whether what is set now is this host's to say: in a pool, of what it has claimed, claims, or
 * makes. */
bool store_is_held(const struct store *s);
/* What a claim that is under way, or what is not settled, waits for: no whole sentence, for people. */
void store_waits_for(const struct store *s, char *text, size_t room);
/* Whether a claim ends by itself, when it is not renewed in time. */
bool store_is_leased(const struct store *s);
/* For how long from now nobody else can claim it, whatever happens to this vtpmd: CHANNEL_RENEW.
 * -ESTALE: somebody may have. */
int __must_check store_lease_ms(const struct store *s, uint32_t *ms);
/* For implementations.  A claim that is lost, or a change under it, stops the vTPM. */
void store_tell(struct store *s, enum store_event what);

/* Replaces a value that is not a manager's: 0, it is durable, or, in a store that is far
 * away, will be before any put that follows (store_is_settled()).  -ESTALE: the claim is
 * lost; -EPERM: it is not held (store_is_held()) */
int __must_check store_set(struct store *s, const char *name, const void *buf,
			   size_t len);
/* The same of vtpm.json, which is written when it is another than the last one: what another
 * host may have made of it since is read before. */
int __must_check store_describe(struct store *s, const void *buf, size_t len);
/* malloc()ed; -ENOENT, -EINVAL for an unknown object; -ESTALE: it is not what is known. */
int __must_check store_get(struct store *s, uint16_t object, uint8_t **buf, size_t *len);

/* rc as store_put()'s, so that 0 means durable.  From the event loop; may free the put, or
 * run it again. */
typedef void store_put_done(void *ctx, int rc);

/* An object on its way into the store, whose bytes were copied and checked once.  The
 * struct store stays where it is, and claimed, until store_put_busy() says no. */
struct store_put {
	struct work work; /* the folder's */
	int dir;	  /* the same */
	struct store *store;
	uint16_t object;
	struct envelope_head head;
	uint8_t hash[32]; /* SHA-256 */
	bool running, now;
	int rc;
	store_put_done *done; /* NULL: no callback */
	void *ctx;
	size_t len;
	uint8_t buf[];
};

/* -EINVAL: no such object, or bytes that are not what seq and object say, or of another
 * epoch; -EPERM: another vTPM's; -ENOMEM. */
int __must_check store_put_new(struct store *s, uint16_t object, uint64_t seq,
			       const uint8_t *buf, size_t len, store_put_done *done,
			       void *ctx, struct store_put **out);
/* Puts once; done is called later.  Puts of one store are done one after the other, in
 * this order.  -EMFILE; -ESTALE: the claim is lost */
int __must_check store_put_run(struct store_put *p);
/* done is not called any more.  What runs is done all the same: the bytes may be stored,
 * or not, as after a crash of the manager that sent them. */
void store_put_free(struct store_put *p);
bool store_put_busy(const struct store *s);
/* For implementations: it is over. */
void store_put_end(struct store_put *p, int rc);

/* For an operator, who waits.  0: durable.  As store_put_new(); -ESTALE: seq is not above
 * the stored one's, unless the bytes are the same, or the claim was lost; -EBADMSG: what is
 * stored there is damaged and is left as it is. */
int __must_check store_put(struct store *s, uint16_t object, uint64_t seq,
			   const uint8_t *buf, size_t len);
/* From now on these bytes are what is known of an object. */
int __must_check store_know(struct store *s, uint16_t object, const uint8_t *buf,
			    size_t len);
/* The same of what is stored. -ENOENT, -EBADMSG: nothing is */
int __must_check store_know_stored(struct store *s, uint16_t object);
void store_know_nothing(struct store *s);
/* NULL: nothing is known of it. */
const struct store_known *store_known(const struct store *s, uint16_t object);
/* Whether these bytes are known to be the object. */
bool store_knows(const struct store *s, uint16_t object, const uint8_t *buf, size_t len);
/* The header with this hash, which is the stored one or, after a crash, the one before it:
 * that is put back then (1).  -ENOENT, -ESTALE: no such header */
int __must_check store_find_header(struct store *s, const uint8_t hash[32]);
/* For a vTPM that is being made as a copy: puts what is stored of another one beside it,
 * as the CHANNEL_OBJECT_SOURCE_*, which no manager can put. */
int __must_check store_take_source(struct store *s, struct store *from);
/* For one that is made of swtpm's state: takes over the malloc()ed bytes of
 * CHANNEL_OBJECT_SOURCE_SWTPM, which stay in memory and never get into the place. */
void store_lend_source(struct store *s, uint8_t *bytes, size_t len);
/* Erases either again. */
int __must_check store_drop_source(struct store *s);
/* The end of a deep rekey: erases a header.prev with an old-key slot beside a header
 * without, once that is the one that counts (anchor.h). */
int __must_check store_settle(struct store *s);
/* The generation that an object's bytes say. -EBADMSG, -EINVAL */
int __must_check store_object_seq(uint16_t object, const uint8_t *buf, size_t len,
				  uint64_t *seq);
/* Also true when it is there and cannot be read. */
bool store_has(struct store *s, uint16_t object);
/* -ENOENT, and *e: which of a header and a state is not there of the vTPM, why that may be, and
 * what to do. */
int store_lacks(struct store *s, const char *name, struct error *e);
/* Generation of an object: of what is known, or of what is stored; 0: none, or damaged. */
uint64_t store_seq(struct store *s, uint16_t object);
/* Kinds of the stored header's key slots, at most room; their number. */
size_t store_slots(struct store *s, uint16_t *kinds, size_t room);
/* Removes a header that was written before a creation was interrupted. */
int __must_check store_drop_header(struct store *s);

#endif
