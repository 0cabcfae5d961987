/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/changeset.h"

#include "base/process.h"
#include "base/tree.h"
#include "materialize/range_lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD "litmus-changes 1\n"
#define TAIL "end\n"
enum { LIST_BYTES_MAX = 256 << 20, PATH_BYTES_MAX = 4000 };

void lt_changeset_init(struct lt_changeset *set) {
    set->count = 0;
    lt_buf_init(&set->text);
}

void lt_changeset_release(struct lt_changeset *set) {
    lt_buf_release(&set->text);
}

/* ---- paths ---- */

static bool starts_with(struct lt_str path, const char *folder) {
    size_t n = strlen(folder);
    return path.n > n + 1 && memcmp(path.p, folder, n) == 0 && path.p[n] == '/';
}

/* No empty part, no `.`, no `..`, nothing that ends a line or a field. */
static bool is_plain(struct lt_str path) {
    if (path.n == 0 || path.n > PATH_BYTES_MAX) return false;
    for (size_t i = 0, part = 0; i <= path.n; i++) {
        char c = i < path.n ? path.p[i] : '/';
        if (c == '\n' || c == '\t' || c == '\0') return false;
        if (c != '/') continue;
        struct lt_str word = {path.p + part, i - part};
        if (word.n == 0 || lt_str_eq(word, LT_STR(".")) || lt_str_eq(word, LT_STR(".."))) return false;
        part = i + 1;
    }
    return true;
}

static bool is_store(struct lt_str path) {
    return is_plain(path) && (starts_with(path, "events") || starts_with(path, "runs") || starts_with(path, "channels"));
}

static bool is_staged(struct lt_str path) {
    return is_plain(path) && starts_with(path, LT_STAGING);
}

/* ---- making a list ---- */

static int add_line(struct lt_changeset *set, bool usable, const char *verb, const char *path, const char *to, struct litmus_error *error) {
    if (!usable) return lt_fail(error, LITMUS_EINVAL, 0, "%s has a name that nothing of a data_dir has: move it elsewhere", path);
    lt_buf_addf(&set->text, "%s %s", verb, path);
    if (to != NULL) lt_buf_addf(&set->text, "\t%s", to);
    lt_buf_add_char(&set->text, '\n');
    set->count++;
    return set->text.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a list of changes") : LITMUS_OK;
}

int lt_changeset_move(struct lt_changeset *set, const char *from, const char *to, struct litmus_error *error) {
    return add_line(set, is_staged(lt_str_of(from)) && is_store(lt_str_of(to)), "mv", from, to, error);
}

int lt_changeset_remove(struct lt_changeset *set, const char *path, struct litmus_error *error) {
    return add_line(set, is_store(lt_str_of(path)), "rm", path, NULL, error);
}

int lt_changeset_remove_folder(struct lt_changeset *set, const char *path, struct litmus_error *error) {
    return add_line(set, is_store(lt_str_of(path)), "rmdir", path, NULL, error);
}

/* ---- working it off ---- */

struct work {
    const struct lt_io *io;
    const char *data_dir;
    struct lt_buf from, to, folder, synced; /* synced: the folder that was changed last, and is not synced yet */
};

static const char *absolute(const struct work *w, struct lt_str path, struct lt_buf *out) {
    lt_buf_clear(out);
    lt_buf_addf(out, "%s/%.*s", w->data_dir, LT_STR_ARG(path));
    return lt_buf_cstr(out);
}

static int sync_last(struct work *w, struct litmus_error *error) {
    struct stat st;
    bool there = w->synced.n > 0 && lstat(lt_buf_cstr(&w->synced), &st) == 0;
    return there ? lt_io_sync_dirs(w->io, lt_buf_cstr(&w->synced), w->data_dir, true, error) : LITMUS_OK;
}

/* The folder of a path, which must not lead out of the data_dir. `make`: it is made where it is missing; else *there
 * says whether it is. */
static int look_at_folder(struct work *w, const char *path, bool make, bool *there, struct litmus_error *error) {
    struct stat st;
    lt_buf_clear(&w->folder);
    lt_buf_add(&w->folder, path, (size_t)(strrchr(path, '/') - path));
    *there = make || lstat(lt_buf_cstr(&w->folder), &st) == 0;
    return *there ? lt_io_mkdirs_below(w->io, w->data_dir, lt_buf_cstr(&w->folder), error) : LITMUS_OK;
}

/* The same for a folder that is changed: the one before it is synced, once for many files. */
static int enter(struct work *w, const char *path, bool make, bool *there, struct litmus_error *error) {
    int code = look_at_folder(w, path, make, there, error);
    const char *folder = lt_buf_cstr(&w->folder);
    if (code != LITMUS_OK || !*there || strcmp(folder, lt_buf_cstr(&w->synced)) == 0) return code;
    code = sync_last(w, error);
    lt_buf_clear(&w->synced);
    lt_buf_add_text(&w->synced, folder);
    return code;
}

static int move(struct work *w, struct lt_str from, struct lt_str to, struct litmus_error *error) {
    struct stat st;
    bool there;
    const char *source = absolute(w, from, &w->from), *target = absolute(w, to, &w->to);
    if (lstat(source, &st) != 0) return LITMUS_OK; /* done */
    int code = look_at_folder(w, source, false, &there, error);
    if (code == LITMUS_OK) code = enter(w, target, true, &there, error);
    if (code != LITMUS_OK || lstat(target, &st) == 0) return code;
    return w->io->rename(w->io->self, source, target) == 0 || errno == ENOENT ? LITMUS_OK : lt_fail_os(error, errno, "move to", target);
}

static int drop(struct work *w, struct lt_str path, bool folder, struct litmus_error *error) {
    bool there;
    const char *target = absolute(w, path, &w->to);
    int code = enter(w, target, false, &there, error);
    if (code != LITMUS_OK || !there) return code;
    if (folder) {
        (void)!rmdir(target); /* others may have put something there */
        return LITMUS_OK;
    }
    /* A folder in the place of a file is none of ours, and stays. */
    return w->io->unlink(w->io->self, target) == 0 || errno == ENOENT || errno == EISDIR ? LITMUS_OK : lt_fail_os(error, errno, "remove", target);
}

static int work_off_line(struct work *w, struct lt_str line, struct litmus_error *error) {
    const char *space = memchr(line.p, ' ', line.n), *tab = memchr(line.p, '\t', line.n);
    struct lt_str verb = {line.p, space == NULL ? line.n : (size_t)(space - line.p)};
    struct lt_str path = {line.p + verb.n + 1, space == NULL ? 0 : line.n - verb.n - 1}, to = LT_STR_NULL;
    if (tab != NULL && tab > path.p) {
        to = (struct lt_str){tab + 1, (size_t)(line.p + line.n - tab - 1)};
        path.n = (size_t)(tab - path.p);
    }
    if (lt_str_eq(verb, LT_STR("mv")) && is_staged(path) && to.p != NULL && is_store(to)) return move(w, path, to, error);
    if (lt_str_eq(verb, LT_STR("rm")) && to.p == NULL && is_store(path)) return drop(w, path, false, error);
    if (lt_str_eq(verb, LT_STR("rmdir")) && to.p == NULL && is_store(path)) return drop(w, path, true, error);
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s/" LT_CHANGES " holds a line that is none of litmus: nothing behind it was done; move it elsewhere", w->data_dir);
}

int lt_changeset_work_off(const struct lt_io *io, const char *data_dir, struct lt_str list, struct litmus_error *error) {
    size_t head = sizeof HEAD - 1, tail = sizeof TAIL - 1;
    if (list.n < head + tail || memcmp(list.p, HEAD, head) != 0 || memcmp(list.p + list.n - tail - 1, "\n" TAIL, tail + 1) != 0)
        return lt_fail(error, LITMUS_EDAMAGED, 0, "%s/" LT_CHANGES " is no list of changes that litmus %s made: move it elsewhere", data_dir, litmus_version());
    struct work w = {.io = io == NULL ? &lt_io_os : io, .data_dir = data_dir};
    struct lt_buf *const bufs[] = {&w.from, &w.to, &w.folder, &w.synced};
    int code = LITMUS_OK;
    for (size_t i = 0; i < 4; i++) lt_buf_init(bufs[i]);
    for (const char *p = list.p + head, *end = list.p + list.n - tail; code == LITMUS_OK && p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        code = work_off_line(&w, (struct lt_str){p, (size_t)(newline - p)}, error);
        p = newline + 1;
    }
    if (code == LITMUS_OK) code = sync_last(&w, error);
    for (size_t i = 0; i < 4; i++) lt_buf_release(bufs[i]);
    return code;
}

/* ---- the list on the disk ---- */

enum { WITHOUT_END = -1 }; /* milliseconds */

/* Hands over *fd. */
static int lock(const char *data_dir, int milliseconds, int *fd, struct litmus_error *error) {
    struct lt_buf path;
    int code = LITMUS_OK;
    *fd = lt_range_lock_open(data_dir);
    int os_errno = errno;
    lt_buf_init(&path);
    if (*fd < 0) code = lt_fail_os(error, os_errno, "open", lt_path_join(&path, data_dir, LT_RANGE_LOCK));
    else if (milliseconds == WITHOUT_END) lt_range_lock(*fd, "changes", LT_STR(""));
    else code = lt_range_lock_within(*fd, "changes", LT_STR(""), milliseconds, error);
    lt_buf_release(&path);
    return code;
}

/* Under the lock: what the list says is done, and the list goes. */
static int finish(const struct lt_io *io, const char *data_dir, const char *path, struct litmus_error *error) {
    struct lt_buf text;
    lt_buf_init(&text);
    int code = access(path, F_OK) != 0 ? LITMUS_ENOENT : lt_io_read_file(path, LIST_BYTES_MAX, &text, error); /* another one was faster */
    if (code == LITMUS_OK) code = lt_changeset_work_off(io, data_dir, (struct lt_str){lt_buf_cstr(&text), text.n}, error);
    if (code == LITMUS_OK && io->unlink(io->self, path) != 0) code = lt_fail_os(error, errno, "remove", path);
    if (code == LITMUS_OK) code = lt_io_sync_dir(io, data_dir, error);
    lt_buf_release(&text);
    return code == LITMUS_ENOENT ? LITMUS_OK : code;
}

int lt_changeset_finish_within(const struct lt_io *io, const char *data_dir, int milliseconds, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    int code = LITMUS_OK, fd = -1;
    if (access(lt_path_join(&path, data_dir, LT_CHANGES), F_OK) == 0) {
        code = lock(data_dir, milliseconds, &fd, error);
        if (code == LITMUS_OK) code = finish(io == NULL ? &lt_io_os : io, data_dir, lt_buf_cstr(&path), error);
        if (fd >= 0) close(fd);
    }
    lt_buf_release(&path);
    return code;
}

int lt_changeset_finish(const struct lt_io *io, const char *data_dir, struct litmus_error *error) {
    return lt_changeset_finish_within(io, data_dir, WITHOUT_END, error);
}

struct staging {
    const struct lt_io *io;
    const char *data_dir;
};

static int sync_staged(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    const struct staging *s = self;
    struct lt_buf whole;
    if (!S_ISDIR(st->st_mode)) return LITMUS_OK;
    lt_buf_init(&whole);
    int code = lt_io_sync_dir(s->io, lt_path_join(&whole, s->data_dir, path), error);
    lt_buf_release(&whole);
    return code;
}

/* What is made ready has its name on the disk before the list that moves it: a file that is not there counts as moved. */
static int sync_staging(const struct lt_io *io, const char *data_dir, struct litmus_error *error) {
    struct stat st = {.st_mode = S_IFDIR};
    struct staging s = {io, data_dir};
    struct lt_buf path;
    lt_buf_init(&path);
    bool there = access(lt_path_join(&path, data_dir, LT_STAGING), F_OK) == 0;
    lt_buf_release(&path);
    int code = there ? sync_staged(&s, LT_STAGING, &st, error) : LITMUS_OK;
    return code == LITMUS_OK ? lt_tree_walk(data_dir, LT_STAGING, sync_staged, &s, error) : code;
}

int lt_changeset_apply(const struct lt_io *io, const char *data_dir, const struct lt_changeset *set, struct litmus_error *error) {
    struct lt_buf path, text;
    if (io == NULL) io = &lt_io_os;
    if (set->count == 0) return LITMUS_OK;
    int fd, code = lock(data_dir, WITHOUT_END, &fd, error);
    if (code != LITMUS_OK) return code;
    lt_buf_init(&path);
    lt_buf_init(&text);
    lt_path_join(&path, data_dir, LT_CHANGES);
    code = finish(io, data_dir, lt_buf_cstr(&path), error);
    lt_buf_add_text(&text, HEAD);
    lt_buf_add(&text, set->text.p, set->text.n);
    lt_buf_add_text(&text, TAIL);
    if (code == LITMUS_OK && text.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a list of changes");
    if (code == LITMUS_OK) code = sync_staging(io, data_dir, error);
    if (code == LITMUS_OK) code = lt_io_publish(io, lt_buf_cstr(&path), text.p, text.n, error);
    if (code == LITMUS_OK) code = finish(io, data_dir, lt_buf_cstr(&path), error);
    close(fd);
    lt_buf_release(&path);
    lt_buf_release(&text);
    return code;
}

/* ---- making ready ---- */

void lt_changeset_clear_staging(const char *data_dir) {
    struct lt_buf path;
    lt_buf_init(&path);
    if (access(lt_path_join(&path, data_dir, LT_CHANGES), F_OK) != 0 && errno == ENOENT) lt_tree_remove(NULL, data_dir, LT_STAGING);
    lt_buf_release(&path);
}

int lt_changeset_begin(const char *data_dir, int *fd, struct litmus_error *error) {
    struct lt_buf path;
    struct litmus_error why = {0};
    struct stat st;
    lt_buf_init(&path);
    int code = lt_changeset_finish(NULL, data_dir, &why);
    if (code == LITMUS_OK && lt_lock_take(lt_path_join(&path, data_dir, "staging.lock"), false, fd, &why) == LITMUS_EBUSY) {
        lt_buf_release(&path);
        return lt_fail(error, LITMUS_EBUSY, 0, "another prune or import is at work in %s: wait for it", data_dir);
    }
    code = why.code == LITMUS_OK ? LITMUS_OK : lt_fail_with(error, &why);
    if (code == LITMUS_OK && lstat(lt_path_join(&path, data_dir, LT_STAGING), &st) == 0 && !S_ISDIR(st.st_mode)) {
        code = lt_fail(error, LITMUS_EPERM, 0, "%s is no folder, and a link is not followed: move it elsewhere", lt_buf_cstr(&path));
        close(*fd);
        *fd = -1;
    }
    if (code == LITMUS_OK) lt_changeset_clear_staging(data_dir);
    lt_buf_release(&path);
    return code;
}

void lt_changeset_end(const char *data_dir, int fd) {
    if (fd < 0) return;
    lt_changeset_clear_staging(data_dir);
    close(fd);
}
