/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels: which there are, one seen from afar, its samples.
 */
#include "base/clock.h"
#include "base/json_text.h"
#include "channel/channel.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VIEW_POINTS = 1000 };

/* Finishes the files of writers that are gone; what cannot be finished is shown as it is. */
static void finish(const struct lt_channel_set *all) {
    for (size_t i = 0; i < all->count; i++)
        if (!all->files[i]->sealed && !all->files[i]->live) (void)!lt_channel_recover(NULL, all->files[i]->path, NULL);
}

static void add_time(struct lt_buf *line, int64_t ns) {
    char text[LT_ISO_BYTES];
    lt_time_iso(ns / 1000, text);
    lt_buf_add_text(line, text);
}

static bool print_channel(const struct lt_cli *cli, const struct lt_channel_set *part) {
    const struct lt_channel_about *about = &part->files[0]->about;
    struct lt_channel_span span;
    struct lt_buf line;
    char uri[400];
    lt_buf_init(&line);
    lt_channel_set_span(part, &span);
    lt_channel_uri(about->channel_id, about->session_id, uri);
    if (cli->json) {
        lt_buf_add_text(&line, "{\"channel_id\":");
        lt_json_str(&line, lt_str_of(about->channel_id));
        lt_buf_addf(&line, ",\"session_id\":\"%s\",\"uri\":", about->session_id);
        lt_json_str(&line, lt_str_of(uri));
        lt_buf_add_text(&line, ",\"units\":");
        lt_json_str(&line, lt_str_of(about->units));
        lt_buf_addf(&line, ",\"type\":\"%s\",\"samples\":%" PRId64 ",\"live\":%s,\"damaged_bytes\":%" PRId64, lt_type_name(about->type), span.samples, span.live ? "true" : "false",
                    span.damaged_bytes);
        if (span.samples > 0) lt_buf_addf(&line, ",\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64, span.first, span.last);
        lt_buf_add_char(&line, '}');
        bool there = lt_print_json(&line);
        lt_buf_release(&line);
        return there;
    }
    if (span.samples > 0) add_time(&line, span.first);
    else lt_buf_addf(&line, "%-27s", "-");
    lt_buf_addf(&line, " %12" PRId64 " %-8s ", span.samples, lt_type_name(about->type));
    lt_show_short(&line, lt_str_of(about->units), 12);
    lt_buf_add_char(&line, ' ');
    lt_show_short(&line, lt_str_of(uri), 300);
    lt_buf_addf(&line, "%s%s\n", span.live ? "  (being recorded)" : "", span.damaged_bytes > 0 ? "  (damaged)" : "");
    fwrite(line.p, 1, line.n, stdout);
    lt_buf_release(&line);
    return !lt_reader_is_gone();
}

static bool same_channel(const struct lt_channel_file *a, const struct lt_channel_file *b) {
    return strcmp(a->about.channel_id, b->about.channel_id) == 0 && strcmp(a->about.session_id, b->about.session_id) == 0;
}

static int list(struct lt_cli *cli, const char *data_dir) {
    struct lt_channel_set all;
    struct litmus_error error = {0};
    size_t bad = 0;
    int code = lt_channel_find(data_dir, cli->session, &all, &bad, &error);
    if (code == LITMUS_OK) finish(&all);
    bool there = true;
    for (size_t i = 0, end; code == LITMUS_OK && there && i < all.count; i = end) {
        for (end = i + 1; end < all.count && same_channel(all.files[i], all.files[end]);) end++;
        struct lt_channel_set part = {.files = all.files + i, .count = end - i};
        there = print_channel(cli, &part);
    }
    lt_channel_set_release(&all);
    if (code != LITMUS_OK) return lt_cli_fail(cli, &error);
    if (bad > 0) lt_say(cli, "%zu files below %s/channels are no channel files, or damaged at their start", bad, data_dir);
    return EXIT_OK;
}

static int64_t bound(int64_t us, int64_t otherwise) {
    return us == LT_TIME_NONE || us > INT64_MAX / 1000 || us < INT64_MIN / 1000 ? otherwise : us * 1000;
}

static void print_samples(const struct lt_cli *cli, const struct litmus_signal *s) {
    char text[LT_REAL_BYTES];
    size_t size = (size_t)lt_type_bytes(s->type);
    bool there = true;
    if (!cli->json) there = printf("time_ns,value\n") > 0;
    for (int64_t i = 0; there && i < s->count; i++) {
        const char *p = (const char *)s->values + (size_t)i * size;
        double value;
        int64_t whole;
        lt_type_doubles(s->type, p, 1, &value);
        if (cli->json) printf("{\"time_ns\":%" PRId64 ",\"value\":", s->times_ns[i]);
        else printf("%" PRId64 ",", s->times_ns[i]);
        if (s->type == LITMUS_INT64 || s->type == LITMUS_UINT64) {
            memcpy(&whole, p, sizeof whole);
            if (s->type == LITMUS_INT64) printf("%" PRId64, whole);
            else printf("%" PRIu64, (uint64_t)whole);
        } else if (isfinite(value)) {
            fputs(lt_real_text(value, text), stdout);
        } else {
            fputs(cli->json ? "null" : isnan(value) ? "nan" : value > 0 ? "inf" : "-inf", stdout);
        }
        fputs(cli->json ? "}\n" : "\n", stdout);
        there = !lt_reader_is_gone();
    }
}

static int samples(struct lt_cli *cli, const char *data_dir, const char *uri, bool all) {
    struct litmus_error error = {0};
    struct lt_channel_set set;
    struct litmus_signal signal = {0};
    int64_t from = bound(cli->since, INT64_MIN), to = bound(cli->until, INT64_MAX);
    int code = lt_channel_set_open(data_dir, uri, &set, &error);
    if (code != LITMUS_OK) return lt_cli_fail(cli, &error);
    finish(&set);
    if (all) code = lt_channel_set_read(&set, from, to, &signal, &error);
    else code = lt_channel_set_view(&set, from, to, cli->limit > 0 && cli->limit < INT32_MAX ? (int)cli->limit : VIEW_POINTS, LITMUS_VIEW_MINMAX, &signal, &error);
    if (code == LITMUS_OK) print_samples(cli, &signal);
    litmus_signal_release(&signal);
    lt_channel_set_release(&set);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
}

int lt_cmd_channel(struct lt_cli *cli) {
    const char *what = cli->argument_count == 0 ? "ls" : cli->arguments[0], *uri = cli->argument_count < 2 ? NULL : cli->arguments[1];
    bool view = strcmp(what, "view") == 0, export = strcmp(what, "export") == 0;
    if (!view && !export && strcmp(what, "ls") != 0) return lt_usage(cli, "takes ls, view or export, not \"%s\"", what);
    if ((view || export) && uri == NULL) return lt_usage(cli, "%s needs a channel: its URI, or its id", what);
    if (!view && !export && uri != NULL) return lt_usage(cli, "\"%s\" is one argument too many", uri);
    int exit = lt_cli_data_dir(cli);
    if (exit != EXIT_OK) return exit;
    const char *data_dir = lt_buf_cstr(&cli->data_dir);
    return view || export ? samples(cli, data_dir, uri, export) : list(cli, data_dir);
}
