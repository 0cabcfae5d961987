/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions in SQL: a session of the user's DuckDB over what lt_sql_setup says. This process stays until
 * the session ends, to take its scratch folder away.
 */
#include "base/clock.h"
#include "base/io.h"
#include "base/portable.h"
#include "base/process.h"
#include "cmd/interrupt.h"
#include "cmd/programs.h"
#include "cmd/relay.h"
#include "query/sql_setup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 16, SQL_BYTES_MAX = 64 << 20 };

struct session {
    struct lt_cli *cli;
    char scratch[PATH_MAX], spill[PATH_MAX + 16], setup[PATH_MAX + 16], read[PATH_MAX + 32];
    char program[PATH_MAX];
    bool python; /* program is a Python interpreter with the duckdb module */
    struct lt_buf text, start;
};

/* ---- which DuckDB ---- */

/* The package of the program installs a script that starts it through Python; the program itself is three times as quick. */
static bool in_environment(const char *bin, char *out, size_t size) {
    char pattern[PATH_MAX + 64];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/../lib/python3*/site-packages/duckdb_cli/duckdb", bin);
    bool there = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0 && lt_is_program(found.gl_pathv[0]);
    if (there) snprintf(out, size, "%s", found.gl_pathv[0]);
    globfree(&found);
    if (there) return true;
    snprintf(out, size, "%s/duckdb", bin);
    return lt_is_program(out);
}

static int find_program(struct session *s) {
    char bin[PATH_MAX - 16];
    const char *given = getenv("LITMUS_DUCKDB");
    if (given != NULL && given[0] != '\0') {
        snprintf(s->program, sizeof s->program, "%s", given);
        if (lt_is_program(given)) return EXIT_OK;
        return lt_usage(s->cli, "LITMUS_DUCKDB names %s, which is no program", given);
    }
    bool own = lt_own_folder(bin, sizeof bin);
    if (own && in_environment(bin, s->program, sizeof s->program)) return EXIT_OK;
    if (lt_on_path("duckdb", s->program, sizeof s->program)) return EXIT_OK;
    s->python = true;
    if (lt_find_python("duckdb", s->program, sizeof s->program)) return EXIT_OK;
    lt_complain(s->cli, "no DuckDB is installed: pip install duckdb-cli (or duckdb), or set LITMUS_DUCKDB to the duckdb program");
    return EXIT_NOT_FOUND;
}

/* ---- the text ---- */

static int read_text(struct session *s) {
    struct litmus_error error = {0};
    const struct lt_cli *cli = s->cli;
    if (cli->sql != NULL && cli->sql_file != NULL) return lt_usage(cli, "-c and -f exclude each other");
    if (cli->csv + cli->json + (cli->parquet != NULL) > 1) return lt_usage(cli, "--csv, --json and --parquet exclude each other");
    if (cli->parquet != NULL && cli->sql == NULL && cli->sql_file == NULL) return lt_usage(cli, "--parquet needs -c or -f");
    if (cli->sql != NULL) lt_buf_add_text(&s->text, cli->sql);
    if (cli->sql_file != NULL && lt_io_read_file(cli->sql_file, SQL_BYTES_MAX, &s->text, &error) != LITMUS_OK) return lt_cli_fail(cli, &error);
    while (s->text.n > 0 && (isspace((unsigned char)s->text.p[s->text.n - 1]) || s->text.p[s->text.n - 1] == ';')) s->text.n--;
    if ((cli->sql != NULL || cli->sql_file != NULL) && s->text.n == 0) return lt_usage(cli, "there is no SQL in it");
    return EXIT_OK;
}

/* One query becomes a COPY of it, through a file beside it, so that no half of it is ever there; a pipe or device is written to as it is. */
static void wrap_parquet(struct session *s) {
    struct lt_buf copy;
    struct stat st;
    bool whole = stat(s->cli->parquet, &st) != 0 || S_ISREG(st.st_mode);
    lt_buf_init(&copy);
    lt_buf_add_text(&copy, "COPY (");
    lt_buf_add(&copy, s->text.p, s->text.n);
    lt_buf_add_text(&copy, "\n) TO ");
    lt_sql_quote(&copy, lt_str_of(s->cli->parquet));
    lt_buf_addf(&copy, " (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE %s)", whole ? "true" : "false");
    lt_buf_release(&s->text);
    s->text = copy;
}

/* A Parquet file in the data_dir would be taken for a run, or for rows of the lake, by who reads its folders with a glob. */
static int check_output(struct lt_cli *cli) {
    char folder[PATH_MAX], whole[PATH_MAX], data_dir[PATH_MAX];
    if (cli->parquet == NULL) return EXIT_OK;
    const char *slash = strrchr(cli->parquet, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - cli->parquet) + 1, slash == NULL ? "." : cli->parquet);
    if (realpath(folder, whole) == NULL || realpath(lt_buf_cstr(&cli->data_dir), data_dir) == NULL) return EXIT_OK; /* DuckDB says what is wrong */
    size_t n = strlen(data_dir);
    if (strncmp(whole, data_dir, n) != 0 || (whole[n] != '/' && whole[n] != '\0')) return EXIT_OK;
    return lt_usage(cli, "--parquet %s is in the data directory, which litmus alone writes: name a file elsewhere", cli->parquet);
}

static int write_setup(struct session *s) {
    struct lt_buf setup;
    struct litmus_error error = {0};
    bool shell = s->cli->sql == NULL && s->cli->sql_file == NULL;
    snprintf(s->spill, sizeof s->spill, "%s/spill", s->scratch);
    struct lt_sql_options options = {.scratch = s->scratch, .spill = s->spill, .since = s->cli->since, .views = shell ? NULL : lt_buf_cstr(&s->text),
                                     /* loading the events costs time, so only who names them pays */
                                     .events = shell || lt_sql_names((struct lt_str){s->text.p, s->text.n}, "events"), .memory_limit = s->cli->memory};
    lt_buf_init(&setup);
    int code = lt_sql_setup(s->cli->query, &options, &setup, &error);
    const struct litmus_error *who = lt_query_lake_held_up(s->cli->query);
    if (who != NULL) lt_say(s->cli, "not waited for: %s; each run is read from its own file, which takes longer", who->text);
    snprintf(s->setup, sizeof s->setup, "%s/setup.sql", s->scratch);
    if (code == LITMUS_OK) code = lt_io_write_hidden(&lt_io_os, s->setup, setup.p, setup.n, &error);
    lt_buf_release(&setup);
    snprintf(s->read, sizeof s->read, s->python ? "%s" : ".read '%s'", s->setup);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(s->cli, &error);
}

/* ---- the session ---- */

static void arguments_of(struct session *s, const char **out) {
    const struct lt_cli *cli = s->cli;
    size_t n = 0;
    out[n++] = s->program;
    if (s->python) {
        lt_python_start("litmus.sql", &s->start);
        out[n++] = "-c";
        out[n++] = lt_buf_cstr(&s->start);
    }
    if (!s->python) out[n++] = "-no-init"; /* what a user set for other databases */
    out[n++] = "-cmd";
    out[n++] = s->read;
    if (cli->csv) out[n++] = "-csv";
    if (cli->json) out[n++] = "-jsonlines";
    if (s->text.n > 0) {
        out[n++] = "-bail";
        out[n++] = "-c";
        out[n++] = lt_buf_cstr(&s->text);
    }
    out[n] = NULL;
}

/* Damage that left size and time of a file as they were; the catalog trusts these. */
#define A_FILE_IS_DAMAGED "a Parquet file is damaged: litmus reindex reads each run file anew, names those that are, and leaves them out from then on"

/* What DuckDB says, and what helps. */
static const struct hint {
    const char *said, *helps; /* helps NULL: what DuckDB says is clear, and tells which exit code */
    bool parquet;             /* only with --parquet */
    int exit;
} hints[] = {
    {"Out of Memory", "the query needs more memory than it may have: give it more with --memory 8GB, or narrow it, for example by run_started_at", false, EXIT_USAGE},
    {"can't be cast to the destination type", "an input or output that is a list in one run is a list in all, of one value where it is no list: list_contains(in_x, 'a')",
     false, EXIT_USAGE},
    {"Parser Error", "--parquet takes one query, and writes its rows: what several statements do, one can in WITH a AS (...) SELECT ...", true, EXIT_USAGE},
    {"Could not write file", NULL, false, EXIT_SYSTEM},
    {"Invalid Error: ", A_FILE_IS_DAMAGED, false, EXIT_DATA}, /* of the decoder of a footer, in words of many kinds */
    {"Failed to read file", A_FILE_IS_DAMAGED, false, EXIT_DATA},
};
enum { HINTS = sizeof hints / sizeof hints[0], SAID_MAX = 64, HEARD_MAX = 4096 };

struct heard {
    bool parquet;
    size_t kept; /* of what came last: a hint may begin in it */
    char seen[SAID_MAX + HEARD_MAX];
    const struct hint *hint; /* the first that fits; NULL: none */
};

static bool holds(const char *p, size_t n, const char *said) {
    size_t wanted = strlen(said), i = 0;
    while (i + wanted <= n && memcmp(p + i, said, wanted) != 0) i++;
    return i + wanted <= n;
}

static void hear(void *self, const char *bytes, size_t n) {
    struct heard *h = self;
    for (size_t some; n > 0; bytes += some, n -= some) {
        some = n < HEARD_MAX ? n : HEARD_MAX;
        memcpy(h->seen + h->kept, bytes, some);
        size_t all = h->kept + some;
        for (size_t i = 0; i < HINTS && h->hint == NULL; i++)
            if ((h->parquet || !hints[i].parquet) && holds(h->seen, all, hints[i].said)) h->hint = &hints[i];
        h->kept = all < SAID_MAX ? all : SAID_MAX;
        memmove(h->seen, h->seen + all - h->kept, h->kept);
    }
}

/* The exit code of a session that ended by itself. */
static int judge(struct session *s, const struct lt_relay *relay, const struct hint *hint, int status) {
    struct litmus_error error = {0};
    if (relay->failed == EPIPE) return EXIT_OK; /* who reads has seen enough: | head */
    if (relay->failed != 0) lt_fail_os(&error, relay->failed, "write to", "standard output");
    if (relay->failed != 0) return lt_cli_fail(s->cli, &error);
    if (hint != NULL && hint->helps != NULL) lt_complain(s->cli, "%s", hint->helps);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return EXIT_OK;
    if (WIFSIGNALED(status) || WEXITSTATUS(status) == 127) return EXIT_SYSTEM;
    return hint != NULL ? hint->exit : EXIT_USAGE;
}

static int run_session(struct session *s) {
    const char *arguments[ARGUMENTS_MAX];
    int status = 0;
    bool watched = s->text.n > 0;
    struct litmus_error error = {0};
    struct heard heard = {.parquet = s->cli->parquet != NULL};
    struct lt_relay relay = {.json = s->cli->json, .hear = hear, .self = &heard};
    arguments_of(s, arguments);
    fflush(stdout);
    /* DuckDB does not look whether what it prints is taken. */
    if (lt_relay_open(&relay, s->cli->json || isatty(STDOUT_FILENO) == 0, watched, &error) != LITMUS_OK) return lt_cli_fail(s->cli, &error);
    lt_interrupt_catch(); /* the scratch folder is taken away in any case */
    pid_t own = getpid(), pid = fork();
    if (pid == 0) {
        lt_end_with_parent(own); /* SIGKILL is told to nobody */
        lt_relay_take(&relay);
        sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        execv(s->program, (char *const *)(uintptr_t)arguments);
        dprintf(STDERR_FILENO, "cannot start %s: %s\n", s->program, strerror(errno));
        _exit(127);
    }
    if (pid < 0) {
        lt_fail_os(&error, errno, "start", s->program);
        return lt_cli_fail(s->cli, &error);
    }
    if (!watched) sigaction(SIGINT, &(struct sigaction){.sa_handler = SIG_IGN}, NULL); /* of a shell, it ends a query */
    lt_interrupt_pass_to(pid);
    lt_relay_run(&relay, pid);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    lt_interrupt_pass_to(0);
    return lt_interrupted() ? lt_interrupt_exit() : judge(s, &relay, heard.hint, status);
}

static void clear_folder(const char *folder) {
    struct lt_buf path;
    lt_buf_init(&path);
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) unlink(lt_path_join(&path, folder, e->d_name));
    if (dir != NULL) closedir(dir);
    lt_buf_release(&path);
    rmdir(folder);
}

/* ---- the scratch folder, which is locked as long as it is in use ---- */

static const char scratch_name[] = "litmus-query-"; /* litmus.connect() has folders of another name */
enum { SCRATCH_YOUNG_S = 60 }; /* it may be on its way to be locked */

static void clear_scratch(const char *scratch) {
    struct lt_buf spill;
    lt_buf_init(&spill);
    clear_folder(lt_path_join(&spill, scratch, "spill"));
    clear_folder(scratch);
    lt_buf_release(&spill);
}

/* What one that was killed has left; its spilled rows may be gigabytes. */
static void clear_left(const char *tmp) {
    struct lt_buf path;
    struct stat st;
    lt_buf_init(&path);
    DIR *dir = opendir(tmp);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        if (strncmp(e->d_name, scratch_name, sizeof scratch_name - 1) != 0) continue;
        int fd = open(lt_path_join(&path, tmp, e->d_name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) continue;
        bool old = fstat(fd, &st) == 0 && st.st_uid == geteuid() && time(NULL) - st.st_mtime > SCRATCH_YOUNG_S;
        if (old && flock(fd, LOCK_EX | LOCK_NB) == 0) clear_scratch(lt_buf_cstr(&path));
        close(fd);
    }
    if (dir != NULL) closedir(dir);
    lt_buf_release(&path);
}

/* *lock keeps it. */
static int make_scratch(struct session *s, int *lock) {
    struct litmus_error error = {0};
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL || tmp[0] == '\0') tmp = "/tmp";
    clear_left(tmp);
    snprintf(s->scratch, sizeof s->scratch, "%.3900s/%sXXXXXX", tmp, scratch_name);
    if (mkdtemp(s->scratch) == NULL) {
        lt_fail_os(&error, errno, "make the folder", s->scratch);
        return lt_cli_fail(s->cli, &error);
    }
    *lock = open(s->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock >= 0) (void)flock(*lock, LOCK_EX | LOCK_NB);
    return EXIT_OK;
}

int lt_cmd_sql(struct lt_cli *cli) {
    struct session s = {.cli = cli};
    int lock = -1;
    lt_buf_init(&s.text);
    lt_buf_init(&s.start);
    int exit = read_text(&s);
    if (exit == EXIT_OK) exit = find_program(&s);
    if (exit == EXIT_OK) exit = lt_cli_query(cli);
    if (exit == EXIT_OK) exit = check_output(cli);
    if (exit == EXIT_OK) exit = make_scratch(&s, &lock);
    if (exit == EXIT_OK) {
        lt_cli_finish_work(cli);
        exit = write_setup(&s);
        if (cli->parquet != NULL) wrap_parquet(&s);
        if (exit == EXIT_OK && access(lt_buf_cstr(&cli->data_dir), F_OK) != 0) lt_say(cli, "%s is not there: nothing is on record", lt_buf_cstr(&cli->data_dir));
        if (exit == EXIT_OK) lt_tell_damaged(cli);
        if (exit == EXIT_OK) exit = run_session(&s);
        clear_scratch(s.scratch);
    }
    if (lock >= 0) close(lock);
    lt_buf_release(&s.text);
    lt_buf_release(&s.start);
    return exit;
}
