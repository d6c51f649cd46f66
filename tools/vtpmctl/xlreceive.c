/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The destination's side of a guest that moves.  The source is not trusted: past the end of the
 * guest nothing reaches xl but GO, and that when vtpmd here says that the vTPM is this host's.
 * What xl has to say last is waited for, whatever becomes of the connection; and, when this process is
 * killed, by another one (keep_guest()), so that what became of the guest is known.
 */
#include "tools/vtpmctl/linelimit.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/xl.h"
#include "tools/vtpmctl/xlgate.h"
#include "tools/vtpmctl/xlimages.h"
#include "tools/vtpmctl/xlmigrate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BACK_TRIES 20 /* a second each: for a manager, or vtpmd, to be there again */

/* Shared by two processes, of which the second does nothing before the first one has ended. */
struct xlsink {
	struct migrate *m;
	const char *peer;
	struct error *e;
	char *text;
	pid_t pid;
	int to, from; /* xl's standard input and output; -1: closed */
	int lock;     /* of this vTPM's xl migrate-receive; < 0: not had */
	int status; /* when what xl boots is held: its exit status comes there; else -1 */
	int ended; /* else a descriptor of its process, which is told its end; -1: none */
	pid_t keeper; /* the second process; 0: there is none */
	int leash;    /* to it: a byte, and it ends; an end without one, and it goes on */
	struct xlboot_stream
		*head; /* of a guest that was launched, until it was checked */
	struct xlgate_stream stream;
	struct xlgate_answer answer;
	bool ready, go_passed, gave_back;
	time_t heard, told;
	json_t *later;	 /* messages that came before vtpmd had answered the last ones */
	size_t taken;	 /* by xl, of which the other host was not told */
	size_t at, have; /* of the queue, a ring */
	uint8_t queue[XL_WINDOW];
	struct peerlink_item item;
};

static int fail_sink(struct xlsink *s, const char *why)
{
	return error_set(s->e, -EBADMSG, CAUSE_PEER, "%s", why);
}

static time_t sink_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static char *const receive[] = {"xl", "migrate-receive", NULL};

static void be_xl_receive(void)
{
	(void)setpgid(0, 0);
	(void)signal(SIGPIPE, SIG_DFL);
	execvp(receive[0], receive);
	fprintf(stderr, "vtpmctl: xl cannot be run: %s\n", strerror(errno));
	_exit(127);
}

/* xl has what the guest boots, and this process the launch's lock: it outlives the move, and has
 * neither of its connections, whose ends vtpmd and the other host wait for. */
static void hold_xl_receive(struct migrate *m, int reader, int told)
{
	const struct xlimages *images = m->images;

	client_close(&m->client);
	close(peerlink_fd(m->link));
	(void)setsid();
	if (xlimages_place(images, reader, &told)) {
		fprintf(stderr,
			"vtpmctl: what the guest boots cannot be given to xl: see "
			"`ulimit -n`\n");
		_exit(127);
	}
	xl_hold(receive, told);
}

/* Four ends each: what xl reads, writes, and its status if that is told. */
static int make_pipes(int in[2], int out[2], int told[2])
{
	int *const all[] = {in, out, told};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (!pipe2(all[i], O_CLOEXEC))
			continue;
		for (; i-- > 0;) {
			close(all[i][0]);
			close(all[i][1]);
		}
		return -EMFILE;
	}
	return 0;
}

static int start_xl(struct xlsink *s)
{
	bool held = xlimages_expected(s->m);
	int in[2], out[2], told[2];

	if (make_pipes(in, out, told))
		return -EMFILE;
	s->pid = fork();
	if (!s->pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		/* with a reader of its own it can say its last words, and destroy its copy
		 * behind them, when vtpmctl has been killed */
		(void)fcntl(out[0], F_SETFD, 0);
		if (held)
			hold_xl_receive(s->m, out[0], told[1]);
		be_xl_receive();
	}
	close(in[0]);
	close(out[1]);
	close(told[1]);
	if (held)
		s->status = told[0];
	else
		close(told[0]);
	if (s->pid > 0 && !held)
		s->ended = pidfd_open(s->pid, 0);
	s->to = in[1];
	s->from = out[0];
	(void)fcntl(s->to, F_SETFL, O_NONBLOCK);
	(void)fcntl(s->to, F_SETPIPE_SZ, XL_PIPE);
	return s->pid < 0 ? -ENOMEM : 0;
}

static int say_word(struct xlsink *s, uint32_t word)
{
	s->told = sink_now();
	return peerlink_send_word(s->m->link, word, s->e);
}

/* Whether the guest boots what was measured of it: xl hears of it only then. */
static int check_head(struct xlsink *s)
{
	json_t *config;
	int rc = xlboot_stream_take(s->head, s->item.data, s->item.len, &config);

	if (rc == -EAGAIN)
		return 0;
	if (rc)
		(void)!fail_sink(s, "the other host's description of the guest cannot be "
				    "read");
	else
		rc = xlimages_check(s->m->images, config, s->e);
	json_decref(config);
	free(s->head);
	s->head = NULL;
	if (rc)
		(void)!peerlink_send_word(s->m->link, XLWORD(XLWORD_REFUSED, 0),
					  &(struct error){.cause = CAUSE_NONE});
	return rc;
}

static int take_data(struct xlsink *s)
{
	size_t pass, to, first;
	bool go;

	if (s->item.len > sizeof(s->queue) - s->have)
		return fail_sink(s, "the other host sends more than it was asked for");
	if (xlgate_stream_take(&s->stream, s->item.data, s->item.len, &pass, &go) ||
	    pass < s->item.len)
		return fail_sink(s, "the other host sends what is no guest");
	if (s->head && check_head(s))
		return -EBADMSG;
	to = (s->at + s->have) % sizeof(s->queue);
	first = sizeof(s->queue) - to;
	first = first < s->item.len ? first : s->item.len;
	memcpy(s->queue + to, s->item.data, first);
	memcpy(s->queue, s->item.data + first, s->item.len - first);
	s->have += s->item.len;
	return 0;
}

static int pass_go(struct xlsink *s)
{
	size_t len;
	const uint8_t *bytes = xlgate_bytes(XLGATE_GO, &len);

	if (!s->ready || s->go_passed || !migrate_is(s->m, "owned"))
		return fail_sink(s, "the other host wants the guest started before its "
				    "vTPM is here");
	/* the source asks for it when this process is killed in the next moment */
	if (migrate_note_set(s->lock, MIGRATE_GO))
		return fail_sink(s, "that the guest may start cannot be noted beside "
				    "vtpmd's socket: see `df /run`");
	s->go_passed = true;
	return write(s->to, bytes, len) == (ssize_t)len
		       ? 0
		       : fail_sink(s, "xl migrate-receive has ended too early");
}

/* They are given to vtpmd, and xl gets the guest while it imports: it may answer only when xl has made
 * that.  Those that come before its answer are given to it behind that; of several the last ones, as
 * all are sent again until they are answered. */
static int give_messages(struct xlsink *s, json_t *messages)
{
	if (migrate_is_asked(s->m)) {
		json_decref(s->later);
		s->later = messages;
		return 0;
	}
	if (json_array_size(messages))
		return migrate_hear_later(s->m, s->peer, messages, s->text);
	json_decref(messages);
	return migrate_flush(s->m, s->e);
}

/* vtpmd's answer to messages, which the other host waits for. */
static int hear_answer(struct xlsink *s)
{
	int rc = migrate_take_answer(s->m, s->text);
	json_t *later = s->later;

	if (!rc)
		rc = migrate_flush(s->m, s->e);
	if (rc || !later)
		return rc;
	s->later = NULL;
	return give_messages(s, later);
}

static int hear_source(struct xlsink *s)
{
	int rc = peerlink_recv_item(s->m->link, &s->item, s->e);

	s->heard = sink_now();
	if (rc)
		return rc;
	if (s->item.kind == PEERLINK_IS_DATA)
		return take_data(s);
	if (s->item.kind == PEERLINK_IS_TURN)
		return give_messages(s, s->item.messages);
	if (s->item.word == XLWORD(XLWORD_GO, 0)) {
		while (!rc && migrate_is_asked(s->m))
			rc = hear_answer(s);
		return rc ? rc : pass_go(s);
	}
	if (s->item.word == XLWORD(XLWORD_ALIVE, 0))
		return 0;
	return fail_sink(s, "the other host says what makes no sense now");
}

/* The vTPM, which has executed nothing here, goes back.  Its manager may be about to begin anew, and so
 * may vtpmd. */
static int hand_back(struct xlsink *s)
{
	int i, rc = VTPMCTL_OK;

	s->m->name = s->m->vtpm;
	for (i = 0; i < BACK_TRIES && !s->gave_back; i++) {
		if (i)
			sleep(1);
		if (rc)
			client_close(&s->m->client);
		rc = migrate_wish(s->m, "back", s->text);
		s->gave_back = !rc && !migrate_is(s->m, "owned");
	}
	if (rc || s->gave_back)
		return rc;
	return fail_sink(s, "the guest could not be started, and its vTPM could not be "
			    "given back");
}

static int note_report(const struct xlsink *s)
{
	return s->answer.code ? migrate_note_clear(s->lock)
			      : migrate_note_set(s->lock, MIGRATE_RUNS);
}

static int hear_text(struct xlsink *s, enum xlgate_text found)
{
	int rc;

	switch (found) {
	case XLGATE_BANNER:
		return say_word(s, XLWORD(XLWORD_BANNER, 0));
	case XLGATE_READY:
		if (!xlgate_stream_ended(&s->stream) || s->have)
			break;
		s->ready = true;
		return say_word(s, XLWORD(XLWORD_READY, 0));
	case XLGATE_REPORT:
		if (!s->go_passed)
			break;
		/* one that has not started is the source's, whatever is killed next */
		if (note_report(s))
			return fail_sink(
				s, "what became of the guest cannot be noted beside "
				   "vtpmd's socket: see `df /run`");
		return say_word(s, XLWORD(XLWORD_REPORT, s->answer.code));
	case XLGATE_GO:
		rc = hand_back(s);
		if (!rc)
			rc = migrate_flush(s->m, s->e);
		return rc ? rc : say_word(s, XLWORD(XLWORD_GIVE_BACK, 0));
	default:
		return 0;
	}
	return fail_sink(s, "xl migrate-receive says what vtpmctl does not know");
}

/* What xl writes; bytes: the first n of a buffer.  told: the other host hears of it. */
static int take_answer(struct xlsink *s, const uint8_t *bytes, size_t n, bool told)
{
	enum xlgate_text found;
	size_t used, at;
	int rc = 0;

	for (at = 0; !rc && at < n; at += used) {
		if (xlgate_answer_take(&s->answer, bytes + at, n - at, &used, &found))
			return fail_sink(s,
					 "xl migrate-receive says what vtpmctl does not "
					 "know");
		rc = told ? hear_text(s, found) : 0;
	}
	return rc;
}

static int hear_receiver(struct xlsink *s)
{
	uint8_t bytes[256];
	ssize_t n = read(s->from, bytes, sizeof(bytes));

	if (n > 0)
		return take_answer(s, bytes, (size_t)n, true);
	if (n < 0 && errno == EINTR)
		return 0;
	close_end(&s->from);
	return s->answer.last == XLGATE_REPORT || s->answer.last == XLGATE_GO
		       ? 0
		       : say_word(s, XLWORD(XLWORD_GONE, 0));
}

/* As many bytes more may come.  Told now and then: each word costs both hosts more than the bytes
 * do. */
static int tell_taken(struct xlsink *s)
{
	uint32_t taken = (uint32_t)s->taken;
	bool is_last = xlgate_stream_ended(&s->stream) && !s->have;

	if (taken < XL_WINDOW / 4 && !is_last)
		return 0;
	s->taken = 0;
	return say_word(s, XLWORD(XLWORD_TAKEN, taken));
}

static int feed_xl(struct xlsink *s)
{
	size_t n = sizeof(s->queue) - s->at;
	ssize_t done;

	n = n < s->have ? n : s->have;
	done = write(s->to, s->queue + s->at, n);
	if (done < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (done <= 0) {
		/* what it has to say is still heard */
		close_end(&s->to);
		return 0;
	}
	s->at = (s->at + (size_t)done) % sizeof(s->queue);
	s->have -= (size_t)done;
	s->taken += (size_t)done;
	return tell_taken(s);
}

static int serve_source(struct xlsink *s)
{
	struct pollfd p[4] = {{.fd = peerlink_fd(s->m->link), .events = POLLIN},
			      {.events = POLLIN},
			      {.events = POLLOUT},
			      {.events = POLLIN}};
	bool has;
	int rc = 0;

	while (!rc) {
		has = peerlink_has(s->m->link);
		p[1].fd = s->from;
		p[2].fd = s->have && !s->head ? s->to : -1;
		p[3].fd = migrate_is_asked(s->m) ? client_fd(&s->m->client) : -1;
		p[0].revents = p[1].revents = p[2].revents = p[3].revents = 0;
		if (poll(p, 4, has ? 0 : XL_TICK_MS) < 0 && errno != EINTR)
			return -errno;
		if (p[3].revents)
			rc = hear_answer(s);
		if (!rc && p[1].revents)
			rc = hear_receiver(s);
		if (!rc && p[2].revents)
			rc = feed_xl(s);
		if (!rc && (has || p[0].revents))
			rc = hear_source(s);
		if (!rc && sink_now() - s->heard > XL_QUIET_S)
			rc = fail_sink(s, "the other host is silent");
		if (!rc && (sink_now() - s->told) * 1000 >= XL_TICK_MS)
			rc = say_word(s, XLWORD(XLWORD_ALIVE, 0));
	}
	return rc;
}

/* xl gets no more, and says its last word: a copy that it may not start is destroyed.  However long
 * that takes: what it does with the guest nobody else may do beside it. */
static void end_xl(struct xlsink *s)
{
	struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
	uint8_t bytes[256];
	ssize_t n;

	close_end(&s->to);
	p[0].fd = s->from;
	p[1].fd = s->status >= 0 ? s->status : s->ended;
	do {
		n = 0;
		if (poll(p, 2, p[0].fd < 0 && p[1].fd < 0 ? 0 : -1) < 0)
			continue;
		if (p[0].revents)
			n = read(s->from, bytes, sizeof(bytes));
		if (n > 0)
			(void)!take_answer(s, bytes, (size_t)n, false);
		else if (p[0].revents)
			p[0].fd = -1;
	} while (n > 0 || (p[1].fd >= 0 && !p[1].revents) ||
		 (p[1].fd < 0 && p[0].fd >= 0));
	close_end(&s->from);
	if (s->status < 0 && s->pid > 0)
		(void)waitpid(s->pid, NULL, 0);
	close_end(&s->status);
	close_end(&s->ended);
}

/* Whether xl has said what became of its guest: it runs, or was destroyed. */
static bool has_said_all(const struct xlsink *s)
{
	return s->answer.last == XLGATE_GO ||
	       (s->answer.last == XLGATE_REPORT && !s->answer.code);
}

/* Behind GO the guest is this host's; without it, or when xl gave it back, the source's.  Returns
 * whether it is this host's. */
static bool settle_guest(struct xlsink *s)
{
	bool ours = s->go_passed && s->answer.last != XLGATE_GO && !s->answer.code;
	bool runs = ours && s->answer.last == XLGATE_REPORT;

	if (!ours)
		(void)!migrate_note_clear(s->lock);
	if (ours && !has_said_all(s))
		(void)!xlguest_start_incoming(s->m, &runs);
	else if (!has_said_all(s))
		(void)!xlguest_drop_incoming(s->m);
	if (runs)
		(void)!migrate_note_set(s->lock, MIGRATE_RUNS);
	return ours;
}

/* Waits until the process that serves the source ends.  When that was killed: hears xl's last word, and
 * does what is left for the guest.  The vTPM is given back, if the guest was not started, when the source
 * asks for it. */
static _Noreturn void keep_guest(struct xlsink *s, int leash, int to)
{
	char byte;
	ssize_t n;

	(void)setsid();
	/* vtpmd and the other host see the end of the other process, and xl that it gets no more */
	client_close(&s->m->client);
	close(peerlink_fd(s->m->link));
	close(to);
	do
		n = read(leash, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		_exit(0);
	s->to = -1;
	end_xl(s);
	(void)settle_guest(s);
	_exit(0);
}

static int start_keeper(struct xlsink *s)
{
	/* the first process may close it, which the second one then sees in *s, and not do so itself */
	int ends[2], to = s->to;

	if (pipe2(ends, O_CLOEXEC))
		return -EMFILE;
	s->leash = ends[1];
	s->keeper = fork();
	if (!s->keeper) {
		close(ends[1]);
		keep_guest(s, ends[0], to);
	}
	close(ends[0]);
	return s->keeper < 0 ? -ENOMEM : 0;
}

static void end_keeper(struct xlsink *s)
{
	if (s->keeper <= 0)
		return;
	(void)!write(s->leash, "", 1);
	close(s->leash);
	(void)waitpid(s->keeper, NULL, 0);
}

/* Once what the guest boots, if it was launched, is there. */
static int begin_sink(struct xlsink *s)
{
	int rc = xlimages_lock(s->m, s->text, s->e);

	if (!rc && xlimages_expected(s->m)) {
		s->head = calloc(1, sizeof(*s->head));
		rc = s->head ? 0 : -ENOMEM;
	}
	if (!rc && (start_xl(s) || start_keeper(s)))
		rc = fail_sink(s, "xl migrate-receive cannot be started");
	return rc;
}

int xlreceive_run(struct migrate *m, const char *peer, char text[CLIENT_TEXT],
		  struct error *e)
{
	struct xlsink *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int rc;

	if (s == MAP_FAILED)
		return error_set(e, -ENOMEM, CAUSE_RESOURCES, "there is no memory");
	s->m = m;
	s->peer = peer;
	s->e = e;
	s->text = text;
	s->to = s->from = s->status = s->ended = -1;
	s->heard = s->told = sink_now();
	s->lock = migrate_lock(m, "receive", 60);
	xlguest_note_vtpm(m);
	/* of an earlier try: xl makes no second guest of that name */
	if (s->lock < 0 || migrate_note_clear(s->lock))
		rc = fail_sink(s, "another guest's xl migrate-receive does not end");
	else if (xlguest_drop_incoming(m))
		rc = fail_sink(s, "xl migrate-receive cannot be started");
	else
		rc = begin_sink(s);
	rc = rc ? rc : serve_source(s);
	/* what vtpmd has of it decides who gets the guest */
	if (migrate_is_asked(m) && migrate_take_answer(m, text))
		rc = rc ? rc : -EBADMSG;
	end_xl(s);
	if (s->lock >= 0) {
		/* the source waits for it, and hears of it when it is there again */
		if (!settle_guest(s) && !s->gave_back && migrate_is(m, "owned"))
			(void)!hand_back(s);
		end_keeper(s);
		close(s->lock);
	}
	if (!(s->go_passed && s->answer.last == XLGATE_REPORT && !s->answer.code))
		linelimit_say(peer, "vtpmctl: a guest did not come from %s: %s", peer,
			      text[0] ? text : e->text);
	text[0] = '\0';
	json_decref(s->later);
	free(s->head);
	(void)munmap(s, sizeof(*s));
	return rc;
}
