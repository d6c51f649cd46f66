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

struct job {
	pid_t pid;
	const char *guest;
	int out; /* what it said */
	time_t began;
};

struct evacuation {
	const struct migrate *m;
	const json_t *guests;
	size_t next, running, moved;
	struct job job[EVACUATE_JOBS_MAX];
};

static void be_job(const struct migrate *m, const char *guest, int out)
{
	char *const argv[] = {
		"vtpmctl",  "migrate",		 (char *)guest, (char *)m->evacuate,
		"--socket", (char *)m->socket,	 "--config",	(char *)m->config,
		"--ca",	    (char *)m->keys.ca,	 "--cert",	(char *)m->keys.cert,
		"--key",    (char *)m->keys.key, NULL};
	int null = open("/dev/null", O_RDONLY);

	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execv("/proc/self/exe", argv);
	_exit(VTPMCTL_FAILED);
}

static void begin_job(struct evacuation *v)
{
	const char *guest = json_string_value(json_array_get(v->guests, v->next++));
	struct job *j = &v->job[v->running];

	*j = (struct job){.guest = guest, .began = time(NULL)};
	j->out = memfd_create("job", MFD_CLOEXEC);
	j->pid = j->out >= 0 ? fork() : -1;
	if (!j->pid)
		be_job(v->m, guest, j->out);
	if (j->pid > 0) {
		v->running++;
		fprintf(stderr, "%s: moves\n", guest);
		return;
	}
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
			(long)(time(NULL) - j->began));
	} else {
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

int evacuate_run(const struct migrate *m)
{
	struct evacuation v = {.m = m};
	bool pooled = is_in_pool(m);
	int rc = pooled ? VTPMCTL_OK : check_destination(m);
	json_t *guests = rc ? NULL : xlguest_all(m);
	size_t all = json_array_size(guests), jobs = m->jobs ? m->jobs : 1;

	if (!guests)
		return rc ? rc : VTPMCTL_FAILED;
	v.guests = guests;
	while (v.next < all || v.running) {
		while (v.next < all && v.running < jobs)
			begin_job(&v);
		if (v.running)
			end_job(&v);
	}
	fprintf(stderr, "%zu of %zu guests with a vTPM moved to %s\n", v.moved, all,
		m->evacuate);
	tell_of_unused(m, pooled);
	json_decref(guests);
	return v.moved == all ? VTPMCTL_OK : VTPMCTL_FAILED;
}
