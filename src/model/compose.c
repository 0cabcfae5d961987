/* SPDX-License-Identifier: Apache-2.0 */
#include "model/compose.h"

#include <stdlib.h>

enum { EVENT_BYTES_MAX = 1 << 30 }; /* Arrow's utf8 columns end at 2 GiB; one event stays well below */

void lt_composer_init(struct lt_composer *composer, struct lt_uuid_pool *uuids) {
    *composer = (struct lt_composer){.uuids = uuids};
    lt_buf_init(&composer->json);
}

void lt_composer_release(struct lt_composer *composer) {
    lt_buf_release(&composer->json);
    free(composer->parse_memory);
    *composer = (struct lt_composer){0};
}

/* Parsing needs room in proportion to the text; keeping it spares a malloc an event. */
static yyjson_doc *parse(struct lt_composer *composer, const char *text, size_t n, yyjson_read_err *why) {
    size_t need = yyjson_read_max_memory_usage(n, 0);
    if (need > (size_t)64 * 1024) return yyjson_read_opts((char *)(uintptr_t)text, n, 0, NULL, why);
    if (composer->parse_memory_bytes < need) {
        char *memory = realloc(composer->parse_memory, need);
        if (memory == NULL) return NULL;
        composer->parse_memory = memory;
        composer->parse_memory_bytes = need;
    }
    yyjson_alc pool;
    if (!yyjson_alc_pool_init(&pool, composer->parse_memory, composer->parse_memory_bytes)) return NULL;
    return yyjson_read_opts((char *)(uintptr_t)text, n, 0, &pool, why);
}

static bool run_id_valid(struct lt_composer *composer, const char *run_id) {
    if (strcmp(composer->run_id, run_id) == 0) return true;
    if (!lt_uuid_valid(lt_str_of(run_id))) return false;
    memcpy(composer->run_id, run_id, LT_UUID_BYTES);
    return true;
}

static int check_envelope(struct lt_composer *composer, const struct litmus_event *event, struct litmus_error *error) {
    if (event->event_type == NULL || event->event_type[0] == '\0') return lt_fail(error, LITMUS_EEVENT, 0, "field \"event_type\" is missing");
    if (event->run_id != NULL && !run_id_valid(composer, event->run_id))
        return lt_fail(error, LITMUS_EEVENT, 0, "event %s: field \"run_id\" must be a uuid of 36 lower-case characters", event->event_type);
    if (event->id != NULL && !lt_uuid_valid(lt_str_of(event->id)))
        return lt_fail(error, LITMUS_EEVENT, 0, "event %s: field \"id\" must be a uuid of 36 lower-case characters", event->event_type);
    return LITMUS_OK;
}

/* `"name":"value"` with the name's text as a literal. */
#define ADD_MEMBER(out, name, value)                      \
    do {                                                  \
        lt_buf_add((out), name "\"", sizeof(name "\"") - 1); \
        lt_buf_add_str((out), (value));                   \
        lt_buf_add_char((out), '"');                      \
    } while (0)

/* lt_time_iso, which within one second differs in the fraction only. Valid until the next call. */
static struct lt_str iso_text(struct lt_composer *composer, int64_t us) {
    enum { FRACTION_AT = sizeof "2026-01-01T00:00:00." - 1 };
    const int64_t year_10000 = INT64_C(253402300800);
    int64_t second = us / 1000000;
    if (us <= 0 || second >= year_10000 || second != composer->iso_second || composer->iso[FRACTION_AT - 1] != '.') {
        composer->iso_second = us <= 0 ? 0 : second;
        return (struct lt_str){composer->iso, lt_time_iso(us, composer->iso)};
    }
    int64_t left = us % 1000000;
    for (int i = 5; i >= 0; i--, left /= 10) composer->iso[FRACTION_AT + i] = (char)('0' + left % 10);
    return (struct lt_str){composer->iso, FRACTION_AT + sizeof "000000Z" - 1};
}

static void add_envelope(struct lt_composer *composer, const struct lt_row *row) {
    struct lt_buf *out = &composer->json;
    struct lt_str at = iso_text(composer, row->occurred_at);
    ADD_MEMBER(out, "{\"id\":", row->id);
    ADD_MEMBER(out, ",\"event_type\":", row->event_type);
    ADD_MEMBER(out, ",\"occurred_at\":", at);
    if (row->received_at != row->occurred_at) at = iso_text(composer, row->received_at);
    ADD_MEMBER(out, ",\"received_at\":", at);
    ADD_MEMBER(out, ",\"session_id\":", row->session_id);
    if (row->run_id.p == NULL) lt_buf_add_text(out, ",\"run_id\":null");
    else ADD_MEMBER(out, ",\"run_id\":", row->run_id);
}

static enum lt_event_id type_of(struct lt_composer *composer, struct lt_str name) {
    bool known = composer->type < LT_EVENT_COUNT && lt_str_eq(lt_str_of(lt_event_types[composer->type].name), name);
    if (!known) composer->type = lt_event_find(name);
    return composer->type;
}

static int add_payload(struct lt_composer *composer, const struct litmus_event *event, const struct lt_row *row, struct litmus_error *error) {
    struct lt_buf *out = &composer->json;
    bool has_run = row->run_id.p != NULL;
    enum lt_event_id id = type_of(composer, row->event_type);
    if (event->payload == NULL) return lt_event_complete(id, row->event_type, has_run, NULL, LT_STR_NULL, out, error);
    struct lt_str text = {event->payload, event->payload_bytes == 0 ? strlen(event->payload) : event->payload_bytes};
    if (text.n > EVENT_BYTES_MAX) return lt_fail(error, LITMUS_EINVAL, 0, "event %s: the payload has %zu bytes, at most %d are taken", event->event_type, text.n, EVENT_BYTES_MAX);
    yyjson_read_err why = {0};
    yyjson_doc *doc = parse(composer, text.p, text.n, &why);
    if (doc == NULL)
        return lt_fail(error, LITMUS_EEVENT, 0, "event %s: the payload is no JSON: %s at byte %zu", event->event_type, why.msg == NULL ? "out of memory" : why.msg, why.pos);
    int code = lt_event_complete(id, row->event_type, has_run, yyjson_doc_get_root(doc), text, out, error);
    yyjson_doc_free(doc);
    return code;
}

/* The row but for its JSON, of which the envelope is written. */
static int begin(struct lt_composer *composer, const char *session_id, const struct litmus_event *event, struct lt_row *row, struct litmus_error *error) {
    int code = check_envelope(composer, event, error);
    if (code != LITMUS_OK) return code;
    if (event->id == NULL && composer->uuids != NULL) lt_uuid_next(composer->uuids, composer->id);
    else if (event->id == NULL) lt_uuid_new(composer->id);
    int64_t now = lt_now_us();
    *row = (struct lt_row){
        .id = event->id != NULL ? lt_str_of(event->id) : (struct lt_str){composer->id, 36},
        .event_type = lt_str_of(event->event_type),
        .occurred_at = event->occurred_at_us == 0 ? now : event->occurred_at_us,
        .received_at = now,
        .session_id = lt_str_of(session_id),
        .run_id = lt_str_of(event->run_id),
    };
    lt_buf_clear(&composer->json);
    add_envelope(composer, row);
    return LITMUS_OK;
}

static int end(struct lt_composer *composer, struct lt_row *row, struct litmus_error *error) {
    lt_buf_add_char(&composer->json, '}');
    if (composer->json.failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an event");
    row->json = (struct lt_str){composer->json.p, composer->json.n};
    row->is_utf8 = true; /* the parser takes no other payload; ids and names of types were checked; the rest is ours */
    return LITMUS_OK;
}

int lt_compose(struct lt_composer *composer, const char *session_id, const struct litmus_event *event, struct lt_row *row,
               struct litmus_error *error) {
    int code = begin(composer, session_id, event, row, error);
    if (code == LITMUS_OK) code = add_payload(composer, event, row, error);
    return code == LITMUS_OK ? end(composer, row, error) : code;
}

int lt_compose_own(struct lt_composer *composer, const char *session_id, const struct litmus_event *event, struct lt_row *row,
                   struct litmus_error *error) {
    int code = begin(composer, session_id, event, row, error);
    if (code != LITMUS_OK) return code;
    lt_buf_add_char(&composer->json, ',');
    lt_buf_add(&composer->json, event->payload + 1, event->payload_bytes - 2); /* the inside of the braces */
    return end(composer, row, error);
}
