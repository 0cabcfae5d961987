/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/leaf.h"

#include <stdlib.h>
#include <string.h>

/* Of a list: down to which level it is there. An element that is there is one above ELEMENT_NULL. */
enum { LIST_NULL = 0, LIST_EMPTY = 1, ELEMENT_NULL = 2 };

void lt_leaf_init(struct lt_leaf *leaf) {
    *leaf = (struct lt_leaf){.def = NULL};
}

void lt_leaf_release(struct lt_leaf *leaf) {
    free(leaf->def);
    free(leaf->rep);
    free(leaf->room);
    lt_leaf_init(leaf);
}

/* Room for so many cells; what is in it is lost. */
static bool make_room(struct lt_leaf *leaf, int64_t cells) {
    if (cells <= leaf->capacity) return true;
    lt_leaf_release(leaf);
    leaf->def = malloc((size_t)cells * sizeof *leaf->def);
    leaf->rep = malloc((size_t)cells * sizeof *leaf->rep);
    leaf->room = malloc((size_t)cells * sizeof(carquet_byte_array_t)); /* the widest of all values */
    if (leaf->def == NULL || leaf->rep == NULL || leaf->room == NULL) return false;
    leaf->capacity = cells;
    return true;
}

static bool is_there(const struct ArrowArrayView *view, int64_t at) {
    const uint8_t *valid = view->buffer_views[0].data.as_uint8;
    return valid == NULL || ArrowBitGet(valid, at);
}

/* Where the cells from `at` on end that are there, or are not, as the first of them: eight at once where a whole byte of their bits is alike. */
static int64_t end_of_stretch(const struct ArrowArrayView *view, int64_t at, int64_t to) {
    const uint8_t *valid = view->buffer_views[0].data.as_uint8;
    bool there = is_there(view, at);
    uint8_t eight = there ? 0xff : 0;
    if (valid == NULL) return to;
    while (at < to)
        if (at % 8 == 0 && to - at >= 8 && valid[at / 8] == eight) at += 8;
        else if (is_there(view, at) == there) at++;
        else break;
    return at;
}

/* Cells side by side, all of which are there. */
static void add_texts(struct lt_leaf *leaf, const struct ArrowArrayView *view, int64_t from, int64_t to) {
    const int32_t *offsets = view->buffer_views[1].data.as_int32;
    const char *text = view->buffer_views[2].data.as_char;
    carquet_byte_array_t *room = (carquet_byte_array_t *)leaf->room + leaf->count;
    for (int64_t at = from; at < to; at++) *room++ = (carquet_byte_array_t){text == NULL ? NULL : (uint8_t *)text + offsets[at], offsets[at + 1] - offsets[at]};
}

static void add_bits(struct lt_leaf *leaf, const struct ArrowArrayView *view, int64_t from, int64_t to) {
    uint8_t *room = (uint8_t *)leaf->room + leaf->count;
    for (int64_t at = from; at < to; at++) *room++ = (uint8_t)ArrowBitGet(view->buffer_views[1].data.as_uint8, at);
}

/* Numbers of 4 or 8 bytes. */
static void add_numbers(struct lt_leaf *leaf, const struct ArrowArrayView *view, int64_t from, int64_t to) {
    size_t width = (size_t)view->layout.element_size_bits[1] / 8;
    memcpy((char *)leaf->room + (size_t)leaf->count * width, view->buffer_views[1].data.as_char + (size_t)from * width, (size_t)(to - from) * width);
}

static void add_levels(struct lt_leaf *leaf, int16_t def, int64_t count) {
    for (int64_t i = 0; i < count; i++) leaf->def[leaf->levels + i] = def;
    leaf->levels += count;
}

/* Cells of a column or elements of a list: `null` is the level of one that is not there. */
static void add_cells(struct lt_leaf *leaf, const struct ArrowArrayView *view, int64_t from, int64_t to, int16_t null) {
    to += view->offset;
    for (int64_t at = from + view->offset, end; at < to; at = end) {
        bool there = is_there(view, at);
        end = end_of_stretch(view, at, to);
        add_levels(leaf, (int16_t)(null + there), end - at);
        if (!there) continue;
        if (view->storage_type == NANOARROW_TYPE_STRING) add_texts(leaf, view, at, end);
        else if (view->storage_type == NANOARROW_TYPE_BOOL) add_bits(leaf, view, at, end);
        else add_numbers(leaf, view, at, end);
        leaf->count += end - at;
    }
}

/* Most columns of most runs are NULL all the way down, or have a value in every cell. */
static void take_flat(struct lt_leaf *leaf, const struct ArrowArrayView *view) {
    bool lies_packed = view->storage_type != NANOARROW_TYPE_STRING && view->storage_type != NANOARROW_TYPE_BOOL;
    if (view->null_count == view->length) {
        add_levels(leaf, 0, view->length);
    } else if (view->null_count == 0 && lies_packed) {
        add_levels(leaf, 1, view->length);
        leaf->values = view->buffer_views[1].data.as_uint8 + view->offset * (view->layout.element_size_bits[1] / 8);
    } else {
        add_cells(leaf, view, 0, view->length, 0);
    }
}

static void take_lists(struct lt_leaf *leaf, const struct ArrowArrayView *view) {
    const int32_t *offsets = view->buffer_views[1].data.as_int32;
    if (view->null_count == 0 && view->children[0]->length == 0) { /* as where no instruments are connected */
        add_levels(leaf, LIST_EMPTY, view->length);
        memset(leaf->rep, 0, (size_t)view->length * sizeof *leaf->rep);
        return;
    }
    for (int64_t row = 0; row < view->length; row++) {
        int64_t at = view->offset + row, first = leaf->levels;
        bool null = ArrowArrayViewIsNull(view, row);
        if (null || offsets[at] == offsets[at + 1]) leaf->def[leaf->levels++] = null ? LIST_NULL : LIST_EMPTY;
        else add_cells(leaf, view->children[0], offsets[at], offsets[at + 1], ELEMENT_NULL);
        for (int64_t i = first; i < leaf->levels; i++) leaf->rep[i] = i > first;
    }
}

/* Levels from `from` on that make one row. *bytes, *count: of the texts in it, which begin with `text`. */
static int64_t row_of(const struct lt_leaf *leaf, bool is_list, int64_t from, const carquet_byte_array_t *text, int64_t *bytes, int64_t *count) {
    int64_t to = from;
    *bytes = *count = 0;
    do {
        if (leaf->def[to] == (is_list ? ELEMENT_NULL + 1 : 1)) *bytes += text[(*count)++].length;
        to++;
    } while (is_list && to < leaf->levels && leaf->rep[to] != 0);
    return to - from;
}

/* The library ends a page after a batch, or after 1024 texts of one, however long. */
static carquet_status_t write_long_texts(const struct lt_leaf *leaf, carquet_writer_t *writer, int32_t column, bool is_list) {
    const carquet_byte_array_t *texts = leaf->room;
    carquet_status_t status = CARQUET_OK;
    for (int64_t from = 0, to = 0; status == CARQUET_OK && from < leaf->levels; from = to) {
        int64_t bytes = 0, count = 0, more, with;
        while (to < leaf->levels) {
            int64_t levels = row_of(leaf, is_list, to, texts + count, &more, &with);
            if (to > from && bytes + more > LT_LEAF_BYTES) break;
            to += levels;
            bytes += more;
            count += with;
        }
        status = carquet_writer_write_batch(writer, column, texts, to - from, leaf->def + from, is_list ? leaf->rep + from : NULL);
        texts += count;
    }
    return status;
}

carquet_status_t lt_leaf_write(struct lt_leaf *leaf, carquet_writer_t *writer, int32_t column, const struct ArrowArrayView *view) {
    bool is_list = view->storage_type == NANOARROW_TYPE_LIST;
    if (!make_room(leaf, view->length + (is_list ? view->children[0]->length : 0) + 1)) return CARQUET_ERROR_OUT_OF_MEMORY;
    leaf->levels = leaf->count = 0;
    leaf->values = leaf->room;
    if (is_list) take_lists(leaf, view);
    else take_flat(leaf, view);
    const struct ArrowArrayView *cells = is_list ? view->children[0] : view;
    if (cells->storage_type == NANOARROW_TYPE_STRING && cells->buffer_views[2].size_bytes > LT_LEAF_BYTES) return write_long_texts(leaf, writer, column, is_list);
    return carquet_writer_write_column(writer, column, leaf->values, leaf->levels, leaf->def, is_list ? leaf->rep : NULL);
}
