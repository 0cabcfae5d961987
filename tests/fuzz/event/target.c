/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any type and payload as an event. The first byte says which parts of the envelope are
 * given; then the type, a line; then the payload. What the writer's check lets through is one JSON
 * object that the reader's check accepts, with every field of the type, and composes to the same again.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "log/layout.h"
#include "model/compose.h"

#define SESSION "12345678-1234-4123-8123-123456789abc"
#define RUN "aaaaaaaa-1234-4123-8123-123456789abc"

static void check_error(const struct litmus_error *error) {
    check(error->code == LITMUS_EEVENT || error->code == LITMUS_EINVAL);
    check(error->text[0] != '\0' && strnlen(error->text, sizeof error->text) < sizeof error->text);
    check(lt_utf8_valid(error->text, strlen(error->text)));
}

static void check_row(const struct litmus_event *event, const struct lt_row *row) {
    enum lt_event_id id = lt_event_find(row->event_type);
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *bad = NULL;
    check(yyjson_is_obj(root));
    check(lt_utf8_valid(row->json.p, row->json.n));
    check(id == LT_EVENT_UNKNOWN || lt_event_readable(id, root, &bad));
    for (size_t i = 0; id != LT_EVENT_UNKNOWN && i < lt_event_types[id].field_count; i++)
        check(yyjson_obj_get(root, lt_event_types[id].fields[i].name) != NULL);
    yyjson_val *first = yyjson_obj_get(root, "session_id");
    check(yyjson_is_str(first) && strcmp(yyjson_get_str(first), SESSION) == 0);
    first = yyjson_obj_get(root, "event_type");
    check(yyjson_is_str(first) && strcmp(yyjson_get_str(first), event->event_type) == 0);
    yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    if (n < 2) return 0;
    char type[160];
    const uint8_t *line = memchr(bytes + 1, '\n', n - 1);
    size_t type_bytes = (size_t)((line == NULL ? bytes + n : line) - (bytes + 1));
    if (type_bytes >= sizeof type || memchr(bytes + 1, '\0', type_bytes) != NULL) return 0;
    memcpy(type, bytes + 1, type_bytes);
    type[type_bytes] = '\0';
    size_t payload_bytes = line == NULL ? 0 : (size_t)(bytes + n - (line + 1));
    char *payload = malloc(payload_bytes + 1); /* its own block, so that a read behind it is seen */
    check(payload != NULL);
    if (payload_bytes > 0) memcpy(payload, line + 1, payload_bytes);
    payload[payload_bytes] = '\0';
    struct litmus_event event = {
        .event_type = type,
        .run_id = bytes[0] & 1 ? RUN : NULL,
        .payload = bytes[0] & 2 ? NULL : payload,
        .payload_bytes = payload_bytes,
        .occurred_at_us = bytes[0] & 4 ? INT64_C(1700000000000000) : 0,
        .id = bytes[0] & 8 ? SESSION : NULL,
    };
    struct lt_composer composer;
    lt_composer_init(&composer, NULL);
    int codes[2];
    for (int i = 0; i < 2; i++) { /* twice with the same composer: its memory is used again */
        struct litmus_error error = {0};
        struct lt_row row;
        codes[i] = lt_compose(&composer, SESSION, &event, &row, &error);
        check(codes[i] == error.code);
        if (codes[i] == LITMUS_OK) check_row(&event, &row);
        else check_error(&error);
    }
    check(codes[0] == codes[1]);
    lt_composer_release(&composer);
    free(payload);
    return 0;
}
