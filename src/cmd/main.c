/* SPDX-License-Identifier: Apache-2.0
 *
 * litmus: one row a command.
 */
#include "cmd/cmd.h"
#include "model/suggest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RUN_FILTERS (OPT(SINCE) | OPT(UNTIL) | OPT(SERIAL) | OPT(PART) | OPT(LOT) | OPT(GIT) | OPT(STATION) | OPT(OPERATOR) | OPT(PHASE) | OPT(OUTCOME) | OPT(PROJECT))

/* What narrows every figure, and what becomes of it. */
#define FIGURES ((RUN_FILTERS & ~OPT(OUTCOME)) | OPT(JSON) | OPT(CSV) | OPT(UTC) | OPT(ZONE))
#define PLOTTED (FIGURES | OPT(PLOT) | OPT(FORCE))
#define FIGURES_TEXT                                                                                                                                        \
    "\n\nRuns in flight, with mocked instruments, without a verdict, and of golden units (golden_units in litmus.yaml) are in no figure. Every figure\n"  \
    "says its rule and what it leaves out; docs/analysis.md has them all. Needs the Python of litmus with duckdb: pip install 'litmus-recorder[sql]'."
#define ANALYSIS_TEXT " This\none and --plot need more: 'litmus-recorder[analysis]'."

const struct lt_command lt_commands[] = {
    {"runs", lt_cmd_runs, "", 0, 0, RUN_FILTERS | OPT(WORDS) | OPT(JSON) | OPT(LIMIT) | OPT(PAGE) | OPT(UTC), NULL, "list runs, newest first",
     "Lists runs, newest first, those in flight included. RAN is how many of the planned steps ran; NEVER RAN how many did not.\n"
     "A run whose producer died is finished on the way, if that can be done. Shows 50 unless --limit says otherwise.\n"
     "--text finds a run by words: each, in any case, anywhere in its serial, part, lot, product, slot, station, fixture, phase, operator or\n"
     "project, or at the start of its id or git commit. When more follow, stderr names the next page, and with --json the last object has\n"
     "it as next_page. --until keeps the pages as they are while new runs come.",
     "litmus runs --text \"psu bench-2\"\nlitmus runs --limit 20 --page 3\n"
     "litmus runs --since 7d --outcome failed\nlitmus runs --serial SN1042 --limit 0\nlitmus runs --json | jq -r .file_path"},
    {"show", lt_cmd_show, "[RUN]", 0, 1, OPT(MEASUREMENTS) | OPT(FOLLOW) | OPT(JSON) | OPT(UTC), "run", "one run: its plan, what came of it, what never ran and why",
     "Shows a run (the last one if none is named): who and what was tested, the plan as a tree by file and class with the outcome of\n"
     "each step, and the sum. A step that never ran says why. In a run in flight it says \"not yet\".\n"
     "--follow tells of each step of a run in flight as it starts and ends, until the run does, and how long it will still take: by the mean of\n"
     "the latest five runs of the same plan. With --json each is an object: plan, step_started, step_ended, step_not_run, run_ended.",
     "litmus show\nlitmus show 3f2a -m\nlitmus show --follow\nlitmus show @2 --json | jq '.steps[] | select(.step_outcome == null)'"},
    {"events", lt_cmd_events, "", 0, 0, OPT(SESSION) | OPT(RUN) | OPT(TYPE) | OPT(ROLE) | OPT(SINCE) | OPT(LIMIT) | OPT(FOLLOW) | OPT(JSON) | OPT(TYPES) | OPT(UTC), NULL,
     "events, as they were recorded",
     "Lists events in the order in which they were received: the latest 100, or all of a run, a session or since a time, unless --limit\n"
     "says otherwise. --types prints the table of event types instead. A log that cannot be read, and damage that was passed over, are\n"
     "named on standard error; the exit code stays 0 (litmus verify judges).",
     "litmus events --run last\nlitmus events --type test.measurement --since 1h --json\nlitmus events --follow\nlitmus events --types --type test.step_ended"},
    {"channel", lt_cmd_channel, "[ls|view|export] [CHANNEL]", 0, 2, OPT(SESSION) | OPT(SINCE) | OPT(UNTIL) | OPT(LIMIT) | OPT(JSON), "ls view export",
     "sampled signals: list them, see one from afar, write its samples",
     "ls lists the channels on record (--session: of one session); view writes at most 1,000 samples, or --limit, that show the lowest and\n"
     "highest of each span of time; export writes all. Lines of time_ns,value, or JSON with --json. A channel is named by its URI, or by its\n"
     "id, which means its latest session. The file of a writer that is gone is finished on the way.",
     "litmus channel ls\nlitmus channel view scope.ch1 --limit 200\nlitmus channel export scope.ch1 --since 1h > ch1.csv"},
    {"recall", lt_cmd_recall, "INSTRUMENT", 1, 1, OPT(SINCE) | OPT(JSON), NULL, "every unit and value that an instrument touched",
     "Lists the measurements of each run in which the instrument was connected: by asset id, serial number, address or role. Those that name\n"
     "another instrument are left out; those that name none are listed and marked (certain is false in the JSON).",
     "litmus recall DMM-0042 --since 2026-05-01\nlitmus recall DMM-0042 --since 30d --json | jq -r .dut_serial | sort -u"},
    {"sql", lt_cmd_sql, "", 0, 0, OPT(COMMAND) | OPT(FILE) | OPT(CSV) | OPT(JSON) | OPT(PARQUET) | OPT(MEMORY) | OPT(SINCE), NULL, "ask in SQL, with your DuckDB",
     "Opens DuckDB in memory with views over every finished run and every run in flight: runs, steps, attempts, measurements, events, live;\n"
     "and for analysis unit_runs, yield, step_yield, rolled_yield, step_coverage, step_pareto, flaky_steps, capability, plan_drift. Nothing on\n"
     "record can be changed through them; times are UTC.\n"
     "The duckdb program is taken from LITMUS_DUCKDB, from beside litmus, or from PATH; without one, the duckdb module of the Python beside litmus\n"
     "does it. events are loaded when the text names them, or in a shell; --since keeps older ones out.",
     "litmus sql\nlitmus sql -c \"SELECT step_name, count(*) FROM steps WHERE never_ran GROUP BY ALL\"\n"
     "litmus sql --csv -c \"FROM yield\"\nlitmus sql -f report.sql --parquet report.parquet"},
    {"yield", lt_cmd_analysis, "", 0, 0, FIGURES | OPT(GROUP) | OPT(STEP) | OPT(LIMIT), NULL, "first-pass, last-pass, final and rolled yield, DPMO",
     "Of the units whose first run is among those chosen: how many passed in it, in their last run, in any; with numerator, denominator and the\n"
     "95 % interval of Wilson. Then the rolled throughput yield over the steps, defects per million opportunities, and the steps with the lowest\n"
     "yield. What is a first run is found over the whole record, so that a window of time cannot make a retest one." FIGURES_TEXT,
     "litmus yield --since 30d\nlitmus yield --part PN7 --by week\nlitmus yield --by station,lot --json"},
    {"pareto", lt_cmd_analysis, "", 0, 0, PLOTTED | OPT(GROUP) | OPT(STEP) | OPT(LIMIT), NULL, "which steps or measurements fail most, with cumulative share",
     "Failures by step, the most frequent first, each with its share and the sum of the shares so far; what --limit (10) leaves off is one line,\n"
     "other. --by measurement counts measurements that failed; part, lot, station and the rest count runs." FIGURES_TEXT,
     "litmus pareto --since 7d\nlitmus pareto --by measurement --part PN7 --plot pareto.svg\nlitmus pareto --by station --limit 0 --csv"},
    {"coverage", lt_cmd_analysis, "", 0, 0, FIGURES | OPT(STEP) | OPT(ALL) | OPT(LIMIT), NULL, "which planned steps never ran: how often, since when, why",
     "Each planned step that did not run every time: how often it ran, since when it has not run at all, and for which reasons. --all lists the\n"
     "others, too." FIGURES_TEXT,
     "litmus coverage --since 7d\nlitmus coverage --part PN7 --all --csv > coverage.csv"},
    {"drift", lt_cmd_analysis, "[RUN RUN]", 0, 2, FIGURES | OPT(LIMIT), "run", "what joined, left or was renamed in the plan",
     "Compares the plan of each run with that of the run before it (same project, part and phase), or those of two runs; git=COMMIT stands for\n"
     "the last run of a commit. A step that left and one that joined are a renaming when they have the same node id, vector by vector, or the\n"
     "same function in another file, or names that are nearly the same in the same file." FIGURES_TEXT,
     "litmus drift --since 30d\nlitmus drift @2 last\nlitmus drift git=3f2a git=9c01"},
    {"capability", lt_cmd_analysis, "[MEASUREMENT]", 0, 1, PLOTTED | OPT(STEP) | OPT(GROUP) | OPT(LIMIT), NULL, "Cp, Cpk, Pp and Ppk with n and 95 % interval",
     "Of each measurement with limits: Cp and Cpk from the variation within (the average moving range, or subgroups with --by), Pp and Ppk from\n"
     "that of all values, each with its interval. One-sided limits have Cpk and Ppk only. Below 10 values there are none. Other limits or units\n"
     "make a line of their own. A single one is drawn as a histogram. MEASUREMENT is a name; * and ? stand for anything." FIGURES_TEXT ANALYSIS_TEXT,
     "litmus capability --part PN7\nlitmus capability rail_1v8 --by lot --plot rail.svg"},
    {"control", lt_cmd_analysis, "[MEASUREMENT]", 0, 1, PLOTTED | OPT(STEP) | OPT(GROUP) | OPT(KIND) | OPT(ALL), NULL, "control charts with run rules: I-MR, Xbar-R, Xbar-S, p",
     "Individuals and moving range of a measurement in the order of time; with --by the means and ranges (or deviations, --kind xbar-s) of\n"
     "subgroups; --kind p the share of units that fail their first run, by day unless --by says otherwise. Lists the points that break one of\n"
     "the run rules of Nelson and Western Electric, --all every point. Below 20 points there is no chart." FIGURES_TEXT ANALYSIS_TEXT,
     "litmus control rail_1v8 --since 7d\nlitmus control rail_1v8 --by lot --kind xbar-s --plot rail.svg\nlitmus control --kind p --by week"},
    {"retest", lt_cmd_analysis, "", 0, 0, FIGURES | OPT(STEP) | OPT(ALL) | OPT(LIMIT), NULL, "flaky steps, marginal limits, retests and bad units told apart",
     "Each step that failed in a unit, by what came of it: flaky (failed and passed in one run), passed on retest (in a later run), marginal (one\n"
     "of these, and every value that failed was within 5 % of the limits), bad unit (failed again and never passed since), not retested. --all\n"
     "lists unit by unit, too." FIGURES_TEXT,
     "litmus retest --since 30d\nlitmus retest --part PN7 --all --json"},
    {"durations", lt_cmd_analysis, "", 0, 0, FIGURES | OPT(STEP) | OPT(GROUP) | OPT(LIMIT), NULL, "how long runs and steps take: percentiles, slowest, trend",
     "Of finished runs, and of each step the last execution: median, 90th, 95th and 99th percentile, longest, share of the time of all, and the\n"
     "trend a week. Steps that take most time first, 20 unless --limit says otherwise. --by groups the runs." FIGURES_TEXT,
     "litmus durations --part PN7\nlitmus durations --by station"},
    {"grr", lt_cmd_analysis, "MEASUREMENT", 1, 1, FIGURES | OPT(STEP) | OPT(GROUP), NULL, "gauge R&R by analysis of variance",
     "Repeatability and reproducibility of a measurement that was taken several times of each unit by each operator (or --by station). Crossed\n"
     "studies only; trials beyond those of the smallest cell are left out and counted. Golden units are in this one figure." FIGURES_TEXT ANALYSIS_TEXT,
     "litmus grr rail_1v8 --phase grr\nlitmus grr rail_1v8 --lot MSA-3 --by station"},
    {"compare", lt_cmd_analysis, "SET SET", 2, 2, FIGURES | OPT(STEP) | OPT(MEASUREMENT) | OPT(LIMIT), NULL, "two sets of runs, with significance tests",
     "A set is NAME=VALUE, several joined by commas: part, lot, station, phase, operator, git, project, serial. Yield and steps are compared by\n"
     "Fisher's exact test, values by those of Welch and of Mann and Whitney; p values of many are corrected by Holm." FIGURES_TEXT ANALYSIS_TEXT,
     "litmus compare station=bench-1 station=bench-2\nlitmus compare git=3f2a git=9c01 --measurement rail_1v8"},
    {"export", lt_cmd_export, "[RUN]...", 0, LT_ARGUMENTS_MAX, RUN_FILTERS | OPT(LIMIT) | OPT(FORMAT) | OPT(OUTPUT) | OPT(FORCE) | OPT(CHOICES), "run",
     "runs in the formats of others: JUnit, CSV, JSON, CTRF, TAP, HTML, ...",
     "Writes the runs named, or those that the options choose, or the last one, in another format: with steps that never ran where the format\n"
     "can say so, and with every attempt. Text goes to standard output unless -o says otherwise; a file appears whole or not at all, and what is\n"
     "there already is replaced only with --force. --list shows the formats; docs/exports.md says what each keeps. Needs the Python of litmus\n"
     "(LITMUS_PYTHON names another); some formats need a library, and say which.",
     "litmus export last -f junit > junit.xml\nlitmus export 3f2a -o report.html\nlitmus export --since 7d --part PN7 -f csv -o week.csv\nlitmus export --list"},
    {"slots", lt_cmd_slots, "run|status [-- COMMAND...]", 1, LT_ARGUMENTS_MAX, OPT(SERIALS) | OPT(SLOTS) | OPT(LOGS) | OPT(SINCE) | OPT(FOLLOW) | OPT(JSON), "run",
     "test several units at once, each in a process of its own",
     "run: runs the command once for each serial, all at the same time, each with a run of its own that says its slot and serial. What they print comes\n"
     "out line by line with the slot in front. Tests meet at sync points (litmus.slots.sync). One that is killed harms no other; Ctrl-C stops them\n"
     "all in good order, and at once when it comes twice. Exits with the worst exit code of them (128 and the signal for one that was killed).\n"
     "status: the latest run of every slot (of the latest 1,000 runs), also of programs that have several slots in one process: how far it is,\n"
     "which step runs, what failed. --follow goes on until Ctrl-C, on a terminal in place, else with the lines again when one changed.",
     "litmus slots run --serials SN1,SN2,SN3 -- pytest tests\nlitmus slots run --serials SN1,SN2 --slots left,right --logs out -- pytest --litmus-profile line\n"
     "litmus slots status --follow\nlitmus slots status --since 8h --json"},
    {"import", lt_cmd_import, "FILE|DIR...", 1, LT_ARGUMENTS_MAX, OPT(JUNIT) | OPT(REPORTLOG) | OPT(OPENHTF) | OPT(DRY_RUN) | OPT(JSON), NULL,
     "put results of others on record: JUnit XML, pytest-reportlog, OpenHTF, or another data_dir",
     "Records what a file of another tool says as runs of its own: plan, outcomes, attempts, measurements and times, as far as the file has them.\n"
     "Which kind of file it is shows in the file, unless an option says so. The same file again makes no second run.\n"
     "Of another data_dir (of a bench that was offline) every session comes that is not here yet, with its logs, channels and attachments; run\n"
     "files are made from the logs, dead producers' runs are finished, and retention.imported says what came. Again, it brings what is new, or\n"
     "nothing. Sessions that are still written, or were pruned here, are left out with a word; one that says something else here is refused. The\n"
     "other data_dir is only read. Broken off at any moment, it can be done again.",
     "litmus import junit.xml\nlitmus import --reportlog log.jsonl\nlitmus import --dry-run /media/bench7/litmus/data\nlitmus import /media/bench7/litmus/data"},
    {"compact", lt_cmd_compact, "", 0, 0, OPT(JSON), NULL, "put the rows of many runs into few files, for quick SQL",
     "Writes the rows of every finished run that is not there yet to Parquet files below lake/, month by month, which litmus sql and\n"
     "litmus.connect() then read instead of the run files. The run files stay untouched. lake/ may be removed at any time; a run that came,\n"
     "changed or went since is noticed, so that each run counts once whether or not this was called.",
     "litmus compact\nrm -r lake; litmus compact"},
    {"gate", lt_cmd_gate, "RUN", 1, 1, OPT(ALLOW) | OPT(JSON), "run", "succeed only if every planned step has a passing verdict",
     "Exits with 0 if every planned step of the run passed (or is done, having nothing to judge), else lists those that did not and exits\n"
     "with 1. A step that was skipped, or never ran, is accepted only with --allow: skipped, or its reason (skip_marker, sweep_stopped, maxfail,\n"
     "interrupted, crash, instrument_error, collection_error, unknown); a step that a named person conceded (litmus concede), whatever it\n"
     "was, only with --allow conceded. A run that planned nothing, is still going on, or that was\n"
     "aborted, terminated or errored outside its steps does not pass.",
     "litmus gate last\nlitmus gate 3f2a --allow skipped --allow skip_marker"},
    {"concede", lt_cmd_concede, "RUN STEP", 2, 2, OPT(BY) | OPT(WHY) | OPT(JSON), "run", "accept a step that did not pass or never ran, by name and with a reason",
     "Records that a named person accepts a step of a finished run that failed, was skipped or never ran, and why. It is an event of its own\n"
     "behind the others: the step's outcome and the run's file stay as they are. litmus show tells of it; litmus gate counts it with --allow\n"
     "conceded, and not otherwise. STEP is a node id, a step path, how one of them ends, or path[2] for a vector of a path.",
     "litmus concede last test_rail --by \"R. Roe\" --why \"waiver W-17: load bank away\"\nlitmus gate last --allow conceded"},
    {"note", lt_cmd_note, "RUN [STEP] TEXT", 2, 3, OPT(BY) | OPT(JSON), "run", "add a remark to a run or to one of its steps",
     "Records a remark and who made it, as an event of its own: nothing else changes. litmus show tells of it. STEP as in litmus concede.",
     "litmus note last \"fan replaced before this run\" --by rr\nlitmus note 3f2a test_rail \"probe was loose\" --by rr"},
    {"materialize", lt_cmd_materialize, "[SESSION]", 0, 1, OPT(ALL) | OPT(JSON), NULL, "write the run files that are still missing",
     "Finishes what the daemon would finish: seals the logs of producers that are gone, ends their open runs as aborted, and writes the\n"
     "file of each ended run that has none. Without an argument it looks for what is unfinished; a session is named by its id, the\n"
     "first characters of it, or one of its runs.",
     "litmus materialize\nlitmus materialize --all -v"},
    {"rebuild", lt_cmd_rebuild, "", 0, 0, OPT(DRY_RUN) | OPT(JSON), NULL, "write every run file anew from the logs",
     "Writes the Parquet file of each run again from its log, under its old name and with the same bytes, and names those that changed.\n"
     "Files that no log accounts for are left alone.",
     "litmus rebuild --dry-run\nrm -r runs catalog.sqlite; litmus rebuild -d ."},
    {"reindex", lt_cmd_reindex, "", 0, 0, OPT(JSON), NULL, "make the catalog of runs anew from their files",
     "Removes the catalog and reads every run file again, which is never needed after files came, went or changed: the catalog notices.\n"
     "It helps after the clock or a copy changed files without a trace in size and time stamp. Names the files that cannot be read.",
     "litmus reindex"},
    {"verify", lt_cmd_verify, "[RUN|SESSION|FILE.zip]", 0, 1, OPT(ALL) | OPT(KNOWN_KEY) | OPT(SIGNED) | OPT(JSON), "run", "prove that what is on record is what was recorded",
     "Checks the hash chain and the signature of each log of the run's session, and that the run's file is byte for byte what its log folds\n"
     "to. Names what differs by file, byte and event, and then exits with 1. Without a run it checks the last one. --all checks everything,\n"
     "and that no log is gone, cut or replaced that a later session names. Keys that are known are the station's own and each .pub beside it, none in the data_dir,\n"
     "or those that --key names: a signature by another is a finding. What nobody signed is counted, and a finding with --signed.\n"
     "A file of litmus evidence is checked with nothing but itself and --key: its statement, the hash of each member, the logs, and the run's\n"
     "file against what they fold to. What the system does not let it read is named, the rest is looked at, and the exit code is 5. With --json the\n"
     "last line is the sum, and with -v each log has a line, too; both have finding null, as has what was not read (unread: why).",
     "litmus verify last\nlitmus verify --all --signed\nlitmus verify --all --key bench7.pub --json\nlitmus verify SN1042.zip --key bench7.pub"},
    {"doctor", lt_cmd_doctor, "[DIR]", 0, 1, OPT(MEND) | OPT(KNOWN_KEY) | OPT(CHOICES) | OPT(JSON), NULL, "say what is wrong with a data_dir, and mend what can be mended",
     "Looks at everything in the data_dir, or in DIR: format, configuration, owners and modes, free space, locks and leftovers, logs, run files and\n"
     "attachments (all that litmus verify --all proves), catalog, lake, daemon, key and clock. Each finding comes with its remedy. Looking changes\n"
     "nothing. --mend does what can be done, and looks again; nothing on record is ever removed by it, and what it replaces is kept beside it\n"
     "(.aside-1). Exits with 0 when nothing is wrong, or is any more, with 1 when something is, with 3 when there is no such folder, and with 4 when\n"
     "a newer litmus made it. Notes, which are nothing wrong, are shown with -v and always in --json, whose last line is the sum. --list\n"
     "shows the table of checks.",
     "litmus doctor\nlitmus doctor --mend\nlitmus doctor /media/bench7/litmus/data --json"},
    {"evidence", lt_cmd_evidence, "RUN", 1, 1, OPT(OUTPUT) | OPT(FORCE) | OPT(KEY) | OPT(JSON), "run",
     "one file that proves a run elsewhere: logs, run file, report, signed statement",
     "Packs a finished run into a zip file: the logs of its session, its Parquet file, a report of what litmus verify found, a page for people,\n"
     "and an in-toto statement of all of them that commits to the plan, the result and the steps that never ran. The station's key signs it\n"
     "(litmus keygen); without one it is unsigned, and says so. The same run gives the same bytes. The file appears whole or not at all, and\n"
     "what is there already is replaced only with --force. Whoever gets it checks it with litmus verify FILE.zip. Exits with 1, and still writes\n"
     "the file, when something was found in the run.",
     "litmus evidence last -o SN1042.zip\nlitmus evidence 3f2a -o - | ssh archive 'cat > 3f2a.zip'\nlitmus verify SN1042.zip --key bench7.pub"},
    {"keygen", lt_cmd_keygen, "", 0, 0, OPT(KEY) | OPT(PUBLIC) | OPT(ROTATE) | OPT(JSON), NULL, "make the key with which this station signs its logs",
     "Makes an Ed25519 key: the private half in a file that only you can read, the public half beside it in PEM (.pub), and prints its\n"
     "fingerprint, which is what others compare. From then on each log is signed when it is sealed. A key that is there is never replaced;\n"
     "--rotate puts it aside under its id, and its .pub stays known to litmus verify.",
     "litmus keygen\nlitmus keygen --public > bench7.pub\nlitmus keygen --key /etc/litmus/station.key"},
    {"archive", lt_cmd_archive, "", 0, 0, OPT(OLDER_THAN) | OPT(DRY_RUN) | OPT(JSON), NULL, "write the logs of old sessions again, about ten times smaller",
     "Writes each sealed log of sessions that are older than 30 days, or than --older-than says, again: the same events with the same\n"
     "hash chain, compressed. It stays an Arrow file that every command, pyarrow and others open. The new file takes the place of the old one\n"
     "after it was read back and every field was the same. A session that is in flight, damaged, or has a run without its file is left alone.",
     "litmus archive --dry-run\nlitmus archive --older-than 90d"},
    {"prune", lt_cmd_prune, "", 0, 0, OPT(KEEP) | OPT(DRY_RUN) | OPT(YES) | OPT(JSON), NULL, "remove whole sessions that are older than a policy says",
     "Removes each session that has had no event since --keep: its logs, run files, attachments and channels, all together; lake and catalog follow.\n"
     "What went is said on record (litmus events --type retention.pruned: session, runs, and the last chain value of each log), so that it can be\n"
     "told from a theft; such records are kept. A session that is in flight, damaged, or has a run without its file is never removed. Asks first;\n"
     "--yes does not, and is needed where nobody can be asked. Broken off at any moment it leaves all of a session or nothing.\n"
     "Where nothing was recorded for 30 days the clock may have been set ahead: then --keep has to be a date, which no clock changes.",
     "litmus prune --keep 2y --dry-run\nlitmus prune --keep 2y --yes"},
    {"daemon", lt_cmd_daemon, "[run|status|stop]", 0, 1, OPT(FOREGROUND) | OPT(IDLE) | OPT(JSON), "run status stop", "the runs daemon: run it, ask it, stop it",
     "The daemon writes a run's file when the run ends, also when its producer dies. The first producer starts it; it leaves when idle.\n"
     "status exits with 3 when none is running.",
     "litmus daemon status\nlitmus daemon --foreground"},
    {"completion", lt_cmd_completion, "SHELL", 1, 1, 0, "bash zsh fish", "print a completion script for bash, zsh or fish",
     "Prints the completion script of a shell.", "source <(litmus completion bash)\nlitmus completion fish > ~/.config/fish/completions/litmus.fish"},
    {"help", lt_cmd_help, "[COMMAND]", 0, 1, OPT(MAN), NULL, "show help", "Shows what the commands do, or more of one command.",
     "litmus help gate\nlitmus help gate --man | man -l -"},
    {"version", lt_cmd_version, "", 0, 0, OPT(JSON), NULL, "show the version", "Shows the version of litmus.", NULL},
};
const size_t lt_command_count = sizeof lt_commands / sizeof lt_commands[0];

const struct lt_command *lt_command_find(const char *name) {
    for (size_t i = 0; i < lt_command_count; i++)
        if (strcmp(lt_commands[i].name, name) == 0) return &lt_commands[i];
    return NULL;
}

static bool is_set(const char *variable) {
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

static bool speaks_utf8(void) {
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        if (!is_set(variables[i])) continue;
        const char *value = getenv(variables[i]);
        return strstr(value, "UTF-8") != NULL || strstr(value, "utf8") != NULL || strstr(value, "UTF8") != NULL || strstr(value, "utf-8") != NULL;
    }
    return false;
}

static void look_at_screen(struct lt_cli *cli) {
    bool colors = !is_set("NO_COLOR") && !(is_set("TERM") && strcmp(getenv("TERM"), "dumb") == 0);
    cli->err_terminal = isatty(STDERR_FILENO) != 0;
    cli->out_terminal = isatty(STDOUT_FILENO) != 0 && !(is_set("TERM") && strcmp(getenv("TERM"), "dumb") == 0);
    cli->color = colors && isatty(STDOUT_FILENO) != 0;
    cli->err_color = colors && cli->err_terminal;
    cli->utf8 = speaks_utf8();
}

static int unknown_command(const struct lt_cli *cli, const char *name) {
    const char *nearest = NULL;
    for (size_t i = 0; i < lt_command_count; i++) nearest = lt_nearer(lt_str_of(name), nearest, lt_commands[i].name);
    if (nearest != NULL) return lt_usage(cli, "no command \"%s\"; did you mean %s?", name, nearest);
    return lt_usage(cli, "no command \"%s\"", name);
}

static int run_command(struct lt_cli *cli, const struct lt_command *command, int argc, char **argv) {
    int exit = lt_cli_parse(cli, command, argc, argv);
    if (cli->no_color) cli->color = cli->err_color = false;
    if (exit == EXIT_OK && cli->help) lt_help_command(command, cli->color);
    else if (exit == EXIT_OK) exit = command->run(cli);
    lt_query_free(cli->query);
    lt_buf_release(&cli->data_dir);
    return exit;
}

/* A reader that has seen enough (| head) is no failure; a full disk is. */
static int close_stdout(const struct lt_cli *cli, int exit) {
    errno = 0;
    bool failed = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (!failed || errno == EPIPE) return exit;
    struct litmus_error error = {0};
    if (errno != 0) {
        lt_fail_os(&error, errno, "write to", "standard output");
    } else { /* a write on the way failed, and its errno is gone: a pipe tells whether its reader is */
        struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
        if (poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0) return exit;
        lt_fail(&error, LITMUS_EIO, 0, "cannot write all of it to standard output: what is there is cut short (free some space, and ask again)");
    }
    return lt_cli_fail(cli, &error);
}

int main(int argc, char **argv) {
    struct lt_cli cli = {.limit = -1};
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL); /* ulimit -f: the write fails, and says so */
    look_at_screen(&cli);
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0) name = "help";
    if (strcmp(name, "-V") == 0 || strcmp(name, "--version") == 0) name = "version";
    const struct lt_command *command = lt_command_find(name);
    int exit = command == NULL ? unknown_command(&cli, name) : run_command(&cli, command, argc > 1 ? argc - 2 : 0, argv + (argc > 1 ? 2 : 1));
    return close_stdout(&cli, exit);
}
