/* SPDX-License-Identifier: Apache-2.0
 *
 * Events from the logs: filtered, in the order in which they were received, each once.
 * An id that is there with another content is another event: who writes it again must not hide what was recorded under it.
 */
#include "query/event_match.h"
#include "query/query_internal.h"

#include "base/clock.h"
#include "base/grow.h"
#include "base/io.h"
#include "base/map.h"
#include "log/log.h"
#include "materialize/build.h"

#include <stdlib.h>

/* ---- the filter ---- */

static bool is_text(const char *wanted, struct lt_str value) {
    return wanted == NULL || lt_str_eq(lt_str_of(wanted), value);
}

static bool is_member(yyjson_val *root, const char *name, struct lt_str wanted) {
    yyjson_val *v = yyjson_obj_get(root, name);
    return yyjson_is_str(v) && lt_str_eq((struct lt_str){yyjson_get_str(v), yyjson_get_len(v)}, wanted);
}

static bool has_role(struct lt_str json, struct lt_str role) {
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *channel = yyjson_obj_get(root, "channel_id");
    bool fits = is_member(root, "role", role) || is_member(root, "instrument_role", role);
    if (!fits && yyjson_is_str(channel)) {
        const char *id = yyjson_get_str(channel);
        fits = yyjson_get_len(channel) > role.n && memcmp(id, role.p, role.n) == 0 && id[role.n] == '.';
    }
    yyjson_doc_free(doc);
    return fits;
}

bool lt_event_matches(const struct lt_event_filter *f, const struct lt_row *row) {
    return is_text(f->session_id, row->session_id) && is_text(f->run_id, row->run_id) && is_text(f->event_type, row->event_type) &&
           (f->role == NULL || has_role(row->json, lt_str_of(f->role)));
}

/* ---- events ---- */

struct event {
    struct lt_row row;    /* its text is in the arena */
    const char *log;      /* path: ties keep the order of the logs */
    int64_t sequence;
};
struct search {
    const struct lt_event_filter *filter;
    struct lt_query *query;
    struct lt_arena paths;
    struct lt_arena arena; /* of the events */
    struct event *events;
    size_t count, capacity;
    size_t settled;        /* count after the last sort */
    int64_t oldest;        /* with a limit: nothing received before this can be shown; LT_TIME_NONE: anything */
    bool failed;
};

enum { SINCE_GRAIN_US = 2000000 }; /* file times are coarser than received_at, and may be another clock's */

static bool is_since(const struct lt_event_filter *f) {
    return f->since != LT_TIME_NONE && f->since != 0;
}

static int by_received(const void *a, const void *b) {
    const struct event *x = a, *y = b;
    if (x->row.received_at != y->row.received_at) return x->row.received_at < y->row.received_at ? -1 : 1;
    int order = strcmp(x->log, y->log);
    return order != 0 ? order : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* Whenever it was received: what recovery says of a run it may have said in two places. */
static bool is_same(const struct lt_row *a, const struct lt_row *b) {
    return a->occurred_at == b->occurred_at && lt_str_eq(a->json, b->json) && lt_str_eq(a->event_type, b->event_type) &&
           lt_str_eq(a->session_id, b->session_id) && lt_str_eq(a->run_id, b->run_id);
}

/* Tells rows of one id apart, most of them. */
static uint64_t mix(const struct lt_row *row) {
    uint64_t h = (uint64_t)row->occurred_at;
    for (size_t i = 0; i < row->json.n; i++) h = (h ^ (unsigned char)row->json.p[i]) * 1099511628211U;
    return h;
}

/* Of an event that is there twice (a log copied beside itself) the first one received stays. */
static bool drop_doubles(struct search *s) {
    struct lt_map seen;
    lt_map_init(&seen);
    size_t kept = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < s->count; i++) {
        const struct lt_row *row = &s->events[i].row;
        uint64_t sub = 0;
        uint32_t at = lt_map_get(&seen, row->id, sub);
        if (at != LT_MAP_NONE && !is_same(row, &s->events[at].row)) at = lt_map_get(&seen, row->id, sub = mix(row));
        while (at != LT_MAP_NONE && !is_same(row, &s->events[at].row)) at = lt_map_get(&seen, row->id, ++sub);
        if (at != LT_MAP_NONE) continue;
        ok = lt_map_put(&seen, row->id, sub, (uint32_t)kept);
        s->events[kept++] = s->events[i];
    }
    s->count = kept;
    lt_map_release(&seen);
    return ok;
}

/* Sorts, drops doubles, and of what is more than the limit the oldest. */
static bool settle(struct search *s) {
    if (s->count > 1) qsort(s->events, s->count, sizeof *s->events, by_received);
    if (!drop_doubles(s)) return false;
    if (s->filter->limit <= 0 || (uint64_t)s->filter->limit >= s->count) return true;
    size_t over = s->count - (size_t)s->filter->limit;
    memmove(s->events, s->events + over, (s->count - over) * sizeof *s->events);
    s->count -= over;
    return true;
}

/* With a limit, memory stays in proportion to it: what can no longer be shown goes, text included. */
static bool compact(struct search *s) {
    if (!settle(s)) return false;
    struct lt_arena fresh;
    lt_arena_init(&fresh);
    for (size_t i = 0; i < s->count; i++) {
        struct lt_row *r = &s->events[i].row;
        struct lt_str *texts[] = {&r->id, &r->event_type, &r->session_id, &r->run_id, &r->json};
        for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) *texts[t] = lt_arena_str(&fresh, *texts[t]);
    }
    lt_arena_release(&s->arena);
    s->arena = fresh;
    return !fresh.failed;
}

/* With a limit, sorts from time to time and learns from when on events still matter. */
static bool keep_to_limit(struct search *s) {
    uint64_t limit = (uint64_t)s->filter->limit;
    if (s->filter->limit <= 0 || s->count < limit || (s->settled >= limit && s->count - s->settled < limit / 2 + 1024)) return true;
    if (!compact(s)) return false;
    s->settled = s->count;
    if (s->count >= limit) s->oldest = s->events[0].row.received_at;
    return true;
}

static bool add_event(struct search *s, const struct lt_row *row, const char *log, int64_t sequence) {
    if (s->oldest != LT_TIME_NONE && row->received_at < s->oldest) return true;
    if (!keep_to_limit(s)) return false;
    struct event *grown = lt_grow_list(s->events, s->count, &s->capacity, sizeof *grown);
    if (grown == NULL) return false;
    s->events = grown;
    struct event *e = &s->events[s->count++];
    *e = (struct event){.row = *row, .log = log, .sequence = sequence};
    e->row.id = lt_arena_str(&s->arena, row->id);
    e->row.event_type = lt_arena_str(&s->arena, row->event_type);
    e->row.session_id = lt_arena_str(&s->arena, row->session_id);
    e->row.run_id = lt_arena_str(&s->arena, row->run_id);
    e->row.json = lt_arena_str(&s->arena, row->json);
    return !s->arena.failed;
}

void lt_lack_note(struct lt_lack *lack, struct lt_lack_told *told, const char *path, const struct lt_log_reader *reader, enum lt_log_status status,
                  const struct litmus_error *error) {
    if (status == LT_LOG_FAILED && !told->unread) {
        told->unread = true;
        if (lack->unread++ == 0) lack->unread_why = *error;
    } else if (status == LT_LOG_DAMAGED && !told->damaged) {
        struct lt_log_damage damage = lt_log_reader_damage(reader);
        told->damaged = true;
        if (lack->damaged++ > 0) return;
        lt_fail(&lack->damaged_why, LITMUS_EDAMAGED, 0, "%s at byte %lld, %lld bytes: %s", path, (long long)damage.offset, (long long)damage.bytes,
                damage.what == NULL ? "no event" : damage.what);
    }
}

/* A log that cannot be read, or its damaged parts, hide nothing of the others. */
static bool read_log(struct search *s, const char *path) {
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    bool ok = true;
    struct litmus_error error = {0};
    struct lt_lack_told told = {.unread = false};
    enum lt_log_status status = LT_LOG_FAILED;
    bool open = lt_log_reader_open(path, &reader, &error) == LITMUS_OK;
    while (ok && open && ((status = lt_log_next(reader, &row, &error)) == LT_LOG_EVENT || status == LT_LOG_DAMAGED)) {
        lt_lack_note(&s->query->lack, &told, path, reader, status, &error);
        if (status != LT_LOG_EVENT || (is_since(s->filter) && row.received_at < s->filter->since)) continue;
        if (lt_event_matches(s->filter, &row)) ok = add_event(s, &row, path, lt_log_reader_rows(reader));
    }
    lt_lack_note(&s->query->lack, &told, path, reader, status, &error);
    lt_log_reader_free(reader);
    return ok && error.code != LITMUS_ENOMEM;
}

/* With a limit the latest logs come first; it ends where none left can hold a newer event. */
static bool take_log(void *self, const char *relative, int64_t mtime_us) {
    struct search *s = self;
    struct lt_buf path;
    lt_buf_init(&path);
    lt_path_join(&path, s->query->data_dir, relative);
    struct lt_str own = path.failed ? LT_STR_NULL : lt_arena_str(&s->paths, (struct lt_str){path.p, path.n});
    lt_buf_release(&path);
    s->failed = own.p == NULL || !keep_to_limit(s);
    bool late = mtime_us == LT_TIME_NONE || s->oldest == LT_TIME_NONE || mtime_us + SINCE_GRAIN_US >= s->oldest;
    if (!s->failed && late) s->failed = !read_log(s, own.p);
    return !s->failed && (late || s->filter->session_id != NULL);
}

static void put_time(struct lt_build *b, int64_t us) {
    if (us == LT_TIME_NONE) lt_put_null(b);
    else lt_put_int(b, us);
}

static int events_table(const struct search *s, struct lt_table *out, struct litmus_error *error) {
    struct lt_build b;
    lt_build_start(&b, out, 7, (int64_t)s->count);
#define EACH for (size_t i = 0; i < s->count; i++)
#define TEXT(field) lt_build_column(&b, #field, LT_COLUMN_STR); EACH lt_put_str(&b, s->events[i].row.field);
#define TIME(field) lt_build_column(&b, #field, LT_COLUMN_TIME); EACH put_time(&b, s->events[i].row.field);
    TEXT(id)
    TEXT(event_type)
    TIME(occurred_at)
    TIME(received_at)
    TEXT(session_id)
    TEXT(run_id)
    TEXT(json)
    return lt_build_finish(&b, error);
}

/* A run's events are in the logs of its session. */
static const char *session_of(struct lt_query *q, const struct lt_event_filter *filter, struct lt_run_ref *ref) {
    if (filter->session_id != NULL || filter->run_id == NULL) return filter->session_id;
    bool found = lt_query_find(q, filter->run_id, ref, NULL) == LITMUS_OK && strcmp(ref->run_id, filter->run_id) == 0;
    return found && ref->session_id[0] != '\0' ? ref->session_id : NULL;
}

int lt_query_events(struct lt_query *q, const struct lt_event_filter *filter, struct lt_table *out, struct litmus_error *error) {
    struct search s = {.filter = filter, .query = q, .oldest = LT_TIME_NONE};
    struct lt_run_ref ref;
    lt_table_init(out);
    lt_arena_init(&s.paths);
    lt_arena_init(&s.arena);
    int64_t since = is_since(filter) ? filter->since - SINCE_GRAIN_US : 0;
    q->lack = (struct lt_lack){0};
    int code = lt_query_refresh(q, error);
    if (code == LITMUS_OK) code = lt_catalog_logs(q->catalog, session_of(q, filter, &ref), since, take_log, &s, error);
    if (code == LITMUS_OK && (s.failed || !settle(&s))) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing the events");
    if (code == LITMUS_OK) code = events_table(&s, out, error);
    free(s.events);
    lt_arena_release(&s.paths);
    lt_arena_release(&s.arena);
    return code;
}

const struct lt_lack *lt_query_events_lack(const struct lt_query *query) {
    return &query->lack;
}
