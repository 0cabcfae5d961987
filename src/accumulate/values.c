/* SPDX-License-Identifier: Apache-2.0 */
#include "accumulate/values.h"

#include "base/clock.h"

#include <stdlib.h>

struct lt_str lt_as_str(yyjson_val *value) {
    return yyjson_is_str(value) ? (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)} : LT_STR_NULL;
}

struct lt_int lt_as_int(yyjson_val *value) {
    bool fits = yyjson_is_sint(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) <= INT64_MAX);
    return fits ? (struct lt_int){yyjson_get_sint(value), true} : (struct lt_int){0, false};
}

struct lt_real lt_as_real(yyjson_val *value) {
    return yyjson_is_num(value) ? (struct lt_real){yyjson_get_num(value), true} : (struct lt_real){0, false};
}

struct lt_int lt_as_time(yyjson_val *value) {
    struct lt_int time = {0, false};
    time.set = lt_time_parse(lt_as_str(value), &time.v);
    return time;
}

struct lt_str lt_get_str(struct lt_arena *arena, yyjson_val *object, const char *name) {
    return lt_arena_str(arena, lt_as_str(yyjson_obj_get(object, name)));
}

struct lt_int lt_get_int(yyjson_val *object, const char *name) {
    return lt_as_int(yyjson_obj_get(object, name));
}

bool lt_grow(struct lt_arena *arena, void **items, size_t count, size_t *capacity, size_t item_bytes) {
    if (count < *capacity) return true;
    size_t larger = *capacity == 0 ? 4 : *capacity < 64 ? *capacity * 2 : *capacity + *capacity / 4; /* large ones grow in place */
    void *p = lt_arena_grow(arena, *items, count * item_bytes, larger * item_bytes);
    if (p == NULL) return false;
    *items = p;
    *capacity = larger;
    return true;
}

static bool strings_only(yyjson_val *list) {
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(list, i, max, item) {
        if (!yyjson_is_str(item)) return false;
    }
    return true;
}

static bool take_json(struct lt_arena *arena, struct lt_value *out, yyjson_val *value) {
    size_t n = 0;
    char *text = yyjson_val_write(value, 0, &n);
    if (text == NULL) return false;
    out->s = lt_arena_str(arena, (struct lt_str){text, n});
    free(text);
    return out->s.p != NULL;
}

static bool take_strings(struct lt_arena *arena, struct lt_value *out, yyjson_val *list) {
    out->strs_count = yyjson_arr_size(list);
    out->strs = lt_arena_alloc(arena, out->strs_count * sizeof *out->strs);
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(list, i, max, item) {
        out->strs[i] = lt_arena_str(arena, (struct lt_str){yyjson_get_str(item), yyjson_get_len(item)});
    }
    return take_json(arena, out, list);
}

static bool take_value(struct lt_arena *arena, struct lt_value *out, yyjson_val *value) {
    struct lt_str key = out->key;
    *out = (struct lt_value){.key = key, .kind = LT_VALUE_NULL};
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_BOOL:
        out->kind = LT_VALUE_BOOL;
        out->i = yyjson_get_bool(value);
        return true;
    case YYJSON_TYPE_NUM:
        out->kind = LT_VALUE_INT;
        if (yyjson_is_real(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX)) out->kind = LT_VALUE_REAL;
        out->i = yyjson_get_sint(value);
        out->d = yyjson_get_num(value);
        return true;
    case YYJSON_TYPE_STR:
        out->kind = LT_VALUE_STR;
        out->s = lt_arena_str(arena, (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)});
        return out->s.p != NULL;
    case YYJSON_TYPE_ARR:
        out->kind = strings_only(value) ? LT_VALUE_STRS : LT_VALUE_JSON;
        return out->kind == LT_VALUE_STRS ? take_strings(arena, out, value) : take_json(arena, out, value);
    case YYJSON_TYPE_OBJ:
        out->kind = LT_VALUE_JSON;
        return take_json(arena, out, value);
    default: return true;
    }
}

bool lt_values_set(struct lt_arena *arena, struct lt_values *values, struct lt_str key, yyjson_val *value, bool replace) {
    if (key.n > 0 && key.p[0] == '_') return true;
    for (size_t i = 0; i < values->count; i++) {
        if (!lt_str_eq(values->items[i].key, key)) continue;
        return replace ? take_value(arena, &values->items[i], value) : true;
    }
    void *items = values->items;
    if (!lt_grow(arena, &items, values->count, &values->capacity, sizeof *values->items)) return false;
    values->items = items;
    struct lt_value *item = &values->items[values->count];
    item->key = lt_arena_str(arena, key);
    if (item->key.p == NULL || !take_value(arena, item, value)) return false;
    values->count++;
    return true;
}

bool lt_values_merge(struct lt_arena *arena, struct lt_values *values, yyjson_val *object, bool replace) {
    if (!yyjson_is_obj(object)) return true;
    size_t i, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, max, key, value) {
        struct lt_str name = {yyjson_get_str(key), yyjson_get_len(key)};
        if (!lt_values_set(arena, values, name, value, replace)) return false;
    }
    return true;
}

struct lt_str lt_without_parameters(struct lt_str name) {
    const char *bracket = name.n > 2 && name.p[name.n - 1] == ']' ? memchr(name.p, '[', name.n) : NULL;
    return bracket == NULL || bracket == name.p ? name : (struct lt_str){name.p, (size_t)(bracket - name.p)};
}

static struct lt_str last_part(struct lt_str path) {
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/') return (struct lt_str){path.p + i, path.n - i};
    return path;
}

struct lt_str lt_item_name(const struct lt_plan_item *item) {
    if (item->function.n > 0) return lt_without_parameters(item->function);
    if (item->name.n > 0) return lt_without_parameters(item->name);
    return item->step_path.n > 0 ? last_part(item->step_path) : item->node_id;
}
