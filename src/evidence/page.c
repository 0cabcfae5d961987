/* SPDX-License-Identifier: Apache-2.0
 *
 * page.c - the page for people: the run, its plan with what became of each step, the measurements, what people said of
 * it afterwards, and who vouches for what. No script, nothing from elsewhere.
 */
#include "base/clock.h"
#include "base/hex.h"
#include "evidence/report.h"

static const char style[] =
    "body{font:15px/1.45 sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#222}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.15em .8em .15em 0;border-bottom:1px solid #ddd;overflow-wrap:anywhere}"
    "code{font-size:90%}.passed,.done{color:#176d2c}.failed,.errored,.aborted,.terminated,.found{color:#b3141b}.never{color:#8a5a00}";

static void add_html(struct lt_str text, struct lt_buf *out) {
    static const char *const escapes[256] = {['<'] = "&lt;", ['>'] = "&gt;", ['&'] = "&amp;", ['"'] = "&quot;"};
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (escapes[c] != NULL) lt_buf_add_text(out, escapes[c]);
        else if (c < 0x20 && c != '\n' && c != '\t') lt_buf_add_text(out, "\xef\xbf\xbd"); /* what XML and HTML cannot hold */
        else lt_buf_add_char(out, (char)c);
    }
}

static void add_cell(struct lt_str text, struct lt_buf *out) {
    lt_buf_add_text(out, "<td>");
    add_html(text, out);
    lt_buf_add_text(out, "</td>");
}

/* Any cell of the table: a text as it is, others as JSON has them. */
static void add_value(const struct lt_dossier *d, const char *column, int64_t row, struct lt_buf *out) {
    struct lt_buf json;
    int64_t number = lt_table_find(&d->rows, column);
    if (lt_table_is_null(&d->rows, number, row)) return;
    struct lt_str text = lt_table_str(&d->rows, number, row);
    lt_buf_init(&json);
    if (text.p == NULL) lt_table_json(&d->rows, number, row, &json);
    add_html(text.p != NULL ? text : (struct lt_str){json.p, json.n}, out);
    out->failed |= json.failed;
    lt_buf_release(&json);
}

static void add_value_cell(const struct lt_dossier *d, const char *column, int64_t row, struct lt_buf *out) {
    lt_buf_add_text(out, "<td>");
    add_value(d, column, row, out);
    lt_buf_add_text(out, "</td>");
}

static void add_facts(const struct lt_dossier *d, struct lt_buf *out) {
    static const char *const facts[][2] = {
        {"Run", "run_id"}, {"Outcome", "run_outcome"}, {"Stopped by", "stop_reason"}, {"Started", "run_started_at"}, {"Ended", "run_ended_at"}, {"Unit", "dut_serial"},
        {"Part", "dut_part_number"}, {"Revision", "dut_revision"}, {"Lot", "dut_lot_number"}, {"Product", "product_name"}, {"Station", "station_name"},
        {"Station id", "station_id"}, {"Host", "station_hostname"}, {"Operator", "operator_name"}, {"Operator id", "operator_id"}, {"Phase", "test_phase"},
        {"Project", "project_name"}, {"Commit", "git_commit"}, {"Plan", "plan_digest"},
    };
    lt_buf_add_text(out, "<table>\n");
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        if (lt_table_is_null(&d->rows, lt_table_find(&d->rows, facts[i][1]), 0)) continue;
        lt_buf_addf(out, "<tr><th>%s</th>", facts[i][0]);
        add_value_cell(d, facts[i][1], 0, out);
        lt_buf_add_text(out, "</tr>\n");
    }
    lt_buf_add_text(out, "</table>\n");
}

static void add_sum(const struct lt_dossier *d, struct lt_buf *out) {
    const struct lt_counts *c = &d->sum.counts;
    const struct {
        const char *word;
        int64_t count;
    } sums[] = {{"passed", c->passed}, {"failed", c->failed}, {"errored", c->errored}, {"skipped", c->skipped}, {"done without a verdict", c->done},
                {"terminated", c->terminated}, {"aborted", c->aborted}, {"never ran", c->never_ran}};
    lt_buf_addf(out, "<p>%lld steps planned", (long long)d->sum.planned);
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        if (sums[i].count > 0) lt_buf_addf(out, ", <b>%lld %s</b>", (long long)sums[i].count, sums[i].word);
    lt_buf_addf(out, "; %lld measurements.</p>\n", (long long)d->sum.measurements);
}

static void add_steps(const struct lt_dossier *d, struct lt_buf *out) {
    lt_buf_add_text(out, "<h2>The plan, and what became of it</h2>\n<table>\n<tr><th>Step</th><th>Vector</th><th>Outcome</th><th>Why</th></tr>\n");
    for (int64_t row = 0; row < lt_table_rows(&d->rows); row++) {
        if (!lt_dossier_is(d, row, "step")) continue;
        bool never = lt_dossier_never_ran(d, row);
        struct lt_str outcome = lt_dossier_str(d, "vector_outcome", row);
        lt_buf_add_text(out, "<tr>");
        add_value_cell(d, "step_path", row, out);
        add_value_cell(d, "vector_index", row, out);
        lt_buf_add_text(out, "<td class=\"");
        add_html(never ? LT_STR("never") : outcome, out);
        lt_buf_add_text(out, "\">");
        add_html(never ? LT_STR("never ran") : outcome, out);
        lt_buf_add_text(out, "</td><td>");
        add_value(d, never ? "never_ran_reason" : "step_message", row, out);
        lt_buf_add_text(out, "</td></tr>\n");
    }
    lt_buf_add_text(out, "</table>\n");
}

static void add_measurements(const struct lt_dossier *d, struct lt_buf *out) {
    static const char *const columns[] = {"step_path", "vector_index", "measurement_name", "measurement_value", "measurement_text", "measurement_units",
                                          "limit_low", "limit_high", "limit_text", "limit_comparator", "measurement_outcome"};
    if (d->sum.measurements == 0) return;
    lt_buf_add_text(out, "<h2>Measurements</h2>\n<table>\n<tr><th>Step</th><th>Vector</th><th>Name</th><th>Value</th><th>Text</th><th>Units</th><th>Low</th><th>High</th>"
                         "<th>Expected</th><th>Comparator</th><th>Outcome</th></tr>\n");
    for (int64_t row = 0; row < lt_table_rows(&d->rows); row++) {
        if (!lt_dossier_is(d, row, "measurement")) continue;
        lt_buf_add_text(out, "<tr>");
        for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) add_value_cell(d, columns[i], row, out);
        lt_buf_add_text(out, "</tr>\n");
    }
    lt_buf_add_text(out, "</table>\n");
}

static void add_reviews(const struct lt_dossier *d, struct lt_buf *out) {
    char at[LT_ISO_BYTES];
    if (d->reviews.count == 0) return;
    lt_buf_add_text(out, "<h2>Said of it afterwards</h2>\n<p>What is above stays as it was recorded.</p>\n<table>\n"
                         "<tr><th>When</th><th>By</th><th>What</th><th>Step</th><th>Text</th></tr>\n");
    for (size_t i = 0; i < d->reviews.count; i++) {
        const struct lt_review *r = &d->reviews.items[i];
        lt_time_iso(r->at, at);
        lt_buf_addf(out, "<tr><td>%s</td>", at);
        add_cell(r->by, out);
        lt_buf_addf(out, "<td>%s</td>", r->concession ? "accepted it" : "remarked");
        add_cell(r->step_path, out);
        add_cell(r->text, out);
        lt_buf_add_text(out, "</tr>\n");
    }
    lt_buf_add_text(out, "</table>\n");
}

static void add_logs(const struct lt_dossier *d, struct lt_buf *out) {
    char chain[2 * LT_CHAIN_BYTES + 1];
    lt_buf_add_text(out, "<h2>Who vouches for it</h2>\n<table>\n<tr><th>Log</th><th>Events</th><th>Last chain value</th><th>Signed by</th></tr>\n");
    for (size_t i = 0; i < d->log_count; i++) {
        const struct lt_proved_log *log = &d->logs[i];
        lt_hex_text(log->head.chain, sizeof log->head.chain, chain);
        lt_buf_add_text(out, "<tr>");
        add_cell(lt_str_of(log->path), out);
        lt_buf_addf(out, "<td>%lld</td><td><code>%s</code></td><td>", (long long)log->head.rows, chain);
        lt_buf_addf(out, "%s%s", log->key_id[0] == '\0' ? "nobody" : "key ", log->key_id);
        if (log->by_recovery) lt_buf_add_text(out, ", after its producer had died");
        if (log->clock_steps > 0) lt_buf_addf(out, "; the clock was set %lld times meanwhile", (long long)log->clock_steps);
        lt_buf_add_text(out, "</td></tr>\n");
    }
    lt_buf_add_text(out, "</table>\n");
}

static void add_findings(const struct lt_dossier *d, struct lt_buf *out) {
    if (d->finding_count == 0) {
        lt_buf_addf(out, "<p>When this was packed, %lld events were checked and nothing was found.</p>\n", (long long)d->events);
        return;
    }
    lt_buf_addf(out, "<p class=\"found\"><b>When this was packed, %zu findings were made:</b></p>\n<ul class=\"found\">\n", d->finding_count);
    for (size_t i = 0; i < d->finding_count; i++) {
        lt_buf_add_text(out, "<li>");
        add_html(lt_str_of(d->findings[i].path), out);
        lt_buf_add_text(out, ": ");
        add_html(lt_str_of(d->findings[i].text), out);
        lt_buf_add_text(out, "</li>\n");
    }
    lt_buf_add_text(out, "</ul>\n");
}

int lt_page_write(const struct lt_dossier *d, const char *key_id, struct lt_buf *out, struct litmus_error *error) {
    lt_buf_addf(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Evidence of a test run</title>\n<style>%s</style></head><body>\n", style);
    lt_buf_add_text(out, "<h1>Evidence of a test run</h1>\n");
    add_facts(d, out);
    add_sum(d, out);
    add_steps(d, out);
    add_measurements(d, out);
    add_reviews(d, out);
    add_logs(d, out);
    add_findings(d, out);
    if (key_id != NULL) lt_buf_addf(out, "<p>The statement beside this page is signed by key <code>%s</code>.", key_id);
    else lt_buf_add_text(out, "<p>The statement beside this page is <b>not signed</b>: it proves that these files fit together, not who made them.");
    lt_buf_add_text(out, " This page proves nothing by itself: <code>litmus verify FILE.zip --key STATION.pub</code> does, on any machine.</p>\n</body></html>\n");
    return out->failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a page") : LITMUS_OK;
}
