/* SPDX-License-Identifier: Apache-2.0
 *
 * event.h - the event table (events.def), the check of a payload against it, and the row as which
 * an event lies in a log.
 */
#ifndef LT_MODEL_EVENT_H
#define LT_MODEL_EVENT_H

#include "base/buf.h"
#include "base/error.h"

#include <yyjson.h>

enum lt_field_type {
    LT_FIELD_STR, LT_FIELD_INT, LT_FIELD_NUM, LT_FIELD_BOOL, LT_FIELD_UUID, LT_FIELD_TIME, LT_FIELD_MAP,
    LT_FIELD_LIST, LT_FIELD_LIST_STR, LT_FIELD_LIST_MAP, LT_FIELD_ANY,
};
enum lt_field_need { LT_FIELD_REQ, LT_FIELD_OPT, LT_FIELD_KEY };
enum lt_event_scope { LT_SCOPE_NO_RUN, LT_SCOPE_RUN, LT_SCOPE_ANY };

enum lt_event_id {
#define F(...)
#define EVENT(id, ...) LT_EVENT_##id,
#include "model/events.def"
#undef EVENT
#undef F
    LT_EVENT_COUNT,
    LT_EVENT_UNKNOWN = LT_EVENT_COUNT,
};

struct lt_field {
    const char *name; /* this and the next four are read for each event: few bytes, side by side */
    uint8_t name_bytes;
    uint8_t type; /* enum lt_field_type */
    uint8_t need; /* enum lt_field_need */
    uint16_t member_bytes; /* of `,"name":default` in the type's defaults; 0 without a default */
    const char *default_json;
    const char *meaning;
};

struct lt_event_type {
    const char *name;
    size_t name_bytes;
    enum lt_event_scope scope;
    const char *meaning;
    const struct lt_field *fields;
    size_t field_count;
    const char *defaults; /* `,"name":default` of every optional field, one after the other */
};

extern const struct lt_event_type lt_event_types[LT_EVENT_COUNT];
const char *lt_field_type_name(enum lt_field_type type);

enum lt_event_id lt_event_find(struct lt_str event_type);

/* The writer's check, strict: unknown fields (but for names starting `x_`), wrong types, missing
 * required fields and a run_id against the scope are refused with the field's name. An unknown
 * event_type is accepted if its first word is none of the table's ("vendor.thing").
 * On success appends to `out`, after what is there, each payload member and each missing optional
 * field with its default, as `,"name":value`. `payload` may be NULL (no fields).
 * `id`: what lt_event_find says of the type. `text` is the payload's JSON text when that can be spliced in as it is, or NULL. */
int lt_event_complete(enum lt_event_id id, struct lt_str event_type, bool has_run_id, yyjson_val *payload, struct lt_str text,
                      struct lt_buf *out, struct litmus_error *error);

/* The reader's check, lenient: required fields are there and every known field has its type. */
bool lt_event_readable(enum lt_event_id id, yyjson_val *root, const char **bad_field);

enum { LT_EVENT_FIELDS_MAX = 64 };

/* The fields of one event, each looked for once. */
struct lt_event_values {
    const struct lt_event_type *type;
    yyjson_val *root;
    yyjson_val *values[LT_EVENT_FIELDS_MAX]; /* in the order of type->fields; of a name that is there twice the first; NULL: absent */
    size_t next;                             /* where the field that is asked for next is expected */
};
/* As lt_event_readable; what it found is in *out. `root`, an object, is borrowed. */
bool lt_event_read(enum lt_event_id id, yyjson_val *root, struct lt_event_values *out, const char **bad_field);
/* The value of a field, or of any other member (old logs have some); NULL: absent. Quickest in the order of the table. */
yyjson_val *lt_event_value(struct lt_event_values *values, struct lt_str name);

/* One event as it lies in a log. Strings are borrowed from whoever made the row. */
struct lt_row {
    struct lt_str id;
    struct lt_str event_type;
    int64_t occurred_at;
    int64_t received_at;
    struct lt_str session_id;
    struct lt_str run_id; /* p == NULL: none */
    struct lt_str json;
    bool is_utf8; /* all texts are, as is known from composing it; else the writer looks */
    unsigned char chain[32];
};

#endif
