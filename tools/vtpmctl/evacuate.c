/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl migrate --evacuate HOST: each guest that has a vTPM, by a `vtpmctl migrate` of its own. */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/xlmigrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Guests are started, and come back from others' moves, while it runs. */
#define PASSES_MAX 20
#define HAS_GONE   32 /* status of a job whose guest was not here any more */

struct job {
	pid_t pid;
	const char *guest;
	int out; /* what it said */
	time_t began_s;
};

struct evacuation {
	const struct migrate *m;
	json_t *tried;	/* guest: true */
	json_t *guests; /* of this pass */
	size_t next, running, moved, stayed;
	struct job job[EVACUATE_JOBS_MAX];
};

/* Of a clock that nobody sets. */
static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* As `vtpmctl migrate GUEST HOST`, but for one thing: its vTPM does not move without the guest. */
static void be_job(const struct migrate *like, const char *guest, int out)
{
	struct migrate m = {.socket = like->socket,
			    .config = like->config,
			    .keys = like->keys,
			    .name = guest,
			    .host = like->evacuate,
			    .with_guest = true};
	int null = open("/dev/null", O_RDONLY), rc;

	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	rc = migrate_go_on(&m, false);
	_exit(m.gone ? HAS_GONE : rc);
}

static void begin_job(struct evacuation *v)
{
	const char *guest = json_string_value(json_array_get(v->guests, v->next++));
	struct job *j = &v->job[v->running];

	*j = (struct job){.guest = guest, .began_s = now_s()};
	json_object_set_new(v->tried, guest, json_true());
	j->out = memfd_create("job", MFD_CLOEXEC);
	j->pid = j->out >= 0 ? fork() : -1;
	if (!j->pid)
		be_job(v->m, guest, j->out);
	if (j->pid > 0) {
		v->running++;
		fprintf(stderr, "%s: moves\n", guest);
		return;
	}
	v->stayed++;
	fprintf(stderr, "vtpmctl: %s stays: no process can be started: %s\n", guest,
		strerror(errno));
	if (j->out >= 0)
		close(j->out);
}

/* Its last line that is vtpmctl's; what xl said before is in the whole. */
static void print_reason(const struct job *j)
{
	char text[8192], *line, *rest = text, *last = NULL;
	off_t size = lseek(j->out, 0, SEEK_END);
	off_t from = size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0;
	ssize_t n = pread(j->out, text, sizeof(text) - 1, from);

	text[n > 0 ? n : 0] = '\0';
	while ((line = strtok_r(rest, "\n", &rest)))
		last = line;
	if (last && !strncmp(last, "vtpmctl: ", 9))
		last += 9;
	fprintf(stderr, "vtpmctl: %s has not moved: %s\n", j->guest,
		last ? last : "it was killed");
}

static void end_job(struct evacuation *v)
{
	int status = 0;
	pid_t pid = waitpid(-1, &status, 0);
	struct job *j = v->job;
	size_t i;

	for (i = 0; i < v->running && v->job[i].pid != pid; i++)
		;
	if (i == v->running)
		return;
	j += i;
	if (WIFEXITED(status) && !WEXITSTATUS(status)) {
		v->moved++;
		fprintf(stderr, "%s: runs on %s, after %ld s\n", j->guest, v->m->evacuate,
			(long)(now_s() - j->began_s));
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == HAS_GONE) {
		/* it may be back in the next pass, if another move of it has failed */
		json_object_del(v->tried, j->guest);
		fprintf(stderr,
			"%s: has gone: it was shut down, or another `vtpmctl migrate` has "
			"moved it\n",
			j->guest);
	} else {
		v->stayed++;
		print_reason(j);
	}
	close(j->out);
	*j = v->job[--v->running];
}

/* Of a pool's none moves: any host of it starts them. */
static bool is_in_pool(const struct migrate *m)
{
	char text[CLIENT_TEXT];
	json_t *reply;

	if (client_try(m->socket, client_request("pool", NULL), &reply, text))
		return false;
	json_decref(reply);
	return true;
}

/* What would keep each of them is told once: where it is to go to, and this host's certificate. */
static int check_destination(const struct migrate *m)
{
	struct migrate here = {.config = m->config, .keys = m->keys};
	struct error e = {.cause = CAUSE_NONE};
	struct pool_host h;
	int rc = migrate_load(&here, &e);

	if (!rc && !poolfile_find(&here.file, m->evacuate, &h))
		rc = error_set(&e, -ENOENT, CAUSE_PEER,
			       "the list of hosts has no %s: see `vtpmctl peer list`",
			       m->evacuate);
	if (!rc && poolfile_is_own(&h, &here.conf))
		rc = error_set(&e, -EINVAL, CAUSE_PEER,
			       "%s is this host, by its keys: name another one",
			       m->evacuate);
	if (!rc)
		rc = migrate_own(&here, NULL, &e);
	migrate_end(&here);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}

/* vTPMs stay that no guest has: their guests may be down, or saved. */
static void tell_of_unused(const struct migrate *m, bool pooled)
{
	json_t *unused = xlguest_unused(m);
	const json_t *vtpm;
	const char *name;
	size_t i;

	json_array_foreach(unused, i, vtpm)
	{
		name = client_text(vtpm, "name");
		if (pooled)
			fprintf(stderr,
				"%s stays, as no guest has it, and it is in a pool's "
				"etcd: `vtpmctl stop %s` here, and `vtpmctl start %s` on "
				"another host of the pool\n",
				name, name, name);
		else if (!strcmp(client_text(vtpm, "state"), "running"))
			fprintf(stderr,
				"%s stays, as no guest has it: `vtpmctl migrate %s %s` "
				"moves it alone\n",
				name, name, m->evacuate);
		else
			fprintf(stderr,
				"%s stays, as it is %s, and no guest has it: `vtpmctl "
				"start %s`, then `vtpmctl migrate %s %s`\n",
				name, client_text(vtpm, "state"), name, name,
				m->evacuate);
	}
	json_decref(unused);
}

/* The guests with a vTPM that were not moved, or tried, yet; NULL, and a sentence on stderr. */
static json_t *find_new(const struct evacuation *v)
{
	json_t *all = xlguest_all(v->m), *found = all ? json_array() : NULL, *name;
	size_t i;

	json_array_foreach(all, i, name)
	{
		if (!json_object_get(v->tried, json_string_value(name)))
			json_array_append(found, name);
	}
	json_decref(all);
	return found;
}

static void run_jobs(struct evacuation *v, size_t jobs)
{
	size_t all = json_array_size(v->guests);

	v->next = 0;
	while (v->next < all || v->running) {
		while (v->next < all && v->running < jobs)
			begin_job(v);
		if (v->running)
			end_job(v);
	}
}

/* Whether it could be told which guests there are. */
static bool move_all(struct evacuation *v, size_t jobs)
{
	bool known;

	for (int pass = 0; pass < PASSES_MAX; pass++) {
		v->guests = find_new(v);
		known = v->guests != NULL;
		if (!json_array_size(v->guests)) {
			json_decref(v->guests);
			return known;
		}
		run_jobs(v, jobs);
		json_decref(v->guests);
	}
	fprintf(stderr, "vtpmctl: guests are started here again and again: repeat this "
			"when they are not\n");
	return false;
}

int evacuate_run(const struct migrate *m)
{
	struct evacuation v = {.m = m, .tried = json_object()};
	bool pooled = is_in_pool(m), known;
	int rc = pooled ? VTPMCTL_OK : check_destination(m);

	if (rc) {
		json_decref(v.tried);
		return rc;
	}
	known = move_all(&v, m->jobs ? m->jobs : 1);
	json_decref(v.tried);
	if (!known && !v.moved && !v.stayed)
		return VTPMCTL_FAILED;
	fprintf(stderr, "%zu of %zu guests with a vTPM moved to %s\n", v.moved,
		v.moved + v.stayed, m->evacuate);
	tell_of_unused(m, pooled);
	return known && !v.stayed ? VTPMCTL_OK : VTPMCTL_FAILED;
}
