/* SPDX-License-Identifier: Apache-2.0 */
#include "query/lake.h"

#include "base/grow.h"
#include "base/io.h"
#include "base/map.h"
#include "query/catalog_store.h"
#include "query/query_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

enum { MANIFEST_BYTES_MAX = 1 << 30, MANIFEST_VERSION = 1 };

void lt_lake_release(struct lt_lake *lake) {
    lt_arena_release(&lake->arena);
    free(lake->files);
    free(lake->members);
    free(lake->fresh);
    *lake = (struct lt_lake){.files = NULL};
}

void lt_lake_hold(struct lt_query *q) {
    struct lt_buf path;
    lt_buf_init(&path);
    if (q->lake_fd >= 0) close(q->lake_fd);
    q->lake_fd = open(lt_path_join(&path, q->data_dir, "lake/readers.lock"), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (q->lake_fd >= 0) (void)flock(q->lake_fd, LOCK_SH); /* held by others for a rename or two */
    lt_buf_release(&path);
}

/* ---- the manifest ---- */

static struct lt_str text_of(struct lt_lake *lake, yyjson_val *value) {
    if (!yyjson_is_str(value)) return LT_STR_NULL;
    return lt_arena_str(&lake->arena, (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)});
}

/* [path, size, mtime_ns, run_id] */
static bool take_member(struct lt_lake *lake, yyjson_val *value, uint32_t file) {
    struct lt_lake_member *m = &lake->members[lake->member_count];
    if (!yyjson_is_arr(value) || yyjson_arr_size(value) != 4) return false;
    *m = (struct lt_lake_member){.path = text_of(lake, yyjson_arr_get(value, 0)), .size = yyjson_get_sint(yyjson_arr_get(value, 1)),
                                 .mtime_ns = yyjson_get_sint(yyjson_arr_get(value, 2)), .run_id = text_of(lake, yyjson_arr_get(value, 3)), .file = file};
    lake->member_count++;
    return m->path.p != NULL && m->run_id.p != NULL;
}

/* A name from the manifest is opened below lake/ and nowhere else. */
static bool is_own_name(struct lt_str name) {
    if (name.p == NULL || name.n < 6 || memcmp(name.p, "month=", 6) != 0 || strstr(name.p, "..") != NULL) return false;
    const char *slash = strchr(name.p, '/');
    return slash != NULL && strchr(slash + 1, '/') == NULL && slash[1] == 'p' && memchr(name.p, '\0', name.n) == NULL;
}

static bool take_file(struct lt_lake *lake, const char *data_dir, yyjson_val *value) {
    uint32_t number = (uint32_t)lake->file_count;
    struct lt_lake_file *f = &lake->files[number];
    yyjson_val *members = yyjson_obj_get(value, "members"), *member;
    *f = (struct lt_lake_file){.name = text_of(lake, yyjson_obj_get(value, "name")), .bytes = yyjson_get_sint(yyjson_obj_get(value, "bytes")),
                               .rows = yyjson_get_sint(yyjson_obj_get(value, "rows")), .members = yyjson_arr_size(members)};
    lake->file_count++;
    if (!is_own_name(f->name)) return false;
    const char *slash = strchr(f->name.p, '/');
    f->month = (struct lt_str){f->name.p + 6, (size_t)(slash - f->name.p) - 6};
    struct lt_buf path;
    struct stat st;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/lake/%s", data_dir, f->name.p);
    f->usable = lstat(lt_buf_cstr(&path), &st) == 0 && S_ISREG(st.st_mode) && st.st_size == f->bytes;
    lt_buf_release(&path);
    size_t at, all;
    yyjson_arr_foreach(members, at, all, member)
        if (!take_member(lake, member, number)) return false;
    return true;
}

static bool take_manifest(struct lt_lake *lake, const char *data_dir, yyjson_val *root) {
    yyjson_val *files = yyjson_obj_get(root, "files"), *file;
    size_t at, all, members = 0;
    if (yyjson_get_int(yyjson_obj_get(root, "litmus_lake")) != MANIFEST_VERSION || !yyjson_is_arr(files)) return false;
    yyjson_arr_foreach(files, at, all, file) members += yyjson_arr_size(yyjson_obj_get(file, "members"));
    lake->files = calloc(yyjson_arr_size(files) + 1, sizeof *lake->files);
    lake->members = calloc(members + 1, sizeof *lake->members);
    bool ok = lake->files != NULL && lake->members != NULL && members < UINT32_MAX;
    yyjson_arr_foreach(files, at, all, file) ok = ok && take_file(lake, data_dir, file);
    return ok && !lake->arena.failed;
}

/* One that is not there, or not ours to understand, is an empty lake. */
static void load_manifest(struct lt_lake *lake, const char *data_dir) {
    struct lt_buf path, text;
    lt_buf_init(&path);
    lt_buf_init(&text);
    if (lt_io_read_file(lt_path_join(&path, data_dir, "lake/manifest.json"), MANIFEST_BYTES_MAX, &text, NULL) == LITMUS_OK) {
        yyjson_doc *doc = yyjson_read(text.p, text.n, 0);
        if (doc == NULL || !take_manifest(lake, data_dir, yyjson_doc_get_root(doc))) {
            lt_lake_release(lake);
            lt_arena_init(&lake->arena);
        }
        yyjson_doc_free(doc);
    }
    lt_buf_release(&path);
    lt_buf_release(&text);
}

/* ---- against the ledger ---- */

struct match {
    struct lt_lake *lake;
    struct lt_map by_path;
    bool failed;
};

static bool add_fresh(struct lt_lake *lake, const struct lt_run_file *file) {
    struct lt_lake_member *grown = lt_grow_list(lake->fresh, lake->fresh_count, &lake->fresh_capacity, sizeof *grown);
    if (grown == NULL) return false;
    lake->fresh = grown;
    lake->fresh[lake->fresh_count++] = (struct lt_lake_member){.path = lt_arena_str(&lake->arena, lt_str_of(file->path)), .size = file->size,
                                                               .mtime_ns = file->mtime_ns, .run_id = lt_arena_str(&lake->arena, lt_str_of(file->run_id))};
    return !lake->arena.failed;
}

static bool match_file(void *self, const struct lt_run_file *file) {
    struct match *m = self;
    uint32_t number = lt_map_get(&m->by_path, lt_str_of(file->path), 0);
    struct lt_lake_member *member = number == LT_MAP_NONE ? NULL : &m->lake->members[number];
    if (member != NULL && m->lake->files[member->file].usable && member->size == file->size && member->mtime_ns == file->mtime_ns &&
        lt_str_eq(member->run_id, lt_str_of(file->run_id))) {
        member->current = true;
        return true;
    }
    m->failed = m->failed || !add_fresh(m->lake, file);
    return !m->failed;
}

static int match_all(struct lt_query *q, struct lt_lake *lake, struct litmus_error *error) {
    struct match m = {.lake = lake};
    lt_map_init(&m.by_path);
    lake->fresh_count = 0;
    for (size_t i = 0; !m.failed && i < lake->member_count; i++) m.failed = !lt_map_put(&m.by_path, lake->members[i].path, 0, (uint32_t)i);
    int code = m.failed ? LITMUS_OK : lt_catalog_run_files(q->catalog, match_file, &m, error);
    lt_map_release(&m.by_path);
    if (code == LITMUS_OK && m.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the names of the run files");
    for (size_t i = 0; i < lake->file_count; i++) lake->files[i].stale = 0;
    for (size_t i = 0; i < lake->member_count; i++) lake->files[lake->members[i].file].stale += !lake->members[i].current;
    return code;
}

int lt_lake_load(struct lt_query *q, struct lt_lake *out, struct litmus_error *error) {
    struct litmus_error why = {0};
    *out = (struct lt_lake){.files = NULL};
    lt_arena_init(&out->arena);
    int code = lt_catalog_refresh(q->catalog, &why);
    if (code == LITMUS_OK) {
        load_manifest(out, q->data_dir);
        code = match_all(q, out, &why);
    }
    if (code == LITMUS_EDAMAGED) { /* a catalog found damaged half-way is made anew, once */
        lt_error_clear(&why);
        for (size_t i = 0; i < out->member_count; i++) out->members[i].current = false;
        code = lt_store_reset(q->catalog, &why);
        if (code == LITMUS_OK) code = lt_catalog_refresh(q->catalog, &why);
        if (code == LITMUS_OK) code = match_all(q, out, &why);
    }
    return code == LITMUS_OK ? code : lt_fail(error, code, why.os_errno, "%s", why.text);
}
