/* SPDX-License-Identifier: Apache-2.0 */
#include "emit/station.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/hex.h"

/* A clock that is slewed (at most 500 us a second) is not one that was set. */
enum { STEP_US = 100 * 1000, SLEW_PER_US = 1000, TRIES_MAX = 5 };

/* Wall clock less boot clock, read side by side: whoever is held up in between reads them again. */
static int64_t read_offset(const struct lt_station *station, int64_t *at) {
    int64_t before, wall;
    int tries = 0;
    do {
        before = lt_boot_us();
        wall = station->wall();
        *at = lt_boot_us();
    } while (*at - before > STEP_US / 4 && ++tries < TRIES_MAX);
    return wall - before;
}

void lt_station_init(struct lt_station *station, const char *data_dir) {
    *station = (struct lt_station){.wall = lt_now_us};
    station->clock_offset = read_offset(station, &station->clock_at);
    lt_key_place_init(&station->place);
    int code = lt_signing_key_find(NULL, data_dir, &station->place.path, &station->key_error);
    if (code == LITMUS_OK) (void)!lt_key_place_get(&station->place, &station->key, &station->key_error);
}

void lt_station_release(struct lt_station *station) {
    lt_key_place_release(&station->place);
}

static yyjson_mut_val *list_of(const struct lt_heads *heads, yyjson_mut_doc *doc) {
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    for (size_t i = 0; i < heads->count && i < LT_HEADS_NAMED_MAX; i++) {
        char chain[2 * LT_CHAIN_BYTES + 1];
        lt_hex_text(heads->items[i].chain, LT_CHAIN_BYTES, chain);
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, one, "identity", heads->items[i].identity);
        yyjson_mut_obj_add_int(doc, one, "rows", heads->items[i].rows);
        yyjson_mut_obj_add_strcpy(doc, one, "chain", chain);
    }
    return list;
}

void lt_station_describe(const struct lt_station *station, const struct lt_heads *heads, yyjson_mut_doc *doc, yyjson_mut_val *root) {
    char id[LT_KEY_ID_BYTES];
    if (station->key != NULL && yyjson_mut_obj_get(root, "signing_key") == NULL) {
        lt_key_id(lt_key_public(station->key), id);
        yyjson_mut_obj_add_strcpy(doc, root, "signing_key", id);
    }
    if (heads != NULL && yyjson_mut_obj_get(root, "previous_logs") == NULL) yyjson_mut_obj_add_val(doc, root, "previous_logs", list_of(heads, doc));
    if (yyjson_mut_obj_get(root, "boot_clock_us") == NULL) yyjson_mut_obj_add_int(doc, root, "boot_clock_us", station->clock_at);
}

static bool is_step(const struct lt_station *station, int64_t at, int64_t offset) {
    int64_t step = offset - station->clock_offset, allowed = STEP_US + (at - station->clock_at) / SLEW_PER_US;
    return step > allowed || step < -allowed;
}

int64_t lt_station_clock_step(struct lt_station *station, int64_t received_at) {
    int64_t at = lt_boot_us(), offset = received_at - at;
    if (is_step(station, at, offset)) offset = read_offset(station, &at); /* or was the event just long on its way to the disk? */
    int64_t step = is_step(station, at, offset) ? offset - station->clock_offset : 0;
    station->clock_at = at;
    station->clock_offset = offset;
    return step;
}
