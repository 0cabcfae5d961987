/* SPDX-License-Identifier: Apache-2.0
 *
 * The event table made from events.def, and the two checks against it.
 */
#include "model/event.h"

#include "base/clock.h"
#include "base/uuid.h"
#include "model/suggest.h"

#include <stdio.h>
#include <stdlib.h>

/* First pass over the table: one array of fields a type. */
#define MEMBER_OPT(name, dflt) ",\"" name "\":" dflt
#define MEMBER_REQ(name, dflt) ""
#define MEMBER_KEY(name, dflt) ""
#define F(name, type, need, dflt, meaning) {name, sizeof(name) - 1, LT_FIELD_##type, LT_FIELD_##need, sizeof(MEMBER_##need(name, dflt)) - 1, dflt, meaning},
#define EVENT(id, type, scope, meaning, ...) static const struct lt_field fields_##id[] = {__VA_ARGS__};
#include "model/events.def"
#undef EVENT
#undef F

/* Second pass: the types themselves. */
#define F(name, type, need, dflt, meaning) MEMBER_##need(name, dflt)
#define EVENT(id, type, scope, meaning, ...) \
    [LT_EVENT_##id] = {type, sizeof(type) - 1, LT_SCOPE_##scope, meaning, fields_##id, sizeof fields_##id / sizeof fields_##id[0], __VA_ARGS__},
const struct lt_event_type lt_event_types[LT_EVENT_COUNT] = {
#include "model/events.def"
};
#undef EVENT
#undef F

static const char *const type_names[] = {
    [LT_FIELD_STR] = "a string",           [LT_FIELD_INT] = "an integer", [LT_FIELD_NUM] = "a number",
    [LT_FIELD_BOOL] = "true or false",     [LT_FIELD_UUID] = "a uuid",    [LT_FIELD_TIME] = "an ISO 8601 UTC time",
    [LT_FIELD_MAP] = "an object",          [LT_FIELD_LIST] = "a list",    [LT_FIELD_LIST_STR] = "a list of strings",
    [LT_FIELD_LIST_MAP] = "a list of objects", [LT_FIELD_ANY] = "any value",
};

const char *lt_field_type_name(enum lt_field_type type) {
    return type_names[type];
}

static bool same_word(const char *a, const char *b) {
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x == y;
}

/* Are n bytes the same? Word by word, the last one over the one before; a call of memcmp for each name is felt in emit. */
static bool same_bytes(const char *a, const char *b, size_t n) {
    enum { WORD = sizeof(uint64_t) };
    if (n < WORD) return memcmp(a, b, n) == 0;
    for (size_t i = 0; i + WORD < n; i += WORD)
        if (!same_word(a + i, b + i)) return false;
    return same_word(a + n - WORD, b + n - WORD);
}

/* A name out of our own source is mostly the table's very text, as the linker keeps one of each. Names of one length differ most often
 * at their end: look there first. */
static bool same_name(const char *name, size_t name_bytes, struct lt_str text) {
    if (name == text.p) return name_bytes == text.n;
    return name_bytes == text.n && name_bytes > 0 && name[name_bytes - 1] == text.p[text.n - 1] && same_bytes(name, text.p, text.n);
}

enum lt_event_id lt_event_find(struct lt_str event_type) {
    for (int i = 0; i < LT_EVENT_COUNT; i++)
        if (same_name(lt_event_types[i].name, lt_event_types[i].name_bytes, event_type)) return (enum lt_event_id)i;
    return LT_EVENT_UNKNOWN;
}

static struct lt_str str_of(yyjson_val *value) {
    return (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)};
}

static bool all_of(yyjson_val *list, bool (*is)(yyjson_val *)) {
    if (!yyjson_is_arr(list)) return false;
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(list, i, max, item) {
        if (!is(item)) return false;
    }
    return true;
}

static bool is_str(yyjson_val *v) { return yyjson_is_str(v); }
static bool is_obj(yyjson_val *v) { return yyjson_is_obj(v); }

static bool has_type(yyjson_val *value, enum lt_field_type type) {
    int64_t us;
    switch (type) {
    case LT_FIELD_STR: return yyjson_is_str(value);
    case LT_FIELD_INT: return yyjson_is_sint(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) <= INT64_MAX);
    case LT_FIELD_NUM: return yyjson_is_num(value);
    case LT_FIELD_BOOL: return yyjson_is_bool(value);
    case LT_FIELD_UUID: return yyjson_is_str(value) && lt_uuid_valid(str_of(value));
    case LT_FIELD_TIME: return yyjson_is_str(value) && lt_time_parse(str_of(value), &us);
    case LT_FIELD_MAP: return yyjson_is_obj(value);
    case LT_FIELD_LIST: return yyjson_is_arr(value);
    case LT_FIELD_LIST_STR: return all_of(value, is_str);
    case LT_FIELD_LIST_MAP: return all_of(value, is_obj);
    case LT_FIELD_ANY: return true;
    }
    return false;
}

static bool value_fits(const struct lt_field *field, yyjson_val *value) {
    if (yyjson_is_null(value)) return field->need != LT_FIELD_REQ;
    return has_type(value, field->type);
}

/* Looks from *index on, round the table: writers give the fields mostly in its order. */
static const struct lt_field *field_find(const struct lt_event_type *type, struct lt_str name, size_t *index) {
    size_t i = *index < type->field_count ? *index : 0;
    for (size_t tried = 0; tried < type->field_count; tried++, i = i + 1 < type->field_count ? i + 1 : 0) {
        if (!same_name(type->fields[i].name, type->fields[i].name_bytes, name)) continue;
        *index = i;
        return &type->fields[i];
    }
    return NULL;
}

static int fail_type(const struct lt_event_type *type, const struct lt_field *field, yyjson_val *value, struct litmus_error *error) {
    return lt_fail(error, LITMUS_EEVENT, 0, "event %s: field \"%s\" must be %s, not %s", type->name, field->name,
                   type_names[field->type], yyjson_is_null(value) ? "null" : yyjson_get_type_desc(value));
}

static int fail_unknown_field(const struct lt_event_type *type, struct lt_str name, struct litmus_error *error) {
    const char *nearest = NULL;
    for (size_t i = 0; i < type->field_count; i++) nearest = lt_nearer(name, nearest, type->fields[i].name);
    if (nearest != NULL)
        return lt_fail(error, LITMUS_EEVENT, 0, "event %s has no field \"%.*s\": did you mean \"%s\"? (own fields start with x_)",
                       type->name, (int)(name.n > 100 ? 100 : name.n), name.p, nearest);
    return lt_fail(error, LITMUS_EEVENT, 0, "event %s has no field \"%.*s\" (own fields start with x_)", type->name,
                   (int)(name.n > 100 ? 100 : name.n), name.p);
}

/* In the order in which every event begins with it. No field has one of these names. */
#define NAME(text) {text, sizeof(text) - 1}
static const struct lt_str envelope[] = {NAME("id"), NAME("event_type"), NAME("occurred_at"), NAME("received_at"), NAME("session_id"), NAME("run_id")};
#undef NAME
enum { ENVELOPE_COUNT = sizeof envelope / sizeof envelope[0] };

static bool in_envelope(struct lt_str name) {
    for (size_t i = 0; i < ENVELOPE_COUNT; i++)
        if (lt_str_eq(envelope[i], name)) return true;
    return false;
}

/* A set of the fields that a payload has; no type has more fields than bits. */
typedef uint64_t field_set;
_Static_assert(sizeof fields_RUN_STARTED / sizeof fields_RUN_STARTED[0] <= LT_EVENT_FIELDS_MAX, "field_set is too small");

/* `next` is where the search for the field starts; moved behind the field that was found. */
static int check_member(const struct lt_event_type *type, struct lt_str name, yyjson_val *value, field_set *seen, size_t *next,
                        struct litmus_error *error) {
    const struct lt_field *field = type == NULL ? NULL : field_find(type, name, next);
    if (field == NULL && in_envelope(name))
        return lt_fail(error, LITMUS_EEVENT, 0, "event %s: \"%.*s\" belongs to the envelope, not to the payload", type == NULL ? "" : type->name, (int)name.n, name.p);
    if (type == NULL) return LITMUS_OK;
    if (field == NULL) return name.n >= 2 && memcmp(name.p, "x_", 2) == 0 ? LITMUS_OK : fail_unknown_field(type, name, error);
    size_t i = (*next)++;
    if (*seen & ((field_set)1 << i))
        return lt_fail(error, LITMUS_EEVENT, 0, "event %s: field \"%s\" is there twice", type->name, field->name);
    *seen |= (field_set)1 << i;
    return value_fits(field, value) ? LITMUS_OK : fail_type(type, field, value, error);
}

static int check_scope(struct lt_str name, const struct lt_event_type *type, bool has_run_id, struct litmus_error *error) {
    if (type->scope == LT_SCOPE_NO_RUN && has_run_id)
        return lt_fail(error, LITMUS_EEVENT, 0, "event %.*s: field \"run_id\" must be null for an event of the session", LT_STR_ARG(name));
    if (type->scope == LT_SCOPE_RUN && !has_run_id)
        return lt_fail(error, LITMUS_EEVENT, 0, "event %.*s: field \"run_id\" is missing", LT_STR_ARG(name));
    return LITMUS_OK;
}

/* "vendor.thing" is welcome; "test.step_strated" is a slip of the pen. */
static int check_unknown_type(struct lt_str name, struct litmus_error *error) {
    const char *nearest = NULL;
    size_t dot = 0;
    while (dot < name.n && name.p[dot] != '.') dot++;
    bool ok = dot > 0 && dot + 1 < name.n && name.n <= 128;
    for (size_t i = 0; ok && i < name.n; i++)
        ok = (name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= '0' && name.p[i] <= '9') || strchr("._-", name.p[i]) != NULL;
    if (!ok) return lt_fail(error, LITMUS_EEVENT, 0, "field \"event_type\" must be lower-case words joined with dots, like test.record");
    for (int i = 0; i < LT_EVENT_COUNT; i++) {
        if (strncmp(lt_event_types[i].name, name.p, dot + 1) == 0) ok = false;
        nearest = lt_nearer(name, nearest, lt_event_types[i].name);
    }
    if (ok) return LITMUS_OK;
    return lt_fail(error, LITMUS_EEVENT, 0, "field \"event_type\": there is no event \"%.*s\"%s%s", LT_STR_ARG(name),
                   nearest == NULL ? "" : ": did you mean ", nearest == NULL ? "" : nearest);
}

static int append_members(const struct lt_event_type *type, yyjson_val *payload, struct lt_str text, struct lt_buf *out,
                          field_set *seen, struct litmus_error *error) {
    size_t i, max, next = 0;
    yyjson_val *key, *value;
    yyjson_obj_foreach(payload, i, max, key, value) {
        int code = check_member(type, str_of(key), value, seen, &next, error);
        if (code != LITMUS_OK) return code;
        if (text.p != NULL) continue;
        /* no text to splice: write member by member */
        size_t key_n = 0, value_n = 0;
        char *key_text = yyjson_val_write(key, 0, &key_n);
        char *value_text = yyjson_val_write(value, YYJSON_WRITE_INF_AND_NAN_AS_NULL, &value_n);
        if (key_text == NULL || value_text == NULL) out->failed = true;
        lt_buf_add_char(out, ',');
        lt_buf_add(out, key_text, key_n);
        lt_buf_add_char(out, ':');
        lt_buf_add(out, value_text, value_n);
        free(key_text);
        free(value_text);
    }
    return LITMUS_OK;
}

/* Appends the inside of `{...}` as it stands. */
static void append_text(struct lt_str text, struct lt_buf *out) {
    const char *from = text.p, *to = text.p + text.n;
    while (from < to && *from != '{') from++;
    while (to > from && to[-1] != '}') to--;
    if (to - from < 2) return;
    lt_buf_add_char(out, ',');
    lt_buf_add(out, from + 1, (size_t)(to - from) - 2);
}

/* Fields that are missing side by side, which most are, are one copy. */
static int append_defaults(const struct lt_event_type *type, field_set seen, struct lt_buf *out, struct litmus_error *error) {
    const char *member = type->defaults, *first = member; /* first: where the missing ones before `member` begin */
    for (size_t i = 0; i < type->field_count; i++) {
        const struct lt_field *field = &type->fields[i];
        const char *next = member + field->member_bytes;
        if (seen & ((field_set)1 << i)) {
            lt_buf_add(out, first, (size_t)(member - first));
            first = next;
        } else if (field->need != LT_FIELD_OPT) {
            return lt_fail(error, LITMUS_EEVENT, 0, "event %s: field \"%s\" is missing", type->name, field->name);
        }
        member = next;
    }
    lt_buf_add(out, first, (size_t)(member - first));
    return LITMUS_OK;
}

int lt_event_complete(enum lt_event_id id, struct lt_str event_type, bool has_run_id, yyjson_val *payload, struct lt_str text, struct lt_buf *out,
                      struct litmus_error *error) {
    const struct lt_event_type *type = id == LT_EVENT_UNKNOWN ? NULL : &lt_event_types[id];
    int code = type == NULL ? check_unknown_type(event_type, error) : check_scope(event_type, type, has_run_id, error);
    if (code == LITMUS_OK && payload != NULL && !yyjson_is_obj(payload))
        code = lt_fail(error, LITMUS_EEVENT, 0, "event %.*s: the payload must be a JSON object", LT_STR_ARG(event_type));
    field_set seen = 0;
    if (code == LITMUS_OK && payload != NULL) {
        code = append_members(type, payload, text, out, &seen, error);
        if (code == LITMUS_OK && text.p != NULL && yyjson_obj_size(payload) > 0) append_text(text, out);
    }
    if (code == LITMUS_OK && type != NULL) code = append_defaults(type, seen, out, error);
    if (code == LITMUS_OK && out->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an event");
    return code;
}

bool lt_event_read(enum lt_event_id id, yyjson_val *root, struct lt_event_values *out, const char **bad_field) {
    const struct lt_event_type *type = &lt_event_types[id];
    *out = (struct lt_event_values){.type = type, .root = root};
    size_t m, max, index = 0;
    yyjson_val *key, *value;
    yyjson_obj_foreach(root, m, max, key, value) {
        if (m < ENVELOPE_COUNT && same_name(envelope[m].p, envelope[m].n, str_of(key))) continue;
        if (field_find(type, str_of(key), &index) == NULL) continue;
        if (out->values[index] == NULL) out->values[index] = value;
        index++;
    }
    for (size_t i = 0; i < type->field_count; i++) {
        const struct lt_field *field = &type->fields[i];
        bool fits = out->values[i] == NULL ? field->need == LT_FIELD_OPT : value_fits(field, out->values[i]);
        if (fits) continue;
        *bad_field = field->name;
        return false;
    }
    return true;
}

bool lt_event_readable(enum lt_event_id id, yyjson_val *root, const char **bad_field) {
    struct lt_event_values values;
    return lt_event_read(id, root, &values, bad_field);
}

yyjson_val *lt_event_value(struct lt_event_values *values, struct lt_str name) {
    if (field_find(values->type, name, &values->next) == NULL) return yyjson_obj_getn(values->root, name.p, name.n);
    return values->values[values->next++];
}
