/* SPDX-License-Identifier: Apache-2.0 */
#include "disk_model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FDS = 1024, BLOCK = 512, PATH_BYTES = 1024 };

enum kind { OP_ENTER, OP_LEAVE, OP_MOVE, OP_WRITE, OP_CUT, OP_SYNC, OP_NOTE };
struct op {
    enum kind kind;
    int node;         /* a file or folder; of OP_SYNC the one that is synced */
    int dir;          /* OP_ENTER, OP_LEAVE, OP_MOVE: the folder */
    int from;         /* OP_MOVE: the folder that it comes from */
    char *name, *to;  /* OP_MOVE: from, to */
    int64_t offset;   /* OP_WRITE; OP_CUT: the new length; OP_NOTE: the count */
    unsigned char *bytes;
    size_t n;
};
struct node {
    bool folder;
    char *path; /* relative to the root, where it is now; NULL: gone */
    int64_t size;
};
struct disk {
    char *root;
    struct node *nodes; /* the root is 0 */
    int node_count;
    struct op *ops;
    size_t op_count, first; /* the history begins behind what was there */
    int fd_node[FDS];
    int64_t fd_at[FDS];
    bool fd_append[FDS];
};

static void *need(void *p) {
    if (p == NULL) abort();
    return p;
}

static void *grown(void *p, size_t count, size_t size) {
    return (count & (count - 1)) != 0 ? p : need(realloc(p, (count == 0 ? 1 : count * 2) * size));
}

/* ---- the history ---- */
static struct op *op_add(struct disk *d, enum kind kind, int node) {
    d->ops = grown(d->ops, d->op_count, sizeof *d->ops);
    struct op *op = &d->ops[d->op_count++];
    *op = (struct op){.kind = kind, .node = node};
    return op;
}

static int node_add(struct disk *d, const char *path, bool folder) {
    d->nodes = grown(d->nodes, (size_t)d->node_count, sizeof *d->nodes);
    d->nodes[d->node_count] = (struct node){.folder = folder, .path = need(strdup(path))};
    return d->node_count++;
}

static const char *relative(const struct disk *d, const char *path) {
    size_t n = strlen(d->root);
    if (strncmp(path, d->root, n) != 0) return NULL;
    return path[n] == '/' ? path + n + 1 : path[n] == '\0' ? path + n : NULL;
}

static int node_find(const struct disk *d, const char *path) {
    const char *name = relative(d, path);
    for (int i = 0; name != NULL && i < d->node_count; i++)
        if (d->nodes[i].path != NULL && strcmp(d->nodes[i].path, name) == 0) return i;
    return -1;
}

static int folder_of(const struct disk *d, const char *path, const char **name) {
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) return -1;
    *slash = '\0';
    *name = strrchr(path, '/') + 1;
    return node_find(d, folder);
}

static int enter(struct disk *d, const char *path, bool folder) {
    const char *name;
    int dir = folder_of(d, path, &name);
    if (dir < 0) return -1;
    int node = node_add(d, relative(d, path), folder);
    struct op *op = op_add(d, OP_ENTER, node);
    op->dir = dir;
    op->name = need(strdup(name));
    return node;
}

static void leave(struct disk *d, const char *path) {
    const char *name;
    int node = node_find(d, path), dir = folder_of(d, path, &name);
    if (node < 0 || dir < 0) return;
    struct op *op = op_add(d, OP_LEAVE, node);
    op->dir = dir;
    op->name = need(strdup(name));
    free(d->nodes[node].path);
    d->nodes[node].path = NULL;
}

static void wrote(struct disk *d, int node, int64_t offset, const void *bytes, size_t n) {
    struct op *op = op_add(d, OP_WRITE, node);
    op->offset = offset;
    op->bytes = need(malloc(n + 1));
    memcpy(op->bytes, bytes, n);
    op->n = n;
    if (d->nodes[node].size < offset + (int64_t)n) d->nodes[node].size = offset + (int64_t)n;
}

static void was_cut(struct disk *d, int node, int64_t size) {
    op_add(d, OP_CUT, node)->offset = size;
    d->nodes[node].size = size;
}

/* ---- the calls ---- */
static int rec_open(void *self, const char *path, int flags, unsigned mode) {
    struct disk *d = self;
    int node = node_find(d, path);
    int fd = lt_io_os.open(NULL, path, flags, mode);
    if (fd < 0 || relative(d, path) == NULL) return fd;
    if (fd >= FDS) abort();
    if (node < 0) node = enter(d, path, (flags & O_DIRECTORY) != 0);
    else if ((flags & O_TRUNC) != 0) was_cut(d, node, 0);
    d->fd_node[fd] = node;
    d->fd_at[fd] = 0;
    d->fd_append[fd] = (flags & O_APPEND) != 0;
    return fd;
}
static ssize_t rec_write(void *self, int fd, const void *bytes, size_t n) {
    struct disk *d = self;
    ssize_t done = lt_io_os.write(NULL, fd, bytes, n);
    int node = d->fd_node[fd];
    if (done <= 0 || node < 0) return done;
    if (d->fd_append[fd]) d->fd_at[fd] = d->nodes[node].size;
    wrote(d, node, d->fd_at[fd], bytes, (size_t)done);
    d->fd_at[fd] += done;
    return done;
}
static int rec_sync(void *self, int fd) {
    struct disk *d = self;
    if (d->fd_node[fd] >= 0) op_add(d, OP_SYNC, d->fd_node[fd]);
    return 0;
}
static int rec_ftruncate(void *self, int fd, int64_t size) {
    struct disk *d = self;
    int result = lt_io_os.ftruncate(NULL, fd, size);
    if (result == 0 && d->fd_node[fd] >= 0) was_cut(d, d->fd_node[fd], size);
    return result;
}
static int rec_rename(void *self, const char *from, const char *to) {
    struct disk *d = self;
    const char *name, *new_name;
    int node = node_find(d, from), dir = folder_of(d, from, &name), over = node_find(d, to), to_dir = folder_of(d, to, &new_name);
    if (node < 0 || dir < 0 || to_dir < 0 || (d->nodes[node].folder && dir != to_dir)) abort(); /* we move files */
    int result = lt_io_os.rename(NULL, from, to);
    if (result != 0) return result;
    struct op *op = op_add(d, OP_MOVE, node);
    op->dir = to_dir;
    op->from = dir;
    op->name = need(strdup(name));
    op->to = need(strdup(new_name));
    if (over >= 0) {
        free(d->nodes[over].path);
        d->nodes[over].path = NULL;
    }
    free(d->nodes[node].path);
    d->nodes[node].path = need(strdup(relative(d, to)));
    return 0;
}
static int rec_mkdir(void *self, const char *path, unsigned mode) {
    struct disk *d = self;
    int result = lt_io_os.mkdir(NULL, path, mode);
    if (result == 0 && relative(d, path) != NULL) enter(d, path, true);
    return result;
}
static int rec_unlink(void *self, const char *path) {
    struct disk *d = self;
    int result = lt_io_os.unlink(NULL, path);
    if (result == 0) leave(d, path);
    return result;
}
static int rec_flock(void *self, int fd, int operation) {
    (void)self;
    return lt_io_os.flock(NULL, fd, operation);
}
static int rec_close(void *self, int fd) {
    struct disk *d = self;
    if (fd >= 0 && fd < FDS) d->fd_node[fd] = -1;
    return lt_io_os.close(NULL, fd);
}

struct lt_io disk_io(struct disk *d) {
    return (struct lt_io){rec_open, rec_write, rec_sync, rec_sync, rec_ftruncate, rec_rename, rec_mkdir, rec_unlink, rec_flock, rec_close, d};
}

void disk_dup(struct disk *d, int from, int to) {
    if (from >= FDS || to >= FDS) abort();
    d->fd_node[to] = d->fd_node[from];
    d->fd_at[to] = d->fd_at[from];
    d->fd_append[to] = d->fd_append[from];
}

void disk_note(struct disk *d, int count) {
    op_add(d, OP_NOTE, -1)->offset = count;
}

void disk_sync_path(struct disk *d, const char *path) {
    int node = node_find(d, path);
    if (node < 0) abort();
    op_add(d, OP_SYNC, node);
}

size_t disk_length(const struct disk *d) {
    return d->op_count - d->first;
}

int disk_note_before(const struct disk *d, size_t cut) {
    int note = 0;
    for (size_t i = d->first; i < d->first + cut; i++)
        if (d->ops[i].kind == OP_NOTE) note = (int)d->ops[i].offset;
    return note;
}

/* ---- what was there ---- */
static void scan(struct disk *d, const char *path) {
    DIR *dir = opendir(path);
    if (dir == NULL) abort();
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char below[PATH_BYTES + 300];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        struct stat st;
        if (lstat(below, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) continue;
        int node = enter(d, below, S_ISDIR(st.st_mode));
        if (S_ISDIR(st.st_mode)) {
            scan(d, below);
            continue;
        }
        struct lt_buf bytes;
        lt_buf_init(&bytes);
        if (lt_io_read_file(below, 1 << 30, &bytes, NULL) != LITMUS_OK) abort();
        wrote(d, node, 0, bytes.p == NULL ? "" : bytes.p, bytes.n);
        lt_buf_release(&bytes);
    }
    closedir(dir);
}

struct disk *disk_new(const char *root) {
    struct disk *d = need(calloc(1, sizeof *d));
    d->root = need(strdup(root));
    for (int i = 0; i < FDS; i++) d->fd_node[i] = -1;
    node_add(d, "", true);
    scan(d, root);
    for (int i = 0; i < d->node_count; i++) op_add(d, OP_SYNC, i);
    d->first = d->op_count;
    return d;
}

void disk_free(struct disk *d) {
    for (size_t i = 0; i < d->op_count; i++) {
        free(d->ops[i].name);
        free(d->ops[i].to);
        free(d->ops[i].bytes);
    }
    for (int i = 0; i < d->node_count; i++) free(d->nodes[i].path);
    free(d->ops);
    free(d->nodes);
    free(d->root);
    free(d);
}

/* ---- after the power failed ---- */
struct content {
    unsigned char *p;
    size_t n;
};
struct after {
    const struct disk *disk;
    struct {
        struct content *states; /* of a file: the first is on the disk, the last is what was written */
        int state_count;
        struct { /* of a folder */
            char *name;
            int node;
        } entries[64];
        int entry_count;
        const struct op *pending[64];
        int pending_count;
        bool reached;
    } * nodes;
    uint64_t random, hash;
};

static uint64_t random_next(struct after *a) {
    a->random ^= a->random << 13;
    a->random ^= a->random >> 7;
    a->random ^= a->random << 17;
    return a->random * 0x2545f4914f6cdd1dull >> 16;
}

static void put_entry(struct after *a, int dir, const char *name, int node) {
    int at = 0, count = a->nodes[dir].entry_count;
    while (at < count && strcmp(a->nodes[dir].entries[at].name, name) != 0) at++;
    if (node < 0) {
        if (at == count) return;
        free(a->nodes[dir].entries[at].name);
        a->nodes[dir].entries[at] = a->nodes[dir].entries[--a->nodes[dir].entry_count];
        return;
    }
    if (at == 64) abort();
    if (at == count) {
        a->nodes[dir].entries[at].name = need(strdup(name));
        a->nodes[dir].entry_count++;
    }
    a->nodes[dir].entries[at].node = node;
}

static void do_entry(struct after *a, const struct op *op) {
    if (op->kind != OP_ENTER) put_entry(a, op->kind == OP_MOVE ? op->from : op->dir, op->name, -1);
    if (op->kind == OP_ENTER) put_entry(a, op->dir, op->name, op->node);
    if (op->kind == OP_MOVE) put_entry(a, op->dir, op->to, op->node);
}

static void push_state(struct after *a, const struct op *op) {
    int node = op->node, count = a->nodes[node].state_count;
    struct content last = count == 0 ? (struct content){0} : a->nodes[node].states[count - 1];
    size_t n = op->kind == OP_CUT ? (size_t)op->offset : (size_t)op->offset + op->n;
    if (op->kind == OP_WRITE && n < last.n) n = last.n;
    struct content next = {need(calloc(1, n + 1)), n};
    if (last.n > 0) memcpy(next.p, last.p, last.n < n ? last.n : n);
    if (op->kind == OP_WRITE) memcpy(next.p + op->offset, op->bytes, op->n);
    a->nodes[node].states = need(realloc(a->nodes[node].states, (size_t)(count + 1) * sizeof next));
    a->nodes[node].states[a->nodes[node].state_count++] = next;
}

static void do_sync(struct after *a, int node) {
    if (a->disk->nodes[node].folder) {
        for (int i = 0; i < a->nodes[node].pending_count; i++) do_entry(a, a->nodes[node].pending[i]);
        a->nodes[node].pending_count = 0;
        return;
    }
    int count = a->nodes[node].state_count;
    if (count < 2) return;
    for (int i = 0; i < count - 1; i++) free(a->nodes[node].states[i].p);
    a->nodes[node].states[0] = a->nodes[node].states[count - 1];
    a->nodes[node].state_count = 1;
}

static void replay(struct after *a, const struct disk *d, size_t cut) {
    *a = (struct after){.disk = d, .hash = 0xcbf29ce484222325u};
    a->nodes = need(calloc((size_t)(unsigned)d->node_count, sizeof *a->nodes));
    for (int i = 0; i < d->node_count; i++) {
        struct op empty = {.kind = OP_CUT, .node = i};
        if (!d->nodes[i].folder) push_state(a, &empty);
    }
    for (size_t i = 0; i < d->first + cut; i++) {
        const struct op *op = &d->ops[i];
        if (op->kind == OP_WRITE || op->kind == OP_CUT) push_state(a, op);
        else if (op->kind == OP_SYNC) do_sync(a, op->node);
        else if (op->kind != OP_NOTE) {
            if (a->nodes[op->dir].pending_count == 64) do_sync(a, op->dir); /* only in what was there before */
            a->nodes[op->dir].pending[a->nodes[op->dir].pending_count++] = op;
        }
    }
}

static void after_release(struct after *a) {
    for (int i = 0; i < a->disk->node_count; i++) {
        for (int k = 0; k < a->nodes[i].state_count; k++) free(a->nodes[i].states[k].p);
        for (int k = 0; k < a->nodes[i].entry_count; k++) free(a->nodes[i].entries[k].name);
        free(a->nodes[i].states);
    }
    free(a->nodes);
}

int disk_entries(const struct disk *d, size_t cut) {
    struct after a;
    replay(&a, d, cut);
    int count = 0;
    for (int i = 0; i < d->node_count; i++) count += a.nodes[i].pending_count;
    after_release(&a);
    return count;
}

/* A block of a state; zeros where the state is shorter. */
static void take_block(const struct content *state, size_t at, size_t n, unsigned char *out) {
    size_t have = at >= state->n ? 0 : state->n - at < n ? state->n - at : n;
    if (have > 0) memcpy(out, state->p + at, have);
    memset(out + have, 0, n - have);
}

static struct content random_content(struct after *a, int node) {
    const struct content *states = a->nodes[node].states;
    size_t count = (size_t)a->nodes[node].state_count;
    static const size_t sizes[] = {64, BLOCK, 4096};
    size_t block = sizes[random_next(a) % 3], n = states[random_next(a) % count].n;
    if (random_next(a) % 4 == 0 && states[count - 1].n > states[0].n) n = states[0].n + random_next(a) % (states[count - 1].n - states[0].n + 1); /* torn */
    struct content out = {need(calloc(1, n + 1)), n};
    for (size_t at = 0; at < n; at += block) {
        uint64_t which = random_next(a) % (count + 1);
        size_t bytes = n - at < block ? n - at : block;
        if (which < count) take_block(&states[which], at, bytes, out.p + at);
        else take_block(&states[0], at, bytes, out.p + at); /* the old, or zeros behind its end */
    }
    return out;
}

static struct content choose_content(struct after *a, int node, enum disk_content how) {
    const struct content *states = a->nodes[node].states, *old = &states[0], *new = &states[a->nodes[node].state_count - 1];
    if (how == DISK_ANY) return random_content(a, node);
    const struct content *base = how == DISK_OLD ? old : new;
    size_t n = base->n;
    if (how == DISK_SHORT && a->nodes[node].state_count > 1) {
        size_t before = states[a->nodes[node].state_count - 2].n;
        if (before < n) n = before + (n - before) / 2;
    }
    struct content out = {need(calloc(1, n + 1)), n};
    take_block(how == DISK_ZEROS ? old : base, 0, n, out.p);
    if (how == DISK_HEADLESS) {
        size_t at = 0;
        while (at < n && at < old->n && old->p[at] == new->p[at]) at++;
        at -= at % BLOCK;
        size_t bytes = n - at < BLOCK ? n - at : BLOCK;
        if (at < n) take_block(old, at, bytes, out.p + at);
    }
    return out;
}

static void hash_bytes(struct after *a, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) a->hash = (a->hash ^ p[i]) * 0x100000001b3u;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void store(struct after *a, int node, const struct content *contents, const char *to) {
    if (a->nodes[node].reached) return; /* an entry under two names: the first one has it */
    a->nodes[node].reached = true;
    qsort(a->nodes[node].entries, (size_t)a->nodes[node].entry_count, sizeof a->nodes[node].entries[0], by_name);
    for (int i = 0; i < a->nodes[node].entry_count; i++) {
        int below = a->nodes[node].entries[i].node;
        const char *name = a->nodes[node].entries[i].name;
        char path[PATH_BYTES] = "";
        if (to != NULL) snprintf(path, sizeof path, "%s/%s", to, name);
        hash_bytes(a, name, strlen(name) + 1);
        if (a->disk->nodes[below].folder) {
            if (to != NULL && mkdir(path, 0777) != 0) abort();
            store(a, below, contents, to == NULL ? NULL : path);
            hash_bytes(a, "/", 1);
            continue;
        }
        const struct content *c = &contents[below];
        hash_bytes(a, &c->n, sizeof c->n);
        hash_bytes(a, c->p, c->n);
        if (to == NULL) continue;
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 || write(fd, c->p, c->n) != (ssize_t)c->n) abort();
        close(fd);
    }
}

uint64_t disk_crash(const struct disk *d, size_t cut, const struct disk_choice *choice, const char *to) {
    struct after a;
    replay(&a, d, cut);
    a.random = choice->seed * 0x9e3779b97f4a7c15u + 0x1234567;
    int entry = 0;
    for (int i = 0; i < d->node_count; i++) {
        for (int k = 0; k < a.nodes[i].pending_count; k++, entry++) {
            bool there = choice->seed != 0 ? random_next(&a) % 2 == 0 : (choice->entries >> (entry < 63 ? entry : 63) & 1) != 0;
            if (there) do_entry(&a, a.nodes[i].pending[k]);
        }
    }
    struct content *contents = need(calloc((size_t)(unsigned)d->node_count, sizeof *contents));
    for (int i = 0; i < d->node_count; i++)
        if (!d->nodes[i].folder) contents[i] = choose_content(&a, i, choice->content);
    store(&a, 0, contents, to);
    for (int i = 0; i < d->node_count; i++) free(contents[i].p);
    free(contents);
    uint64_t hash = a.hash;
    after_release(&a);
    return hash;
}
