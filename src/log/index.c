/* SPDX-License-Identifier: Apache-2.0 */
#include "log/index.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/grow.h"
#include "base/io.h"
#include "base/map.h"
#include "base/uuid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct day {
    struct stat st; /* as it was when it was listed */
    bool settled;   /* it cannot have changed since without another time stamp, and was listed to its end */
    bool of_all;    /* `logs` has those of all sessions, by session; else of the one that was asked for last */
    uint64_t seen;  /* the look that found it */
    struct lt_log_list logs;
    size_t capacity;
};

struct lt_log_index {
    char *data_dir;
    struct lt_arena arena; /* names of folders */
    struct lt_map by_folder; /* of days */
    struct day *days;
    size_t count, capacity;
    uint64_t looks;
    struct day *at; /* that is listed; NULL: none */
    const char *session_id; /* that is asked for */
    lt_log_refused *refused;
    void *self;
};

struct lt_log_index *lt_log_index_new(const char *data_dir) {
    struct lt_log_index *index = calloc(1, sizeof *index);
    if (index == NULL) return NULL;
    lt_arena_init(&index->arena);
    lt_map_init(&index->by_folder);
    index->data_dir = realpath(data_dir, NULL);
    if (index->data_dir != NULL) return index;
    lt_log_index_free(index);
    return NULL;
}

void lt_log_index_free(struct lt_log_index *index) {
    if (index == NULL) return;
    for (size_t i = 0; i < index->count; i++) lt_log_list_release(&index->days[i].logs);
    free(index->days);
    lt_map_release(&index->by_folder);
    lt_arena_release(&index->arena);
    free(index->data_dir);
    free(index);
}

static struct day *day_of(struct lt_log_index *index, const char *folder) {
    uint32_t number = lt_map_get(&index->by_folder, lt_str_of(folder), 0);
    if (number != LT_MAP_NONE) return &index->days[number];
    struct day *grown = lt_grow_list(index->days, index->count, &index->capacity, sizeof *grown);
    if (grown == NULL) return NULL;
    index->days = grown;
    struct lt_str own = lt_arena_str(&index->arena, lt_str_of(folder));
    if (own.p == NULL || !lt_map_put(&index->by_folder, own, 0, (uint32_t)index->count)) return NULL;
    index->days[index->count] = (struct day){.settled = false};
    return &index->days[index->count++];
}

static void end_of_day(struct lt_log_index *index) {
    if (index->at != NULL && index->at->of_all) lt_log_list_by_session(&index->at->logs);
    index->at = NULL;
}

static bool is_unchanged(const struct day *day, const struct stat *st) {
    return day->settled && st->st_dev == day->st.st_dev && st->st_ino == day->st.st_ino && lt_mtime_ns(st) == lt_mtime_ns(&day->st) &&
           st->st_ctim.tv_sec == day->st.st_ctim.tv_sec && st->st_ctim.tv_nsec == day->st.st_ctim.tv_nsec; /* who copies folders sets their times back */
}

/* Is the folder to be listed? Its time stamp is taken before. */
static int begin_day(void *context, const char *folder, bool *wanted, struct litmus_error *error) {
    struct lt_log_index *index = context;
    struct stat st = {0};
    end_of_day(index);
    struct day *day = day_of(index, folder);
    if (day == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing %s", folder);
    bool there = stat(folder, &st) == 0;
    day->seen = index->looks;
    *wanted = !there || !is_unchanged(day, &st);
    if (!*wanted) return LITMUS_OK;
    lt_log_list_release(&day->logs);
    day->capacity = 0;
    day->st = st;
    day->settled = day->of_all = there && lt_now_us() * 1000 - lt_mtime_ns(&st) > LT_MTIME_GRAIN_NS;
    index->at = day;
    return LITMUS_OK;
}

static int take(void *context, const char *folder, const struct dirent *entry, struct litmus_error *error) {
    struct lt_log_index *index = context;
    return lt_log_list_take(&index->at->logs, &index->at->capacity, folder, entry, index->at->of_all ? NULL : index->session_id, error);
}

static void pass_over(void *context, const char *folder, const struct litmus_error *why) {
    struct lt_log_index *index = context;
    if (index->at != NULL) index->at->settled = false; /* perhaps it is of the folder of all days: then this one is listed again for nothing */
    index->refused(index->self, folder, why);
}

static int look(struct lt_log_index *index, struct litmus_error *error) {
    index->looks++;
    int code = lt_io_list_days(index->data_dir, "events", begin_day, take, index->refused == NULL ? NULL : pass_over, index, error);
    if (code != LITMUS_OK && index->at != NULL) index->at->settled = false; /* it was left half-way */
    end_of_day(index);
    return code;
}

static int add_all(const struct lt_log_list *part, struct lt_log_list *out, struct litmus_error *error) {
    if (part->count == 0) return LITMUS_OK;
    struct lt_log_file *files = reallocarray(out->files, out->count + part->count, sizeof *files);
    if (files != NULL) out->files = files;
    for (size_t i = 0; files != NULL && i < part->count; i++) {
        files[out->count] = part->files[i];
        files[out->count].path = strdup(part->files[i].path);
        if (files[out->count].path == NULL) files = NULL;
        else out->count++;
    }
    return files != NULL ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing the logs");
}

int lt_log_index_find(struct lt_log_index *index, const char *data_dir, const char *session_id, lt_log_refused *refused, void *self, struct lt_log_list *out,
                      struct litmus_error *error) {
    *out = (struct lt_log_list){0};
    /* of another id the names do not say where it ends */
    if (index == NULL || session_id == NULL || !lt_uuid_valid(lt_str_of(session_id))) return lt_log_find_readable(data_dir, session_id, refused, self, out, error);
    index->refused = refused;
    index->self = self;
    index->session_id = session_id;
    int code = look(index, error);
    for (size_t i = 0; code == LITMUS_OK && i < index->count; i++) {
        const struct day *day = &index->days[i];
        struct lt_log_list part = day->of_all ? lt_log_list_part(&day->logs, session_id) : day->logs;
        if (day->seen == index->looks) code = add_all(&part, out, error);
    }
    if (code != LITMUS_OK) lt_log_list_release(out);
    else lt_log_list_sort(out);
    return code;
}
