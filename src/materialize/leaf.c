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

static void add_texts(struct lt_leaf *leaf, const struct ArrowArrayView *view, int64_t from, int64_t to) {
    const int32_t *offsets = view->buffer_views[1].data.as_int32;
    const char *text = view->buffer_views[2].data.as_char;
    carquet_byte_array_t *room = leaf->room;
    for (int64_t at = from; at < to; at++)
        if (is_there(view, at)) room[leaf->count++] = (carquet_byte_array_t){text == NULL ? NULL : (uint8_t *)text + offsets[at], offsets[at + 1] - offsets[at]};
}

static void add_bits(struct lt_leaf *leaf, const struct ArrowArrayView *view, int64_t from, int64_t to) {
    for (int64_t at = from; at < to; at++)
        if (is_there(view, at)) ((uint8_t *)leaf->room)[leaf->count++] = ArrowBitGet(view->buffer_views[1].data.as_uint8, at);
}

/* Numbers of 4 or 8 bytes: what side by side is there goes in one piece. */
static void add_numbers(struct lt_leaf *leaf, const struct ArrowArrayView *view, int64_t from, int64_t to) {
    size_t width = (size_t)view->layout.element_size_bits[1] / 8;
    for (int64_t at = from, first; at < to; at++) {
        for (first = at; at < to && is_there(view, at);) at++;
        memcpy((char *)leaf->room + (size_t)leaf->count * width, view->buffer_views[1].data.as_char + (size_t)first * width, (size_t)(at - first) * width);
        leaf->count += at - first;
    }
}

/* Cells of a column or elements of a list: `null` is the level of one that is not there. */
static void add_cells(struct lt_leaf *leaf, const struct ArrowArrayView *view, int64_t from, int64_t to, int16_t null) {
    from += view->offset;
    to += view->offset;
    for (int64_t at = from; at < to; at++) leaf->def[leaf->levels++] = (int16_t)(null + is_there(view, at));
    if (view->storage_type == NANOARROW_TYPE_STRING) add_texts(leaf, view, from, to);
    else if (view->storage_type == NANOARROW_TYPE_BOOL) add_bits(leaf, view, from, to);
    else add_numbers(leaf, view, from, to);
}

static void fill_levels(struct lt_leaf *leaf, int16_t def, int64_t count) {
    for (int64_t i = 0; i < count; i++) leaf->def[i] = def;
    leaf->levels = count;
}

/* Most columns of most runs are NULL all the way down, or have a value in every cell. */
static void take_flat(struct lt_leaf *leaf, const struct ArrowArrayView *view) {
    bool lies_packed = view->storage_type != NANOARROW_TYPE_STRING && view->storage_type != NANOARROW_TYPE_BOOL;
    if (view->null_count == view->length) {
        fill_levels(leaf, 0, view->length);
    } else if (view->null_count == 0 && lies_packed) {
        fill_levels(leaf, 1, view->length);
        leaf->values = view->buffer_views[1].data.as_uint8 + view->offset * (view->layout.element_size_bits[1] / 8);
    } else {
        add_cells(leaf, view, 0, view->length, 0);
    }
}

static void take_lists(struct lt_leaf *leaf, const struct ArrowArrayView *view) {
    const int32_t *offsets = view->buffer_views[1].data.as_int32;
    for (int64_t row = 0; row < view->length; row++) {
        int64_t at = view->offset + row, first = leaf->levels;
        bool null = ArrowArrayViewIsNull(view, row);
        if (null || offsets[at] == offsets[at + 1]) leaf->def[leaf->levels++] = null ? LIST_NULL : LIST_EMPTY;
        else add_cells(leaf, view->children[0], offsets[at], offsets[at + 1], ELEMENT_NULL);
        for (int64_t i = first; i < leaf->levels; i++) leaf->rep[i] = i > first;
    }
}

carquet_status_t lt_leaf_write(struct lt_leaf *leaf, carquet_writer_t *writer, int32_t column, const struct ArrowArrayView *view) {
    bool is_list = view->storage_type == NANOARROW_TYPE_LIST;
    if (!make_room(leaf, view->length + (is_list ? view->children[0]->length : 0) + 1)) return CARQUET_ERROR_OUT_OF_MEMORY;
    leaf->levels = leaf->count = 0;
    leaf->values = leaf->room;
    if (is_list) take_lists(leaf, view);
    else take_flat(leaf, view);
    return carquet_writer_write_batch(writer, column, leaf->values, leaf->levels, leaf->def, is_list ? leaf->rep : NULL);
}
