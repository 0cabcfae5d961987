/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEPTH_MAX = 16 };

struct walk {
    const char *top;
    lt_tree_fn *each;
    lt_io_refused refused; /* or NULL */
    void *self;
};

static int cannot_list(const struct walk *w, const char *folder, struct litmus_error *error) {
    struct litmus_error why = {0};
    (void)lt_fail_os(&why, errno, "list", folder);
    if (w->refused == NULL) return lt_fail_with(error, &why);
    w->refused(w->self, folder, &why);
    return LITMUS_OK;
}

static int walk(const struct walk *w, const char *folder, int depth, struct litmus_error *error);

static int visit(const struct walk *w, const char *path, int depth, struct litmus_error *error) {
    struct lt_buf whole;
    struct stat st;
    lt_buf_init(&whole);
    lt_path_join(&whole, w->top, path);
    int code = whole.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
    bool there = code == LITMUS_OK && lstat(whole.p, &st) == 0; /* else it went meanwhile */
    lt_buf_release(&whole);
    if (code != LITMUS_OK || !there) return code;
    if (S_ISDIR(st.st_mode)) code = walk(w, path, depth + 1, error);
    return code == LITMUS_OK ? w->each(w->self, path, &st, error) : code;
}

static int not_dots(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int walk(const struct walk *w, const char *folder, int depth, struct litmus_error *error) {
    struct lt_buf path;
    struct dirent **entries = NULL;
    lt_buf_init(&path);
    const char *whole = folder[0] == '\0' ? w->top : lt_path_join(&path, w->top, folder);
    bool deep = depth > DEPTH_MAX;
    int code = deep ? lt_fail(error, LITMUS_EINVAL, 0, "%s lies deeper than %d folders: nothing of a data_dir does", whole, (int)DEPTH_MAX) : LITMUS_OK;
    int n = deep ? 0 : scandir(whole, &entries, not_dots, alphasort);
    if (n < 0 && errno != ENOENT && errno != ENOTDIR) code = cannot_list(w, whole, error);
    for (int i = 0; i < n; i++) {
        lt_buf_clear(&path);
        lt_buf_addf(&path, "%s%s%s", folder, folder[0] == '\0' ? "" : "/", entries[i]->d_name);
        if (code == LITMUS_OK) code = path.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : visit(w, path.p, depth, error);
        free(entries[i]);
    }
    free(entries);
    lt_buf_release(&path);
    return code;
}

int lt_tree_walk(const char *top, const char *folder, lt_tree_fn *each, void *self, struct litmus_error *error) {
    return lt_tree_walk_readable(top, folder, each, NULL, self, error);
}

int lt_tree_walk_readable(const char *top, const char *folder, lt_tree_fn *each, lt_io_refused refused, void *self, struct litmus_error *error) {
    struct walk w = {.top = top, .each = each, .refused = refused, .self = self};
    struct stat st;
    struct lt_buf whole;
    lt_buf_init(&whole);
    bool link = folder[0] != '\0' && lstat(lt_path_join(&whole, top, folder), &st) == 0 && S_ISLNK(st.st_mode);
    lt_buf_release(&whole);
    return link ? LITMUS_OK : walk(&w, folder, 0, error);
}

struct removal {
    const struct lt_io *io;
    const char *top;
};

static int remove_one(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    const struct removal *r = self;
    struct lt_buf whole;
    (void)error;
    lt_buf_init(&whole);
    lt_path_join(&whole, r->top, path);
    if (S_ISDIR(st->st_mode)) (void)!rmdir(lt_buf_cstr(&whole));
    else (void)!r->io->unlink(r->io->self, lt_buf_cstr(&whole));
    lt_buf_release(&whole);
    return LITMUS_OK;
}

void lt_tree_remove(const struct lt_io *io, const char *top, const char *folder) {
    struct removal r = {.io = io == NULL ? &lt_io_os : io, .top = top};
    struct lt_buf whole;
    struct stat st;
    lt_buf_init(&whole);
    bool is_folder = lstat(lt_path_join(&whole, top, folder), &st) == 0 && S_ISDIR(st.st_mode); /* no link to one */
    if (is_folder) (void)!lt_tree_walk(top, folder, remove_one, &r, NULL);
    if (is_folder) (void)!rmdir(lt_buf_cstr(&whole));
    lt_buf_release(&whole);
}
