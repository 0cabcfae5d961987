/* SPDX-License-Identifier: Apache-2.0
 *
 * From what a user types to one run.
 */
#include "query/query_internal.h"

#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { RUN_ID_BYTES = 36, CANDIDATES_MAX = 5 };

static bool copy_str(char *out, size_t size, struct lt_str s) {
    if (s.n >= size) return false;
    if (s.n > 0) memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

static int take_run(const struct lt_query *q, const struct lt_summary *run, struct lt_run_ref *out, struct litmus_error *error) {
    *out = (struct lt_run_ref){.live = run->live};
    bool ok = copy_str(out->run_id, sizeof out->run_id, run->run_id) && copy_str(out->session_id, sizeof out->session_id, run->session_id);
    if (ok && run->file_path.p != NULL)
        ok = snprintf(out->path, sizeof out->path, "%s/%.*s", q->data_dir, LT_STR_ARG(run->file_path)) < (int)sizeof out->path;
    return ok ? LITMUS_OK : lt_fail(error, LITMUS_EINVAL, 0, "an id or path of run %.*s is too long", LT_STR_ARG(run->run_id));
}

/* ---- last, @2 ---- */

static int find_nth(struct lt_query *q, int64_t n, struct lt_run_ref *out, struct litmus_error *error) {
    struct lt_summaries list;
    struct lt_run_filter filter = {.limit = 1, .offset = n - 1};
    int code = lt_summaries_load(q, &filter, &list, error);
    if (code == LITMUS_OK && list.count == 0) {
        if (n == 1) code = lt_fail(error, LITMUS_ENOENT, 0, "no run is on record in %s", q->data_dir);
        else code = lt_fail(error, LITMUS_ENOENT, 0, "there are fewer than %lld runs on record in %s", (long long)n, q->data_dir);
    }
    if (code == LITMUS_OK) code = take_run(q, &list.items[0], out, error);
    lt_summaries_release(&list);
    return code;
}

static bool parse_nth(const char *ref, int64_t *n) {
    if (strcmp(ref, "last") == 0) return (*n = 1) != 0;
    if (ref[0] != '@' || !isdigit((unsigned char)ref[1]) || strlen(ref) > 10) return false;
    char *end;
    *n = strtoll(ref + 1, &end, 10);
    return *end == '\0' && *n > 0;
}

/* ---- ids ---- */

struct search {
    struct lt_query *query;
    struct lt_str prefix;
    struct lt_run_ref *out;
    size_t found;
    char candidates[CANDIDATES_MAX][RUN_ID_BYTES + 1];
    size_t candidate_count;
    int failed;
    struct litmus_error *error;
};

static void add_candidate(struct search *s, struct lt_str id) {
    if (s->candidate_count == CANDIDATES_MAX || id.n > RUN_ID_BYTES) return;
    copy_str(s->candidates[s->candidate_count++], RUN_ID_BYTES + 1, id);
}

static bool is_candidate(const struct search *s, struct lt_str id) {
    for (size_t i = 0; i < s->candidate_count; i++)
        if (lt_str_eq(lt_str_of(s->candidates[i]), id)) return true;
    return false;
}

/* The file of a run that was in flight a moment ago takes its place. */
static bool take_match(void *self, const struct lt_summary *run) {
    struct search *s = self;
    if (run->run_id.n < s->prefix.n || memcmp(run->run_id.p, s->prefix.p, s->prefix.n) != 0) return true;
    bool again = is_candidate(s, run->run_id);
    if (!again) s->found++;
    if (s->found == 1) s->failed = take_run(s->query, run, s->out, s->error);
    if (!again) add_candidate(s, run->run_id);
    return s->failed == LITMUS_OK;
}

static bool take_near(void *self, const struct lt_summary *run) {
    add_candidate(self, run->run_id);
    return true;
}

static int search_live(struct search *s) {
    struct lt_overlay overlay;
    int code = lt_overlay_load(s->query, &overlay, s->error);
    if (code == LITMUS_OK && overlay.outdated) code = lt_catalog_refresh(s->query->catalog, s->error);
    for (size_t i = 0; code == LITMUS_OK && s->failed == LITMUS_OK && i < overlay.count; i++) take_match(s, &overlay.runs[i].summary);
    lt_overlay_release(&overlay);
    return code == LITMUS_OK ? s->failed : code;
}

static const char *list_candidates(const struct search *s, struct lt_buf *text) {
    for (size_t i = 0; i < s->candidate_count; i++) lt_buf_addf(text, "%s%s", i == 0 ? "" : ", ", s->candidates[i]);
    return lt_buf_cstr(text);
}

static int not_found(struct search *s, const char *ref) {
    struct lt_buf text;
    lt_buf_init(&text);
    s->candidate_count = 0;
    (void)lt_catalog_ids(s->query->catalog, s->prefix.p, true, 1, take_near, s, NULL);
    const char *near = list_candidates(s, &text);
    int code = near[0] == '\0' ? lt_fail(s->error, LITMUS_ENOENT, 0, "no run \"%s\" in %s", ref, s->query->data_dir)
                               : lt_fail(s->error, LITMUS_ENOENT, 0, "no run \"%s\" in %s; near it: %s", ref, s->query->data_dir, near);
    lt_buf_release(&text);
    return code;
}

static int ambiguous(const struct search *s, const char *ref) {
    struct lt_buf text;
    lt_buf_init(&text);
    const char *candidates = list_candidates(s, &text);
    int code = lt_fail(s->error, LITMUS_EAMBIGUOUS, 0, "ambiguous run id \"%s\": %s%s", ref, candidates, s->found > CANDIDATES_MAX ? ", ..." : "");
    lt_buf_release(&text);
    return code;
}

static int find_prefix(struct lt_query *q, const char *ref, const char *prefix, struct lt_run_ref *out, struct litmus_error *error) {
    struct search s = {.query = q, .prefix = lt_str_of(prefix), .out = out, .error = error};
    /* A whole id whose file is where the catalog says needs no look at the folders. Else first the runs without a file: one that gets
     * its file in between is met twice, and never missed. */
    bool known = s.prefix.n == RUN_ID_BYTES && lt_catalog_is_current(q->catalog, prefix);
    int code = known ? LITMUS_OK : lt_query_refresh(q, error);
    if (code == LITMUS_OK && !known) code = search_live(&s);
    if (code == LITMUS_OK) code = lt_catalog_ids(q->catalog, prefix, false, CANDIDATES_MAX + 1, take_match, &s, error);
    if (code == LITMUS_OK) code = s.failed;
    if (code != LITMUS_OK) return code;
    if (s.found == 0) return not_found(&s, ref);
    return s.found == 1 ? LITMUS_OK : ambiguous(&s, ref);
}

int lt_query_find(struct lt_query *q, const char *ref, struct lt_run_ref *out, struct litmus_error *error) {
    int64_t nth;
    char prefix[RUN_ID_BYTES + 1];
    *out = (struct lt_run_ref){.live = false};
    if (ref == NULL || ref[0] == '\0') return lt_fail(error, LITMUS_EINVAL, 0, "empty run id (give a run id, its first characters, last, or @2)");
    if (parse_nth(ref, &nth)) return find_nth(q, nth, out, error);
    size_t n = strlen(ref);
    bool usable = n <= RUN_ID_BYTES;
    for (size_t i = 0; usable && i < n; i++) {
        usable = isxdigit((unsigned char)ref[i]) || ref[i] == '-';
        prefix[i] = (char)tolower((unsigned char)ref[i]);
    }
    if (!usable) return lt_fail(error, LITMUS_ENOENT, 0, "no run \"%.80s\": a run id has up to 36 characters, 0-9 a-f and -; or use last, @2", ref);
    prefix[n] = '\0';
    return find_prefix(q, ref, prefix, out, error);
}
