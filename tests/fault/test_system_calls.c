/* SPDX-License-Identifier: Apache-2.0
 *
 * test_system_calls.c - a producer, the daemon, `litmus materialize`, `prune`, `archive` and `import` as programs of their own, of
 * which the n-th system call on the data_dir fails or is the last: for every n until none is left.
 * Then comes one without faults, and everything that was acknowledged is on record, once.
 *
 * LITMUS_SOAK=1 tries every error at every call; else they take turns. Under AddressSanitizer, which makes
 * each start of a program five times as slow, only every fourth call is struck; `make test` runs both.
 */
#define _GNU_SOURCE
#include "base/clock.h"
#include "litmus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CALLS_MAX = 2000, PROGRAM_SECONDS = 300, EVENTS = 7 };

struct trial {
    int64_t events; /* of runs, in the pattern */
    char base[300], pattern[400], dir[400], other[400], note[400], litmus[PATH_MAX], shim[PATH_MAX], memory[PATH_MAX], self[PATH_MAX];
    char only[300]; /* set: what ends so cannot be opened at all */
    char where[300];
    char out[64 * 1024]; /* what the program said */
};

/* ---- programs ---- */
/* Says "+" for each event that was acknowledged, "-" for the others; `end` is how it ends. */
static int produce(const char *dir, const char *end) {
    static const char *const types[EVENTS] = {"run.started", "test.steps_discovered", "test.step_started", "test.step_ended", "test.step_started", "test.step_ended", "run.ended"};
    static const char *const payloads[EVENTS] = {
        "{\"dut_serial\":\"SN1\"}",
        "{\"items\":[{\"node_id\":\"a\",\"step_path\":\"f/a\",\"vector_index\":0,\"step_index\":0},{\"node_id\":\"b\",\"step_path\":\"f/b\",\"vector_index\":0,\"step_index\":1}]}",
        "{\"step_name\":\"a\",\"step_index\":0,\"step_path\":\"f/a\"}",
        "{\"step_name\":\"a\",\"step_index\":0,\"step_path\":\"f/a\",\"vector_outcome\":\"passed\"}",
        "{\"step_name\":\"b\",\"step_index\":1,\"step_path\":\"f/b\"}",
        "{\"step_name\":\"b\",\"step_index\":1,\"step_path\":\"f/b\",\"vector_outcome\":\"passed\"}",
        "{\"outcome\":\"passed\"}",
    };
    const char *run_id = strcmp(end, "stops") == 0 ? "aaaaaaaa-2222-4222-8222-222222222222" : "aaaaaaaa-1111-4111-8111-111111111111";
    struct litmus_session_options options = {.data_dir = dir, .no_daemon = true, .durability = LITMUS_DURABILITY_EACH};
    struct litmus_error error = {0};
    litmus_session *session = NULL;
    int code = litmus_session_open(&options, &session, &error), lost = 0;
    for (int i = 0; code == LITMUS_OK && i < EVENTS; i++) {
        struct litmus_event event = {.event_type = types[i], .run_id = run_id, .payload = payloads[i]};
        if (strcmp(end, "dies") == 0 && i == 5) raise(SIGKILL);
        if (litmus_emit(session, &event, NULL, &error) == LITMUS_OK) (void)!write(STDOUT_FILENO, "+", 1);
        else lost += (int)write(STDOUT_FILENO, "-", 1);
    }
    if (strcmp(end, "stops") == 0) raise(SIGKILL);
    if (code == LITMUS_OK) code = litmus_session_close(session, NULL, &error);
    if (code != LITMUS_OK || lost > 0) dprintf(STDOUT_FILENO, "%s\n", error.text);
    return code != LITMUS_OK || lost > 0 ? 3 : 0;
}

/* Runs a program; its wait status. `at` 0: without faults. */
static int run(struct trial *t, const char *const *arguments, int at, const char *how) {
    int ends[2], status = -1;
    assert_int_equal(pipe(ends), 0);
    unlink(t->note);
    pid_t pid = fork();
    if (pid == 0) {
        char number[16], sanitizers[512];
        const char *asan = getenv("ASAN_OPTIONS");
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(PROGRAM_SECONDS); /* one that hangs dies of it */
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        snprintf(number, sizeof number, "%d", at);
        snprintf(sanitizers, sizeof sanitizers, "%s:verify_asan_link_order=0:detect_leaks=0", asan == NULL ? "" : asan);
        setenv("ASAN_OPTIONS", sanitizers, 1);
        setenv("LITMUS_DAEMON_IDLE", "0.05", 1);
        setenv("LITMUS_SHIM_UNDER", t->dir, 1);
        setenv("LITMUS_SHIM_NOTE", t->note, 1);
        setenv("LITMUS_SHIM_AT", number, 1);
        setenv("LITMUS_SHIM_HOW", how, 1);
        if (t->only[0] != '\0') setenv("LITMUS_SHIM_ONLY", t->only, 1);
        if (t->only[0] != '\0') setenv("LITMUS_SHIM_TIMES", "1000000", 1);
        if (at > 0) setenv("LD_PRELOAD", strcmp(how, "memory") == 0 ? t->memory : t->shim, 1);
        execv(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(ends[1]);
    size_t n = 0;
    ssize_t got;
    while (n < sizeof t->out - 1 && ((got = read(ends[0], t->out + n, sizeof t->out - 1 - n)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0) n += (size_t)got;
    t->out[n] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool struck(const struct trial *t, char call[64]) {
    int fd = open(t->note, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, call, 63);
    if (fd >= 0) close(fd);
    call[n < 0 ? 0 : n] = '\0';
    call[strcspn(call, "\n")] = '\0';
    return fd >= 0;
}

/* ---- data_dirs ---- */
static void shell(const char *format, const char *a, const char *b) {
    char command[2000];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state) {
    struct trial *t = calloc(1, sizeof *t);
    const char *tmp = getenv("TMPDIR"), *build = getenv("LITMUS_BUILD_ROOT");
    snprintf(t->base, sizeof t->base, "%.200s/calls-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(t->base) == NULL) return -1;
    snprintf(t->pattern, sizeof t->pattern, "%s/pattern", t->base);
    snprintf(t->dir, sizeof t->dir, "%s/data", t->base);
    snprintf(t->other, sizeof t->other, "%s/other", t->base);
    snprintf(t->note, sizeof t->note, "%s/note", t->base);
    snprintf(t->litmus, sizeof t->litmus, "%s/litmus", build == NULL ? "." : build);
    snprintf(t->shim, sizeof t->shim, "%s/libfault_shim.so", build == NULL ? "." : build);
    snprintf(t->memory, sizeof t->memory, "%s/libfault_memory.so", build == NULL ? "." : build);
    ssize_t n = readlink("/proc/self/exe", t->self, sizeof t->self - 1);
    t->self[n < 0 ? 0 : n] = '\0';
    *state = t;
    return access(t->litmus, X_OK) != 0 || access(t->shim, R_OK) != 0 || access(t->memory, R_OK) != 0 || mkdir(t->pattern, 0777) != 0;
}

static int tear_down(void **state) {
    struct trial *t = *state;
    shell("rm -rf '%s'", t->base, NULL);
    free(t);
    return 0;
}

/* Calls `each` for the files below `folder` whose names end so, with the name. */
static void each_file(const char *folder, const char *suffix, void (*each)(void *self, const char *name), void *self) {
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[PATH_MAX];
        size_t n = strlen(entry->d_name), end = strlen(suffix);
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_type == DT_DIR) each_file(path, suffix, each, self);
        else if (n > end && strcmp(entry->d_name + n - end, suffix) == 0) each(self, entry->d_name);
    }
    if (dir != NULL) closedir(dir);
}

static void count_file(void *self, const char *name) {
    (void)name;
    ++*(int *)self;
}

static int runs_on_disk(const struct trial *t) {
    char runs[500];
    int files = 0;
    snprintf(runs, sizeof runs, "%s/runs", t->dir);
    each_file(runs, ".parquet", count_file, &files);
    return files;
}

/* `litmus ...` without faults; it must do well. */
static void must(struct trial *t, const char *verb, const char *more) {
    const char *const arguments[] = {t->litmus, verb, "--data-dir", t->dir, more, strcmp(verb, "prune") == 0 ? "--keep=0s" : NULL, NULL};
    int status = run(t, arguments, 0, "0");
    if (status != 0) fail_msg("%s: then litmus %s: status %d: %s", t->where, verb, status, t->out);
}

/* How often `litmus events --json` says it. */
static int64_t said_on_record(struct trial *t, const char *what) {
    const char *const arguments[] = {t->litmus, "events", "--data-dir", t->dir, "--json", NULL};
    int status = run(t, arguments, 0, "0"), lines = 0;
    if (status != 0) fail_msg("%s: then litmus events: status %d: %s", t->where, status, t->out);
    for (const char *p = t->out; (p = strstr(p, what)) != NULL; p++) lines++;
    return lines;
}

static int64_t events_on_record(struct trial *t) {
    return said_on_record(t, "\"run_id\":\"aaaaaaaa");
}

/* ---- every call ---- */
static const int errors[] = {ENOSPC, EIO, EDQUOT, EROFS, EMFILE, EINTR, EACCES};
enum { ERRORS = sizeof errors / sizeof errors[0] };

struct task {
    const char *name;
    const char *arguments[8];
    int stride; /* errors at every so many calls, unless in a soak; deaths at each */
    void (*check)(struct trial *t, int status, const char *how);
};

/* false: no call was left to fail. */
static bool strike(struct trial *t, const struct task *task, int at, const char *how) {
    char call[64];
    if (access(t->dir, F_OK) == 0) shell("rm -rf '%s'", t->dir, NULL);
    shell("cp -r '%s' '%s'", t->pattern, t->dir);
    int status = run(t, task->arguments, at, how);
    bool hit = struck(t, call);
    snprintf(t->where, sizeof t->where, "%s, call %d (%s) %s", task->name, at, hit ? call : "none", how);
    bool killed = strcmp(how, "after") == 0 || strcmp(how, "before") == 0;
    if (WIFSIGNALED(status) && !(killed && hit && WTERMSIG(status) == SIGKILL)) fail_msg("%s: died of signal %d: %s", t->where, WTERMSIG(status), t->out);
    task->check(t, status, how);
    return hit;
}

#ifdef __SANITIZE_ADDRESS__
enum { CALL_STEP = 8 };
#else
enum { CALL_STEP = 1 };
#endif

/* Of a long task each program strikes a share of the calls, and several run side by side. */
static int share, shares = 1;

static void strike_all(struct trial *t, const struct task *task) {
    bool soak = getenv("LITMUS_SOAK") != NULL;
    int step = soak ? 1 : CALL_STEP, at = 1 + share * step;
    for (bool hit = true; hit; at += step * shares) {
        char how[16];
        assert_true(at < CALLS_MAX);
        hit = strike(t, task, at, "after");
        for (int i = 0; i < ERRORS; i++) {
            if (!soak && CALL_STEP == 1 && (i != at / task->stride % ERRORS || at % task->stride != 0)) continue;
            if (!soak && CALL_STEP > 1 && i != at / CALL_STEP % ERRORS) continue;
            snprintf(how, sizeof how, "%d", errors[i]);
            strike(t, task, at, how);
        }
        if (soak || at / CALL_STEP % 6 == 0) strike(t, task, at, "short");
    }
    print_message("%s: about %d calls\n", task->name, at);
    assert_true(at > 20);
}

/* Each program is refused another one of its requests for memory. */
static void strike_memory(struct trial *t, const struct task *task) {
#ifndef __SANITIZE_ADDRESS__ /* which has an allocator of its own */
    int at = 1;
    while (strike(t, task, at, "memory")) at += getenv("LITMUS_SOAK") != NULL ? 1 : 61;
    print_message("%s: about %d requests for memory\n", task->name, at);
    assert_true(at > 50);
#else
    (void)t;
    (void)task;
#endif
}

static int count_of(const char *text, char what) {
    int n = 0;
    for (; *text == '+' || *text == '-'; text++) n += *text == what;
    return n;
}

static void producer_check(struct trial *t, int status, const char *how) {
    int acknowledged = count_of(t->out, '+');
    bool started = t->out[0] == '+', told = strchr(t->out, '\n') != NULL;
    if (WIFEXITED(status)) {
        int code = WEXITSTATUS(status);
        if (code != 0 && code != 3) fail_msg("%s: exit code %d: %s", t->where, code, t->out);
        if (code == 0 && acknowledged != EVENTS) fail_msg("%s: %d acknowledged, and all is well", t->where, acknowledged);
        if (code == 3 && !told) fail_msg("%s: fails without a word", t->where);
        if (strcmp(how, "4") == 0 && code != 0) fail_msg("%s: EINTR is no failure: %s", t->where, t->out);
    }
    must(t, "materialize", NULL);
    int64_t there = events_on_record(t);
    /* the materializer adds run.materialized, and run.ended where that is missing */
    if (there < acknowledged) fail_msg("%s: %d events were acknowledged, %d are there", t->where, acknowledged, (int)there);
    if (runs_on_disk(t) > 1 || (started && runs_on_disk(t) == 0)) fail_msg("%s: %d files of one run", t->where, runs_on_disk(t));
    if (acknowledged > 0) must(t, "verify", "--all");
}

static void a_producer(void **state) {
    struct trial *t = *state;
    struct task task = {"producer", {t->self, "produce", t->dir, "closes"}, 1, producer_check};
    strike_all(t, &task);
    strike_memory(t, &task);
}

/* A run whose producer died, and one that ended and was never written. */
static void make_pattern(struct trial *t) {
    static const char *const ends[] = {"dies", "stops"};
    for (int i = 0; i < 2; i++) {
        const char *const arguments[] = {t->self, "produce", t->dir, ends[i], NULL};
        assert_int_equal(WTERMSIG(run(t, arguments, 0, "0")), SIGKILL);
    }
    assert_int_equal(rmdir(t->pattern), 0);
    shell("mv '%s' '%s'", t->dir, t->pattern);
}

static void work_check(struct trial *t, int status, const char *how) {
    (void)status;
    (void)how;
    must(t, "materialize", NULL);
    if (runs_on_disk(t) != 2) fail_msg("%s: %d files of two runs", t->where, runs_on_disk(t));
    must(t, "verify", "--all");
}

static void the_materializer(void **state) {
    struct trial *t = *state;
    struct task task = {"materialize", {t->litmus, "materialize", "--data-dir", t->dir}, 1, work_check};
    make_pattern(t);
    strike_all(t, &task);
    strike_memory(t, &task);
}

static void the_daemon(void **state) {
    struct trial *t = *state;
    struct task task = {"daemon", {t->litmus, "daemon", "--foreground", "--data-dir", t->dir}, 4, work_check};
    make_pattern(t);
    strike_all(t, &task);
}

/* A session (of one run) is there, or it is not and there is a word for it; the next one removes what is left, and says so once. */
static void prune_check(struct trial *t, int status, const char *how) {
    (void)status;
    (void)how;
    must(t, "runs", NULL);
    int64_t said = said_on_record(t, "\"event_type\":\"retention.pruned\"");
    int runs = runs_on_disk(t);
    if (runs != 2 - (int)said) fail_msg("%s: %d of two run files, %d words of what went", t->where, runs, (int)said);
    must(t, "prune", "-y");
    said = said_on_record(t, "\"event_type\":\"retention.pruned\"");
    if (runs_on_disk(t) != 0 || said != 2) fail_msg("%s: pruned again: %d run files, %d words", t->where, runs_on_disk(t), (int)said);
    must(t, "verify", "--all");
}

static void the_pruner(void **state) {
    struct trial *t = *state;
    struct task task = {"prune", {t->litmus, "prune", "--data-dir", t->dir, "--keep", "0s", "-y"}, 3, prune_check};
    make_pattern(t);
    assert_int_equal(rename(t->pattern, t->dir), 0);
    must(t, "materialize", NULL);
    assert_int_equal(rename(t->dir, t->pattern), 0);
    strike_all(t, &task);
}

/* Sealed logs of a data_dir are archived: each is as it was or small, and says the same. */
static void archive_check(struct trial *t, int status, const char *how) {
    (void)status;
    (void)how;
    int64_t events = events_on_record(t);
    if (events != t->events || runs_on_disk(t) != 2) fail_msg("%s: %d events of %d, %d run files of two", t->where, (int)events, (int)t->events, runs_on_disk(t));
    must(t, "archive", "--older-than=0s"); /* reads and proves what is there, and refuses what is damaged */
    must(t, "verify", "--all");
}

static void the_archiver(void **state) {
    struct trial *t = *state;
    struct task task = {"archive", {t->litmus, "archive", "--data-dir", t->dir, "--older-than", "0s"}, 3, archive_check};
    make_pattern(t);
    assert_int_equal(rename(t->pattern, t->dir), 0);
    must(t, "materialize", NULL);
    t->events = events_on_record(t);
    assert_int_equal(rename(t->dir, t->pattern), 0);
    strike_all(t, &task);
}

/* A session (of one run) has come, with its run file and a word for it, or it has not; the next one brings the rest, once. */
static void import_check(struct trial *t, int status, const char *how) {
    (void)status;
    (void)how;
    must(t, "runs", NULL);
    int64_t said = said_on_record(t, "\"event_type\":\"retention.imported\""), events = events_on_record(t);
    int runs = runs_on_disk(t);
    if (runs != (int)said || (said != 0 && said != 2) || (said == 0) != (events == 0))
        fail_msg("%s: %d run files, %d words of what came, %d events", t->where, runs, (int)said, (int)events);
    must(t, "import", t->other);
    said = said_on_record(t, "\"event_type\":\"retention.imported\"");
    if (runs_on_disk(t) != 2 || said != 2 || events_on_record(t) != t->events + said) /* each word names a run, too */
        fail_msg("%s: imported again: %d run files, %d words, %d events of %d", t->where, runs_on_disk(t), (int)said, (int)events_on_record(t), (int)(t->events + said));
    must(t, "verify", "--all");
}

static void the_importer(void **state) {
    struct trial *t = *state;
    struct task task = {"import", {t->litmus, "import", "--data-dir", t->dir, t->other}, 3, import_check};
    make_pattern(t);
    assert_int_equal(rename(t->pattern, t->dir), 0);
    must(t, "materialize", NULL);
    t->events = events_on_record(t);
    assert_int_equal(rename(t->dir, t->other), 0);
    assert_int_equal(mkdir(t->pattern, 0777), 0);
    strike_all(t, &task);
}

/* ---- what cannot be read now ---- */
/* The program runs while `name` cannot be opened: errors take turns. */
static int refuse(struct trial *t, const char *const *arguments, const char *name) {
    static const int refusals[] = {EACCES, EMFILE, ENOMEM, EIO};
    static unsigned turn;
    char how[16], call[64];
    snprintf(how, sizeof how, "%d", refusals[turn++ % 4]);
    if (access(t->dir, F_OK) == 0) shell("rm -rf '%s'", t->dir, NULL);
    shell("cp -r '%s' '%s'", t->pattern, t->dir);
    snprintf(t->only, sizeof t->only, "%s", name);
    int status = run(t, arguments, 1, how);
    t->only[0] = '\0';
    snprintf(t->where, sizeof t->where, "litmus %s, error %s at each open of %s", arguments[1], how, name);
    if (!struck(t, call) || !WIFEXITED(status)) fail_msg("%s: status %d: %s", t->where, status, t->out);
    return WEXITSTATUS(status);
}

/* Everything is done already: whoever cannot read a log says so, and changes nothing that is on record. */
static void refuse_of_done(void *self, const char *name) {
    struct trial *t = self;
    static const struct {
        const char *words[3];
        int exit;
    } commands[] = {{{"materialize", "--all"}, 5}, {{"rebuild"}, 5}, {{"verify", "--all"}, 5}, {{"doctor"}, 1}, {{"doctor", "--mend"}, 1}, {{"daemon", "--foreground"}, 0}};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const char *const arguments[] = {t->litmus, commands[i].words[0], "--data-dir", t->dir, commands[i].words[1], NULL};
        int code = refuse(t, arguments, name);
        if (code != commands[i].exit || strstr(t->out, name) == NULL || strstr(t->out, "damaged") != NULL) fail_msg("%s: exit code %d: %s", t->where, code, t->out);
        shell("cd '%s' && for f in events runs; do diff -r $f '%s'/$f >&2 || exit 1; done", t->dir, t->pattern);
    }
}

static void find_told(void *self, const char *name) {
    struct trial *t = self;
    const char *first = strstr(t->out, name);
    if (first == NULL || strstr(first + 1, name) != NULL) fail_msg("%s: %s is not named once: %s", t->where, name, t->out);
}

/* Many at once: each is named, once, and the rest is looked at. */
static void refuse_all(struct trial *t, const char *suffix) {
    const char *const arguments[] = {t->litmus, "verify", "--data-dir", t->dir, "--all", NULL};
    int code = refuse(t, arguments, suffix);
    if (code != 5 || strstr(t->out, " run files: 0 findings") == NULL) fail_msg("%s: exit code %d: %s", t->where, code, t->out);
    each_file(t->pattern, suffix, find_told, t);
}

/* A day of any kind: it is named, once, and what the others hold is no finding for want of it. */
static void refuse_a_day(void *self, const char *name) {
    struct trial *t = self;
    static const char *const days[] = {"events/2001-01-01", "runs/2001-01-01", "channels/2001-01-01"};
    const char *const arguments[] = {t->litmus, "verify", "--data-dir", t->dir, "--all", NULL};
    shell("cd '%s' && mkdir -p channels/2001-01-01 runs/2001-01-01 events/2001-01-01 && mv events/*/'%s' events/2001-01-01/", t->pattern, name);
    for (size_t i = 0; i < 3; i++) {
        int code = refuse(t, arguments, days[i]);
        if (code != 5 || strstr(t->out, ": 0 findings") == NULL || strstr(t->out, " in 0 logs") != NULL) fail_msg("%s, of %s: exit code %d: %s", t->where, name, code, t->out);
        find_told(t, days[i]);
    }
    shell("cd '%s'/events && mv 2001-01-01/'%s' $(ls -r | head -n 1)/ && rmdir 2001-01-01", t->pattern, name);
}

/* A session is to be finished: it is left as it is, and finished the next time, once. */
static void refuse_of_open(void *self, const char *name) {
    struct trial *t = self;
    static const char *const commands[][2] = {{"materialize", NULL}, {"daemon", "--foreground"}};
    for (size_t i = 0; i < 2; i++) {
        const char *const arguments[] = {t->litmus, commands[i][0], "--data-dir", t->dir, commands[i][1], NULL};
        (void)refuse(t, arguments, name);
        if (strstr(name, ".arrow") != NULL && strstr(t->out, name) == NULL) fail_msg("%s: not a word of it: %s", t->where, t->out);
        work_check(t, 0, "0");
        if (said_on_record(t, "run.materialized") != 2) fail_msg("%s: said twice: %s", t->where, t->out);
    }
}

static void what_cannot_be_read_now(void **state) {
    struct trial *t = *state;
    make_pattern(t);
    each_file(t->pattern, ".arrow", refuse_of_open, t);
    shell("rm -rf '%s'", t->dir, NULL);
    assert_int_equal(rename(t->pattern, t->dir), 0);
    must(t, "materialize", NULL);
    assert_int_equal(rename(t->dir, t->pattern), 0);
    each_file(t->pattern, ".arrow", refuse_of_done, t);
    refuse_all(t, ".arrow");
    refuse_all(t, ".parquet");
    each_file(t->pattern, ".arrow", refuse_a_day, t);
    /* the word for the files was lost with the power, say: they are there, and get no second one */
    shell("rm '%s'/heads \"$(grep -l run.materialized '%s'/events/*/*.arrow | head -n 1)\"", t->pattern, t->pattern);
    each_file(t->pattern, ".parquet", refuse_of_open, t);
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "produce") == 0) return produce(argv[2], argv[3]);
    if (argc >= 2) cmocka_set_test_filter(argv[1]); /* one of them, or its share N of M; meson.build names each */
    if (argc == 4) share = argv[2][0] - '1', shares = argv[3][0] - '0'; /* a digit each */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_producer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_materializer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_daemon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_pruner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_archiver, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_importer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_now, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("system_calls", tests, NULL, NULL);
}
