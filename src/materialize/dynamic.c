/* SPDX-License-Identifier: Apache-2.0
 *
 * Values are collected into their column once (row number and value), so that filling a column
 * costs its own values and not a search of every row.
 */
#include "materialize/dynamic.h"

#include "accumulate/values.h"
#include "base/json_text.h"

#include <stdio.h>
#include <stdlib.h>

enum kind { KIND_IN, KIND_OUT, KIND_CUSTOM, KIND_INSTRUMENT };
static const char *const prefixes[] = {"in_", "out_", "custom_", "step_instruments_"};

static const char *const instrument_names[14] = {"name",   "id",       "driver",  "resource", "protocol",        "manufacturer", "model",
                                                 "serial", "firmware", "cal_due", "cal_last", "cal_certificate", "cal_lab",      "mocked"};

struct cell {
    size_t row;
    const struct lt_value *value;
};

struct lt_dynamic_column {
    const char *name;
    enum kind kind;
    int instrument_field; /* of KIND_INSTRUMENT; 13: mocked */
    enum lt_column_type type;
    struct cell *cells; /* by row, ascending */
    size_t count, capacity;
    bool has_bool, has_int, has_real, has_str, has_strs, has_json;
};

static struct lt_dynamic_column *column_add(struct lt_dynamic *d, enum kind kind, struct lt_str key) {
    void *columns = d->columns;
    if (!lt_grow(&d->arena, &columns, d->count, &d->capacity, sizeof *d->columns)) return NULL;
    d->columns = columns;
    size_t prefix_n = strlen(prefixes[kind]);
    char *name = lt_arena_alloc(&d->arena, prefix_n + key.n + 1);
    if (name == NULL) return NULL;
    memcpy(name, prefixes[kind], prefix_n);
    if (key.n > 0) memcpy(name + prefix_n, key.p, key.n);
    for (size_t i = 0; i < prefix_n + key.n; i++)
        if (name[i] == '\0') name[i] = '_'; /* a column name cannot hold a NUL */
    d->columns[d->count] = (struct lt_dynamic_column){.name = name, .kind = kind};
    return &d->columns[d->count++];
}

static bool collect(struct lt_dynamic *d, enum kind kind, const struct lt_values *values, size_t row) {
    for (size_t i = 0; i < values->count; i++) {
        const struct lt_value *value = &values->items[i];
        uint32_t number = lt_map_get(&d->by_key, value->key, kind);
        if (number == LT_MAP_NONE) {
            number = (uint32_t)d->count;
            if (column_add(d, kind, value->key) == NULL || !lt_map_put(&d->by_key, value->key, kind, number)) return false;
        }
        struct lt_dynamic_column *c = &d->columns[number];
        void *cells = c->cells;
        if (!lt_grow(&d->arena, &cells, c->count, &c->capacity, sizeof *c->cells)) return false;
        c->cells = cells;
        c->cells[c->count++] = (struct cell){row, value};
        c->has_bool |= value->kind == LT_VALUE_BOOL;
        c->has_int |= value->kind == LT_VALUE_INT;
        c->has_real |= value->kind == LT_VALUE_REAL;
        c->has_str |= value->kind == LT_VALUE_STR;
        c->has_strs |= value->kind == LT_VALUE_STRS;
        c->has_json |= value->kind == LT_VALUE_JSON;
    }
    return true;
}

/* One type for all values of a column (run-schema.md, 3.1). */
static enum lt_column_type type_of(const struct lt_dynamic_column *c) {
    bool number = c->has_int || c->has_real;
    if (c->has_str || c->has_json) return LT_COLUMN_STR;
    if (c->has_strs) return c->has_bool || number ? LT_COLUMN_STR : LT_COLUMN_STRS;
    if (c->has_bool) return number ? LT_COLUMN_STR : LT_COLUMN_BOOL;
    if (c->has_real) return LT_COLUMN_REAL;
    return c->has_int ? LT_COLUMN_INT : LT_COLUMN_STR;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct lt_dynamic_column *)a)->name, ((const struct lt_dynamic_column *)b)->name);
}

static bool collect_all(struct lt_dynamic *d) {
    const struct lt_run *run = d->run;
    bool ok = collect(d, KIND_CUSTOM, &run->custom, 0);
    for (size_t i = 0; ok && i < run->step_count; i++) {
        const struct lt_step *step = &run->steps[run->order[i]];
        ok = collect(d, KIND_IN, &step->inputs, 1 + i) && collect(d, KIND_OUT, &step->outputs, 1 + i);
    }
    for (size_t i = 0; ok && i < run->measurement_count; i++) {
        const struct lt_measurement *m = &run->measurements[i];
        size_t row = 1 + run->step_count + i;
        ok = collect(d, KIND_IN, &m->inputs, row) && collect(d, KIND_OUT, &m->outputs, row) && collect(d, KIND_CUSTOM, &m->custom, row);
    }
    for (size_t i = 0; ok && i < d->count; i++) d->columns[i].type = type_of(&d->columns[i]);
    for (int i = 0; ok && i < 14; i++) {
        struct lt_dynamic_column *c = column_add(d, KIND_INSTRUMENT, lt_str_of(instrument_names[i]));
        ok = c != NULL;
        if (!ok) break;
        c->instrument_field = i;
        c->type = i == 13 ? LT_COLUMN_BOOLS : LT_COLUMN_STRS;
    }
    return ok;
}

/* Two keys can give one name only through a replaced NUL: the later ones get a number. */
static bool tell_apart(struct lt_dynamic *d) {
    for (size_t i = 1; i < d->count; i++) {
        if (strcmp(d->columns[i].name, d->columns[i - 1].name) != 0) continue;
        size_t n = strlen(d->columns[i].name) + 24;
        char *name = lt_arena_alloc(&d->arena, n);
        if (name == NULL) return false;
        snprintf(name, n, "%s__%zu", d->columns[i].name, i);
        d->columns[i].name = name;
    }
    return true;
}

int lt_dynamic_init(struct lt_dynamic *d, const struct lt_run *run, struct litmus_error *error) {
    *d = (struct lt_dynamic){.run = run};
    lt_arena_init(&d->arena);
    lt_map_init(&d->by_key);
    bool ok = collect_all(d);
    lt_map_release(&d->by_key);
    if (ok) qsort(d->columns, d->count, sizeof *d->columns, compare_names);
    if (ok && tell_apart(d)) return LITMUS_OK;
    lt_dynamic_release(d);
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the columns of run %.*s", LT_STR_ARG(run->run_id));
}

void lt_dynamic_release(struct lt_dynamic *d) {
    lt_map_release(&d->by_key);
    lt_arena_release(&d->arena);
    d->columns = NULL;
    d->count = d->capacity = 0;
}

/* In a column of mixed kinds strings stay and everything else becomes its JSON text. */
static void put_as_text(struct lt_build *build, const struct lt_value *v) {
    char text[LT_REAL_BYTES];
    switch (v->kind) {
    case LT_VALUE_BOOL: lt_put_str(build, v->i ? LT_STR("true") : LT_STR("false")); return;
    case LT_VALUE_INT: snprintf(text, sizeof text, "%lld", (long long)v->i); break;
    case LT_VALUE_REAL:
        lt_real_text(v->d, text);
        break;
    default: lt_put_str(build, v->s); return; /* text, or JSON text; NULL: null */
    }
    lt_put_str(build, lt_str_of(text));
}

static void put_cell(struct lt_build *build, enum lt_column_type type, const struct lt_value *v) {
    if (v->kind == LT_VALUE_NULL) {
        lt_put_null(build);
    } else if (type == LT_COLUMN_STR) {
        put_as_text(build, v);
    } else if (type == LT_COLUMN_REAL) {
        lt_put_real(build, v->kind == LT_VALUE_INT ? (double)v->i : v->d);
    } else if (type == LT_COLUMN_STRS) {
        for (size_t i = 0; i < v->strs_count; i++) lt_list_item_str(build, v->strs[i]);
        lt_list_end(build);
    } else {
        lt_put_int(build, v->i);
    }
}

static void put_list(struct lt_build *build, const struct lt_run *run, int field) {
    for (size_t i = 0; i < run->instrument_count; i++) {
        if (field == 13) lt_list_item_int(build, true, run->instruments[i].mocked);
        else lt_list_item_str(build, run->instruments[i].field[field]);
    }
    lt_list_end(build);
}

static void put_instruments(struct lt_build *build, const struct lt_run *run, int field, size_t rows) {
    put_list(build, run, field);
    if (run->instrument_count == 0) lt_put_again(build, (int64_t)rows - 1);
    else for (size_t row = 1; row < rows; row++) put_list(build, run, field);
}

/* The cells that have a value, and NULL between them. */
static void put_cells(struct lt_build *build, const struct lt_dynamic_column *c, size_t rows) {
    size_t next = 0; /* row */
    for (size_t i = 0; i < c->count; i++) {
        lt_put_nulls(build, (int64_t)(c->cells[i].row - next));
        put_cell(build, c->type, c->cells[i].value);
        next = c->cells[i].row + 1;
    }
    lt_put_nulls(build, (int64_t)(rows - next));
}

void lt_dynamic_put(struct lt_dynamic *d, struct lt_build *build) {
    size_t rows = 1 + d->run->step_count + d->run->measurement_count;
    for (size_t i = 0; i < d->count; i++) {
        const struct lt_dynamic_column *c = &d->columns[i];
        lt_build_column(build, c->name, c->type);
        if (c->kind != KIND_INSTRUMENT) put_cells(build, c, rows);
        else put_instruments(build, d->run, c->instrument_field, rows);
    }
}
