/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd.h - the command line: one row a command, one row an option, one struct for what was said.
 * Parser, help, man pages and completion all read these tables (options.c, main.c).
 *
 * Always true: stdout has data, stderr has talk; a text from a file reaches a terminal only through
 * screen.h; the process ends with one of enum exit_code.
 */
#ifndef LT_CMD_CMD_H
#define LT_CMD_CMD_H

#include "base/buf.h"
#include "base/error.h"
#include "query/query.h"

#include <assert.h>

#define LT_EXITS(X)                                                                             \
    X(OK, 0, "success")                                                                         \
    X(FINDINGS, 1, "the question was answered, and the answer is no: gate or verify found something") \
    X(USAGE, 2, "the command line or litmus.yaml cannot be used")                               \
    X(NOT_FOUND, 3, "no such run, session or daemon, or an id that fits several")               \
    X(DATA, 4, "data is damaged, missing or of a newer version")                                \
    X(SYSTEM, 5, "the operating system refused: no permission, no space, an input/output error")    \
    X(INTERRUPTED, 130, "a command that follows, or SQL, was interrupted by Ctrl-C (143: by SIGTERM)")
enum exit_code {
#define LT_EXIT_ENUM(name, number, text) EXIT_##name = number,
    LT_EXITS(LT_EXIT_ENUM)
#undef LT_EXIT_ENUM
};

/* Every option once: X(id, letter or 0, "name", KIND, field of struct lt_cli, "VALUE", "help").
 * KIND: FLAG bool, COUNT int, TEXT const char *, NUMBER int64_t >= 0, TIME int64_t us, LIST texts. */
#define LT_OPTIONS(X)                                                                                              \
    X(DATA_DIR, 'd', "data-dir", TEXT, data_dir_given, "DIR", "data directory (else LITMUS_DATA_DIR, litmus.yaml, LITMUS_HOME, XDG)") \
    X(JSON, 'j', "json", FLAG, json, NULL, "JSON, one object a line")                                              \
    X(LIMIT, 'n', "limit", NUMBER, limit, "N", "at most N; 0 for all")                                             \
    X(PAGE, 0, "page", NUMBER, page, "K", "page K of --limit runs each, 1 for the newest")                         \
    X(SINCE, 0, "since", TIME, since, "WHEN", "from WHEN on: 7d, 4h, 30m, 2026-05-16, 2026-05-16T14:30Z")          \
    X(UNTIL, 0, "until", TIME, until, "WHEN", "before WHEN")                                                       \
    X(OLDER_THAN, 0, "older-than", TIME, older_than, "WHEN", "sessions with no event since WHEN: 30d, 26w, 2026-05-16 (default 30d)") \
    X(KEEP, 0, "keep", TEXT, keep, "WHEN", "keep sessions with an event since WHEN: 2y, 26w, 2026-05-16")          \
    X(YES, 'y', "yes", FLAG, yes, NULL, "do it without asking")                                                    \
    X(SERIAL, 0, "serial", TEXT, serial, "SERIAL", "only this DUT serial")                                         \
    X(PART, 0, "part", TEXT, part, "PART", "only this part number")                                                \
    X(LOT, 0, "lot", TEXT, lot, "LOT", "only this lot number")                                                     \
    X(GIT, 0, "git", TEXT, git, "COMMIT", "only this git commit, or those that start so")                          \
    X(STATION, 0, "station", TEXT, station, "STATION", "only this station id")                                     \
    X(OPERATOR, 0, "operator", TEXT, operator_id, "OPERATOR", "only this operator id")                             \
    X(PHASE, 0, "phase", TEXT, phase, "PHASE", "only this test phase")                                             \
    X(OUTCOME, 0, "outcome", TEXT, outcome, "OUTCOME", "only this outcome: passed, failed, errored, ...")          \
    X(PROJECT, 0, "project", TEXT, project, "PROJECT", "only this project")                                        \
    X(WORDS, 0, "text", TEXT, text, "WORDS", "only what has all of these words in serial, part, lot, station, operator, project or another name") \
    X(MEASUREMENTS, 'm', "measurements", FLAG, measurements, NULL, "list each measurement below its step")         \
    X(SESSION, 's', "session", TEXT, session, "SESSION", "only this session id")                                   \
    X(RUN, 'r', "run", TEXT, run, "RUN", "only this run")                                                          \
    X(TYPE, 't', "type", TEXT, type, "TYPE", "only this event type")                                               \
    X(ROLE, 0, "role", TEXT, role, "ROLE", "only this instrument role")                                            \
    X(FOLLOW, 'f', "follow", FLAG, follow, NULL, "go on with what comes: events until interrupted, the steps of a run until it ends")              \
    X(TYPES, 0, "types", FLAG, types, NULL, "print the table of event types and their fields")                     \
    X(ALLOW, 'a', "allow", LIST, allow, "REASON", "accept steps that were skipped, conceded, or never ran for this reason; may be repeated") \
    X(ALL, 0, "all", FLAG, all, NULL, "everything on record")                                                      \
    X(DRY_RUN, 0, "dry-run", FLAG, dry_run, NULL, "say what would be done, and do nothing")                        \
    X(FOREGROUND, 0, "foreground", FLAG, foreground, NULL, "stay in the foreground (for systemd, for debugging)")  \
    X(IDLE, 0, "idle", NUMBER, idle, "SECONDS", "leave after so long without work (default 60)")                   \
    X(COMMAND, 'c', "command", TEXT, sql, "SQL", "run this and leave")                                             \
    X(FILE, 'f', "file", TEXT, sql_file, "FILE", "run what this file says and leave")                              \
    X(CSV, 0, "csv", FLAG, csv, NULL, "CSV, with a line of names first")                                           \
    X(PARQUET, 0, "parquet", TEXT, parquet, "FILE", "write the answer to this Parquet file")                       \
    X(MEMORY, 0, "memory", TEXT, memory, "SIZE", "at most so much memory: 512MB, 2GB (also LITMUS_SQL_MEMORY; default: 80% of the machine)") \
    X(FORMAT, 'f', "format", TEXT, format, "FORMAT", "csv, json, ndjson, junit, ctrf, tap, html, ... (else from the name of the output; --list names all)") \
    X(OUTPUT, 'o', "output", TEXT, output, "FILE", "write to this file; - for standard output")                    \
    X(FORCE, 0, "force", FLAG, force, NULL, "replace what is there")                                               \
    X(STEP, 0, "step", TEXT, step, "STEP", "only this step: its name or path; * and ? stand for anything")             \
    X(GROUP, 0, "by", TEXT, by, "WHAT", "group by part, lot, station, phase, operator, git, project, day, week or month; several with commas") \
    X(MEASUREMENT, 0, "measurement", TEXT, measurement, "NAME", "only this measurement; * and ? stand for anything")   \
    X(KIND, 0, "kind", TEXT, kind, "KIND", "which chart: imr, xbar-r, xbar-s or p")                                \
    X(PLOT, 0, "plot", TEXT, plot, "FILE", "draw it into this file: .svg, .png or .pdf")                           \
    X(ZONE, 0, "tz", TEXT, zone, "ZONE", "time zone of days and weeks, such as Europe/Berlin (default: local time)") \
    X(CHOICES, 0, "list", FLAG, list, NULL, "say what there is to choose from")                                       \
    X(JUNIT, 0, "junit", FLAG, junit, NULL, "JUnit XML (else by looking into the file)")                           \
    X(REPORTLOG, 0, "reportlog", FLAG, reportlog, NULL, "a log of pytest-reportlog")                               \
    X(OPENHTF, 0, "openhtf", FLAG, openhtf, NULL, "a test record of OpenHTF in JSON")                              \
    X(BY, 0, "by", TEXT, by, "NAME", "who says so")                                                                \
    X(WHY, 0, "why", TEXT, why, "TEXT", "why it is accepted")                                                      \
    X(KEY, 'k', "key", TEXT, key, "FILE", "the station's private key (else LITMUS_SIGNING_KEY, signing_key in litmus.yaml, ~/.config/litmus/station.key)") \
    X(KNOWN_KEY, 'k', "key", LIST, known_keys, "FILE", "accept signatures of this public key, not of those beside the station's own; may be repeated") \
    X(SIGNED, 0, "signed", FLAG, want_signed, NULL, "a log that nobody signed is a finding, too")                  \
    X(PUBLIC, 0, "public", FLAG, public_key, NULL, "print the public key that is there, and make none")            \
    X(ROTATE, 0, "rotate", FLAG, rotate, NULL, "put the key that is there aside and make a new one")               \
    X(SERIALS, 0, "serials", TEXT, serials, "A,B,...", "the units, one for each slot")                              \
    X(SLOTS, 0, "slots", TEXT, slots, "X,Y,...", "names of the slots (else 1, 2, ...)")                             \
    X(LOGS, 0, "logs", TEXT, logs, "DIR", "write what each slot prints to DIR/SLOT.log, too")                       \
    X(MEND, 0, "mend", FLAG, mend, NULL, "mend what can be mended, and look again")                                \
    X(MAN, 0, "man", FLAG, man, NULL, "as a man page")                                                             \
    X(UTC, 0, "utc", FLAG, utc, NULL, "times in UTC, not local time")                                              \
    X(NO_COLOR, 0, "no-color", FLAG, no_color, NULL, "no colours (also: NO_COLOR, or not a terminal)")             \
    X(QUIET, 'q', "quiet", FLAG, quiet, NULL, "no talk on stderr but errors")                                      \
    X(VERBOSE, 'v', "verbose", COUNT, verbose, NULL, "more talk on stderr")                                        \
    X(HELP, 'h', "help", FLAG, help, NULL, "show help")

enum lt_option_id {
#define LT_OPTION_ENUM(id, ...) LT_OPTION_##id,
    LT_OPTIONS(LT_OPTION_ENUM)
#undef LT_OPTION_ENUM
    LT_OPTION_IDS,
};
/* Every command takes the data directory and, from this one on, the rest. */
enum { LT_OPTION_COMMON = LT_OPTION_NO_COLOR };
static_assert(LT_OPTION_COMMON <= 64, "those before it are the bits of a command's options");
#define OPT(id) (UINT64_C(1) << LT_OPTION_##id)

enum lt_option_kind { LT_OPTION_FLAG, LT_OPTION_COUNT, LT_OPTION_TEXT, LT_OPTION_NUMBER, LT_OPTION_TIME, LT_OPTION_LIST };
struct lt_option {
    char letter;
    const char *name;
    enum lt_option_kind kind;
    size_t offset; /* in struct lt_cli */
    const char *value, *help;
};
extern const struct lt_option lt_options[LT_OPTION_IDS];

enum { LT_LIST_MAX = 16, LT_ARGUMENTS_MAX = 48 };
struct lt_texts {
    const char *items[LT_LIST_MAX];
    size_t count;
};

struct lt_command;
/* What was said on the command line, and what follows from it. */
struct lt_cli {
    const struct lt_command *command;
    const char *arguments[LT_ARGUMENTS_MAX];
    size_t argument_count;
    const char *data_dir_given, *serial, *part, *lot, *git, *station, *operator_id, *phase, *outcome, *project;
    const char *text, *session, *run, *type, *role, *sql, *sql_file, *parquet, *memory, *format, *output, *by, *why, *keep, *key;
    const char *serials, *slots, *logs; /* of slots */
    const char *step, *zone, *kind, *plot, *measurement;
    bool force, yes, list, junit, reportlog, openhtf, want_signed, public_key, rotate, mend;
    bool json, csv, measurements, follow, types, all, dry_run, foreground, man, utc, no_color, quiet, help;
    int verbose;
    int64_t limit, page, since, until, older_than, idle; /* limit, page and idle -1, times LT_TIME_NONE: not given */
    struct lt_texts allow, known_keys;
    bool color, err_color, err_terminal, out_terminal, utf8; /* of the screen */
    bool waited_enough;                        /* for a session that another one does not come to an end with */
    struct lt_buf data_dir;                    /* found by lt_cli_query or lt_cli_data_dir */
    struct lt_query *query;
};

struct lt_command {
    const char *name;
    int (*run)(struct lt_cli *cli); /* gives an exit code */
    const char *arguments;          /* "RUN", "[SESSION]", "" */
    int arguments_min, arguments_max;
    uint64_t options;     /* besides the common ones */
    const char *words;    /* completion of the arguments: "run", "session", or the words themselves */
    const char *summary;  /* one line */
    const char *text;     /* paragraphs for -h and the man page */
    const char *examples; /* lines of "command  # what it does" */
};
static inline bool lt_command_has(const struct lt_command *command, size_t option) {
    return option == LT_OPTION_DATA_DIR || option >= LT_OPTION_COMMON || (command->options >> option & 1) != 0;
}
extern const struct lt_command lt_commands[];
extern const size_t lt_command_count;
const struct lt_command *lt_command_find(const char *name); /* NULL: none */

/* options.c: parses what follows the command's name. EXIT_OK, or EXIT_USAGE after saying why. */
int lt_cli_parse(struct lt_cli *cli, const struct lt_command *command, int argc, char **argv);

/* ---- cli.c ---- */
/* "litmus: text" on stderr. */
void lt_say(const struct lt_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3))); /* unless quiet */
void lt_complain(const struct lt_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Shows the error and gives the exit code of its litmus code. */
int lt_cli_fail(const struct lt_cli *cli, const struct litmus_error *error);
int lt_usage(const struct lt_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Find the data directory; open the query on it. EXIT_OK, or an exit code after saying why. */
int lt_cli_data_dir(struct lt_cli *cli);
int lt_cli_query(struct lt_cli *cli);
/* The same for who is about to change something: waits for whoever works off a change, and says so, where others go on after a while. */
int lt_cli_query_to_change(struct lt_cli *cli);
/* Finishes what dead producers left, so that what is shown is whole; never an error. */
void lt_cli_finish_work(struct lt_cli *cli);
/* Names the files that no listing shows because they cannot be read. */
void lt_tell_damaged(struct lt_cli *cli);
/* That of it which concerns every answer: the catalog was locked, or a folder could not be listed. */
void lt_tell_behind(struct lt_cli *cli);
int lt_cli_find(struct lt_cli *cli, const char *ref, struct lt_run_ref *out);
/* Writes a row as a JSON object on a line, safe for terminals. false: the reader is gone. */
bool lt_print_json_row(const struct lt_table *table, int64_t row);
void lt_add_json_row(const struct lt_table *table, int64_t row, struct lt_buf *out);
void lt_add_json_str(struct lt_str text, struct lt_buf *out);
/* Writes text that holds JSON and frees nothing; a newline follows. */
bool lt_print_json(struct lt_buf *json);
/* Prints what was put together, and ends the process when memory did not suffice for it: a listing says all, or that it does not. */
void lt_print(const struct lt_buf *text);
bool lt_reader_is_gone(void); /* of stdout */

/* ---- commands ---- */
int lt_cmd_runs(struct lt_cli *cli);
int lt_cmd_show(struct lt_cli *cli);
int lt_cmd_events(struct lt_cli *cli);
int lt_cmd_sql(struct lt_cli *cli);
int lt_cmd_analysis(struct lt_cli *cli);
int lt_cmd_export(struct lt_cli *cli);
int lt_cmd_import(struct lt_cli *cli);
int lt_cmd_import_files(struct lt_cli *cli); /* of other tools */
int lt_cmd_channel(struct lt_cli *cli);
int lt_cmd_recall(struct lt_cli *cli);
int lt_cmd_slots(struct lt_cli *cli);
int lt_cmd_compact(struct lt_cli *cli);
int lt_cmd_gate(struct lt_cli *cli);
int lt_cmd_concede(struct lt_cli *cli);
int lt_cmd_note(struct lt_cli *cli);
int lt_cmd_prune(struct lt_cli *cli);
int lt_cmd_materialize(struct lt_cli *cli);
int lt_cmd_rebuild(struct lt_cli *cli);
int lt_cmd_reindex(struct lt_cli *cli);
int lt_cmd_keygen(struct lt_cli *cli);
int lt_cmd_archive(struct lt_cli *cli);
int lt_cmd_verify(struct lt_cli *cli);
int lt_cmd_doctor(struct lt_cli *cli);
int lt_cmd_evidence(struct lt_cli *cli);
int lt_cmd_daemon(struct lt_cli *cli);
int lt_cmd_completion(struct lt_cli *cli);
int lt_cmd_help(struct lt_cli *cli);
int lt_cmd_version(struct lt_cli *cli);

void lt_help_command(const struct lt_command *command, bool color);
void lt_help_all(bool color);

#endif
