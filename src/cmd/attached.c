/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/attached.h"

#include "base/clock.h"
#include "log/blob.h"
#include "materialize/attachments.h"

#include <string.h>
#include <sys/stat.h>

#include <yyjson.h>

enum { ATTACHED_MAX = 100000 };

static bool has_folder(const struct lt_run_ref *run) {
    struct lt_buf folder;
    struct stat st;
    lt_buf_init(&folder);
    lt_attachments_folder(run->path, &folder);
    bool found = !folder.failed && stat(lt_buf_cstr(&folder), &st) == 0;
    lt_buf_release(&folder);
    return found;
}

static struct lt_str text_of(struct lt_arena *arena, yyjson_val *root, const char *key) {
    yyjson_val *value = yyjson_obj_get(root, key);
    return yyjson_is_str(value) ? lt_arena_str(arena, (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)}) : LT_STR_NULL;
}

static void take(struct lt_attached_list *list, struct lt_str json) {
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *vector = yyjson_obj_get(root, "vector_index"), *bytes = yyjson_obj_get(root, "size_bytes");
    struct lt_attached *one = &list->items[list->count];
    struct lt_str uri = text_of(&list->arena, root, "uri");
    size_t scheme = strlen(LT_BLOB_SCHEME);
    *one = (struct lt_attached){.step_path = text_of(&list->arena, root, "step_path"), .name = text_of(&list->arena, root, "name"), .file = uri};
    one->vector_index = yyjson_is_int(vector) ? yyjson_get_sint(vector) : 0;
    one->bytes = yyjson_is_int(bytes) ? yyjson_get_sint(bytes) : -1;
    if (uri.n > scheme && memcmp(uri.p, LT_BLOB_SCHEME, scheme) == 0) one->file = (struct lt_str){uri.p + scheme, uri.n - scheme};
    list->count += one->step_path.p != NULL && one->name.p != NULL && uri.p != NULL;
    yyjson_doc_free(doc);
}

void lt_attached_load(struct lt_query *query, const struct lt_run_ref *run, struct lt_attached_list *out) {
    struct lt_table events;
    struct lt_event_filter filter = {.session_id = run->session_id, .run_id = run->run_id, .event_type = "test.attachment", .since = LT_TIME_NONE, .limit = ATTACHED_MAX};
    *out = (struct lt_attached_list){.count = 0};
    lt_arena_init(&out->arena);
    if (run->session_id[0] == '\0' || (run->path[0] != '\0' && !has_folder(run))) return;
    if (lt_query_events(query, &filter, &events, NULL) == LITMUS_OK) {
        int64_t n = lt_table_rows(&events), json = lt_table_find(&events, "json");
        out->items = lt_arena_alloc(&out->arena, ((size_t)n + 1) * sizeof *out->items);
        for (int64_t row = 0; out->items != NULL && row < n; row++) take(out, lt_table_str(&events, json, row));
    }
    lt_table_release(&events);
}

void lt_attached_release(struct lt_attached_list *list) {
    lt_arena_release(&list->arena);
    list->items = NULL;
    list->count = 0;
}
