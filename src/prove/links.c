/* SPDX-License-Identifier: Apache-2.0 */
#include "prove/links.h"

#include "base/grow.h"
#include "base/hex.h"
#include "log/heads.h"

#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

void lt_links_init(struct lt_links *links) {
    *links = (struct lt_links){0};
}

void lt_links_release(struct lt_links *links) {
    for (size_t i = 0; i < links->log_count; i++) free(links->logs[i].path);
    for (size_t i = 0; i < links->count; i++) free(links->links[i].by);
    free(links->logs);
    free(links->links);
    for (size_t i = 0; i < links->removed_count; i++) free(links->removed[i].by);
    free(links->removed);
    lt_links_init(links);
}

void lt_links_add_log(struct lt_links *links, const struct lt_head *last, const unsigned char first[LT_CHAIN_BYTES], bool grows, const char *path) {
    struct lt_linked_log *logs = lt_grow_list(links->logs, links->log_count, &links->log_capacity, sizeof *logs);
    if (logs != NULL) links->logs = logs;
    struct lt_linked_log log = {.last = *last, .grows = grows, .path = logs == NULL ? NULL : strdup(path)};
    memcpy(log.first, first, sizeof log.first);
    if (log.path == NULL) links->failed = true;
    else links->logs[links->log_count++] = log;
}

void lt_links_add_unread(struct lt_links *links, const char *path) {
    const unsigned char first[LT_CHAIN_BYTES] = {0};
    struct lt_head head = {.rows = 0};
    const char *name = strrchr(path, '/');
    struct lt_str identity = lt_str_of(name == NULL ? path : name + 1);
    if (!lt_str_ends(identity, LT_STR(LT_LOG_SUFFIX))) return;
    identity.n -= sizeof LT_LOG_SUFFIX - 1;
    if (identity.n >= sizeof head.identity) return;
    memcpy(head.identity, identity.p, identity.n);
    lt_links_add_log(links, &head, first, false, path);
    if (!links->failed) links->logs[links->log_count - 1].unread = true;
}

static void add_link(struct lt_links *links, const struct lt_head *head, bool at_least, const char *by, int64_t at) {
    struct lt_link *items = lt_grow_list(links->links, links->count, &links->capacity, sizeof *items);
    if (items != NULL) links->links = items;
    struct lt_link link = {.head = *head, .by = items == NULL ? NULL : strdup(by), .at = at, .at_least = at_least};
    if (link.by == NULL) links->failed = true;
    else links->links[links->count++] = link;
}

static struct lt_str text_of(yyjson_val *object, const char *key) {
    yyjson_val *value = yyjson_obj_get(object, key);
    return (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)};
}

static bool make_head(struct lt_str identity, yyjson_val *rows, struct lt_head *out) {
    *out = (struct lt_head){.rows = yyjson_get_sint(rows)};
    if (identity.p == NULL || identity.n == 0 || identity.n >= sizeof out->identity) return false;
    memcpy(out->identity, identity.p, identity.n);
    return true;
}

static bool read_head(yyjson_val *value, struct lt_head *out) {
    return make_head(text_of(value, "identity"), yyjson_obj_get(value, "rows"), out) && lt_hex_parse(text_of(value, "chain"), out->chain, sizeof out->chain);
}

static void add_removed(struct lt_links *links, struct lt_str id, const char *by) {
    if (id.p == NULL || id.n == 0 || id.n >= sizeof links->removed->id) return;
    struct lt_removed *items = lt_grow_list(links->removed, links->removed_count, &links->removed_capacity, sizeof *items);
    if (items != NULL) links->removed = items;
    struct lt_removed removed = {.by = items == NULL ? NULL : strdup(by)};
    snprintf(removed.id, sizeof removed.id, "%.*s", LT_STR_ARG(id));
    if (removed.by == NULL) links->failed = true;
    else links->removed[links->removed_count++] = removed;
}

/* A prune is sealed before anything goes, and its log comes as the others go: none that was whole is ever sealed by recovery. */
void lt_links_vouch(struct lt_links *links, const char *path, bool by_recovery) {
    for (size_t i = links->count; i > 0 && strcmp(links->links[i - 1].by, path) == 0; i--) links->links[i - 1].vouched = true;
    for (size_t i = links->removed_count; !by_recovery && i > 0 && strcmp(links->removed[i - 1].by, path) == 0; i--) links->removed[i - 1].vouched = true;
}

/* {identity: rows} */
static void add_made_from(struct lt_links *links, const struct lt_row *row, const char *path, int64_t offset) {
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    yyjson_val *made_from = yyjson_obj_get(yyjson_doc_get_root(doc), "log_rows"), *name, *rows;
    size_t i, n;
    if (made_from != NULL) yyjson_obj_foreach(made_from, i, n, name, rows) { /* of NULL it makes a pointer behind it */
        struct lt_head head;
        if (make_head((struct lt_str){yyjson_get_str(name), yyjson_get_len(name)}, rows, &head)) add_link(links, &head, true, path, offset);
    }
    yyjson_doc_free(doc);
}

void lt_links_add_event(struct lt_links *links, const struct lt_row *row, const char *path, int64_t offset) {
    if (lt_str_eq(row->event_type, LT_STR("run.materialized"))) add_made_from(links, row, path, offset);
    if (!links->of_all) return;
    bool started = lt_str_eq(row->event_type, LT_STR("session.started")), pruned = lt_str_eq(row->event_type, LT_STR("retention.pruned"));
    bool imported = lt_str_eq(row->event_type, LT_STR("retention.imported"));
    if (!started && !pruned && !imported) return;
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    size_t i, n;
    yyjson_arr_foreach(pruned ? NULL : yyjson_obj_get(root, imported ? "logs" : "previous_logs"), i, n, item) {
        struct lt_head head;
        if (read_head(item, &head)) add_link(links, &head, false, path, offset);
    }
    if (pruned) add_removed(links, text_of(root, "pruned_session_id"), path);
    yyjson_doc_free(doc);
}

int lt_links_add_heads(struct lt_links *links, const char *data_dir, struct litmus_error *error) {
    struct lt_heads heads;
    struct lt_buf path;
    lt_buf_init(&path);
    const char *by = lt_path_join(&path, data_dir, "heads");
    int code = lt_heads_read(data_dir, &heads, error);
    for (size_t i = 0; code == LITMUS_OK && i < heads.count; i++) add_link(links, &heads.items[i], false, by, -1);
    lt_heads_release(&heads);
    lt_buf_release(&path);
    return code;
}

/* ---- against what is there ---- */
static int by_identity(const void *a, const void *b) {
    const struct lt_linked_log *left = a, *right = b;
    return strcmp(left->last.identity, right->last.identity);
}

/* Of one session those first that somebody vouches for. */
static int by_id(const void *a, const void *b) {
    const struct lt_removed *left = a, *right = b;
    int order = strcmp(left->id, right->id);
    return order != 0 ? order : right->vouched - left->vouched;
}

static const struct lt_removed *find_removed(const struct lt_links *links, const char *id) {
    size_t low = 0, high = links->removed_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(links->removed[middle].id, id) < 0) low = middle + 1;
        else high = middle;
    }
    return low < links->removed_count && strcmp(links->removed[low].id, id) == 0 ? &links->removed[low] : NULL;
}

/* The identity is the session's id, '-' and more; the id itself may have that character. */
static const struct lt_removed *was_removed(const struct lt_links *links, const char *identity) {
    char id[sizeof links->removed->id] = "";
    const struct lt_removed *removed = NULL;
    for (const char *end = strchr(identity, '-'); removed == NULL && end != NULL && end - identity < (ptrdiff_t)sizeof id; end = strchr(end + 1, '-')) {
        snprintf(id, sizeof id, "%.*s", (int)(end - identity), identity);
        removed = find_removed(links, id);
    }
    return removed;
}

/* NULL: it is there as it was. A log is named with its first event, or with its last one, when it was sealed: then it grows no more. */
static const char *what_is_wrong(const struct lt_linked_log *log, const struct lt_link *link) {
    const struct lt_head *named = &link->head;
    if (log == NULL) return named->rows == 0 ? NULL : "is missing";
    if (log->unread) return NULL;
    if (log->last.rows < named->rows && log->grows) /* who names it may have done so after it was read */
        return link->at_least || named->rows == 1 || lt_log_is_sealed(log->path) ? NULL : "was cut";
    if (log->last.rows < named->rows) return "was cut";
    if (named->rows == 0 || link->at_least) return NULL;
    if (named->rows == 1) return memcmp(log->first, named->chain, sizeof log->first) == 0 ? NULL : "was replaced";
    if (log->last.rows > named->rows) return "was added to";
    return memcmp(log->last.chain, named->chain, sizeof log->last.chain) == 0 ? NULL : "was replaced";
}

/* As above, of the log that has the name; *log is the one that was looked at last, NULL: there is none. One process may have written two logs
 * of a session on two days, of one name: which of them is meant is told by what they hold. */
static const char *look_up(const struct lt_links *links, const struct lt_link *link, const struct lt_linked_log **log) {
    const struct lt_head *named = &link->head;
    size_t low = 0, high = links->log_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(links->logs[middle].last.identity, named->identity) < 0) low = middle + 1;
        else high = middle;
    }
    const char *what = what_is_wrong(NULL, link);
    *log = NULL;
    for (size_t i = low; i < links->log_count && strcmp(links->logs[i].last.identity, named->identity) == 0; i++) {
        *log = &links->logs[i];
        what = what_is_wrong(*log, link);
        if (what == NULL) break;
    }
    return what;
}

static void tell_broken(const struct lt_link *link, const struct lt_linked_log *log, const struct lt_removed *removed, const char *what, lt_broken_link_fn *each, void *self) {
    char text[1024], place[64] = "";
    if (link->at >= 0) snprintf(place, sizeof place, " at byte %lld", (long long)link->at);
    const char *name = strrchr(link->by, '/');
    name = name == NULL ? link->by : name + 1;
    if (removed != NULL)
        snprintf(text, sizeof text,
                 "log %s %s: %s%s names it, and is signed; who says that it was pruned, %s, is not signed by a key that is known, or was so only after its producer's death",
                 link->head.identity, what, name, place, strrchr(removed->by, '/') == NULL ? removed->by : strrchr(removed->by, '/') + 1);
    else if (log == NULL)
        snprintf(text, sizeof text, "log %s %s: %s%s names it with %lld events; it was removed, and not by litmus prune", link->head.identity, what, name, place,
                 (long long)link->head.rows);
    else if (link->at_least)
        snprintf(text, sizeof text, "%s: the run's file was made from %lld events of it, as %s%s says, and it has %lld", what, (long long)link->head.rows, name, place,
                 (long long)log->last.rows);
    else
        snprintf(text, sizeof text, "%s: %s%s names it with %lld events and chain %02x%02x%02x%02x..., it has %lld and %02x%02x%02x%02x...", what, name, place,
                 (long long)link->head.rows, link->head.chain[0], link->head.chain[1], link->head.chain[2], link->head.chain[3], (long long)log->last.rows, log->last.chain[0],
                 log->last.chain[1], log->last.chain[2], log->last.chain[3]);
    each(self, log == NULL ? link->by : log->path, text);
}

static int link_order(const void *a, const void *b) {
    const struct lt_link *left = a, *right = b;
    int order = strcmp(left->head.identity, right->head.identity);
    return order != 0 ? order : (left->head.rows < right->head.rows) - (left->head.rows > right->head.rows);
}

int lt_links_check(struct lt_links *links, lt_broken_link_fn *each, void *self, struct litmus_error *error) {
    if (links->failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the links between logs");
    if (links->log_count > 0) qsort(links->logs, links->log_count, sizeof *links->logs, by_identity);
    if (links->removed_count > 0) qsort(links->removed, links->removed_count, sizeof *links->removed, by_id);
    if (links->count > 0) qsort(links->links, links->count, sizeof *links->links, link_order);
    const char *told = ""; /* one finding a log: its longest name comes first */
    for (size_t i = 0; i < links->count; i++) {
        const struct lt_link *link = &links->links[i];
        const struct lt_linked_log *log;
        const char *what = look_up(links, link, &log);
        if (what == NULL || strcmp(told, link->head.identity) == 0) continue;
        const struct lt_removed *removed = log == NULL ? was_removed(links, link->head.identity) : NULL;
        if (removed != NULL && (removed->vouched || !link->vouched)) continue;
        told = link->head.identity;
        tell_broken(link, log, removed, what, each, self);
    }
    return LITMUS_OK;
}
