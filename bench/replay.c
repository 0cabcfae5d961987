/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - how fast logs give their runs back: each session's logs read, every row held against the
 * chain, folded and settled, as `litmus rebuild` does it, but for the files it writes.
 *
 *   replay DIR   says: events, runs, seconds of processor, largest resident size in kB
 */
#include "accumulate/gather.h"
#include "log/log.h"

#include "bench.h"

#include <sys/resource.h>

static struct litmus_error error;
static int64_t events, runs;

static void replay(const char *dir, const struct lt_log_list *logs) {
    struct lt_gathering session;
    struct lt_gather_options options = {.logs = logs, .check_chain = true};
    if (lt_gather_session(dir, logs->files[0].session, &options, &session, &error) != LITMUS_OK) bench_die("replay", error.text);
    for (size_t i = 0; i < session.log_count; i++) {
        events += session.logs[i].rows;
        if (!session.logs[i].chain_ok) bench_die("the chain is broken", session.logs[i].path);
    }
    for (size_t i = 0; i < session.run_count; i++) runs += session.runs[i]->run.has_ended;
    lt_gathering_release(&session);
}

/* Of this program; what the kernel says of children counts their parent in. */
static long largest_kb(void) {
    char line[200];
    long kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "VmHWM: %ld", &kb) == 1) break;
    }
    if (status != NULL) fclose(status);
    return kb;
}

int main(int argc, char **argv) {
    struct lt_log_list all;
    struct rusage used;
    if (argc != 2) bench_die("usage", "replay DIR");
    if (lt_log_find(argv[1], NULL, &all, &error) != LITMUS_OK) bench_die("logs", error.text);
    for (size_t from = 0, to; from < all.count; from = to) {
        for (to = from + 1; to < all.count && strcmp(all.files[to].session, all.files[from].session) == 0; to++) {}
        struct lt_log_list logs = {all.files + from, to - from};
        replay(argv[1], &logs);
    }
    lt_log_list_release(&all);
    getrusage(RUSAGE_SELF, &used);
    double seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("%lld %lld %.6f %ld\n", (long long)events, (long long)runs, seconds, largest_kb());
    return 0;
}
