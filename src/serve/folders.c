/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "serve/folders.h"

#include "base/clock.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WATCHED_MAX = 64, /* the newest folders; older ones get no new logs but by import, which says so */
    RECENT = 2,       /* today's and yesterday's: never settled as a whole */
    FOLDERS_MAX = 100 * 1000,
    CACHE_BYTES_MAX = 32 * 1024 * 1024,
};
#define CACHE_HEAD "litmus-clean 2\n"

/* ---- sets of hashes ---- */
static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static uint64_t hash_end(uint64_t h) {
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    return h == 0 ? 1 : h;
}

static uint64_t name_hash(const char *name) {
    return hash_end(hash_bytes(0xcbf29ce484222325u, name, strlen(name)));
}

static uint64_t state_hash(const char *name, const struct stat *st) {
    int64_t numbers[2] = {(int64_t)st->st_size, lt_mtime_ns(st)};
    uint64_t h = hash_bytes(0xcbf29ce484222325u, name, strlen(name));
    return hash_end(hash_bytes(h, numbers, sizeof numbers));
}

bool lt_keys_have(const struct lt_keys *keys, uint64_t key) {
    if (keys->capacity == 0) return false;
    for (size_t i = key & (keys->capacity - 1);; i = (i + 1) & (keys->capacity - 1)) {
        if (keys->slots[i] == key) return true;
        if (keys->slots[i] == 0) return false;
    }
}

static void keys_put(struct lt_keys *keys, uint64_t key) {
    size_t i = key & (keys->capacity - 1);
    while (keys->slots[i] != 0 && keys->slots[i] != key) i = (i + 1) & (keys->capacity - 1);
    if (keys->slots[i] == 0) keys->count++;
    keys->slots[i] = key;
}

bool lt_keys_add(struct lt_keys *keys, uint64_t key) {
    if (keys->count * 4 >= keys->capacity * 3) {
        struct lt_keys larger = {.capacity = keys->capacity == 0 ? 64 : keys->capacity * 2};
        larger.slots = calloc(larger.capacity, sizeof *larger.slots);
        if (larger.slots == NULL) return false;
        for (size_t i = 0; i < keys->capacity; i++) {
            if (keys->slots[i] != 0) keys_put(&larger, keys->slots[i]);
        }
        free(keys->slots);
        *keys = larger;
    }
    keys_put(keys, key);
    return true;
}

void lt_keys_release(struct lt_keys *keys) {
    free(keys->slots);
    *keys = (struct lt_keys){0};
}

/* ---- folders ---- */
static bool name_fits(const char *name) {
    size_t n = strlen(name);
    return n > 0 && n < sizeof((struct lt_folder *)0)->name &&
           strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-") == n;
}

static size_t folder_place(const struct lt_folders *folders, const char *name, bool *there) {
    size_t low = 0, high = folders->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(folders->items[middle]->name, name);
        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order > 0) low = middle + 1;
        else high = middle;
    }
    *there = false;
    return low;
}

static void folder_free(struct lt_folder *folder) {
    lt_keys_release(&folder->seen);
    lt_keys_release(&folder->clean);
    free(folder->path);
    free(folder);
}

/* The folder of that name, made when it is new; NULL: out of memory or too many. */
static struct lt_folder *folder_get(struct lt_folders *folders, const char *name) {
    bool there;
    size_t at = folder_place(folders, name, &there);
    if (there) return folders->items[at];
    if (folders->count == FOLDERS_MAX) return NULL;
    if (folders->count == folders->capacity) {
        size_t capacity = folders->capacity == 0 ? 16 : folders->capacity * 2;
        struct lt_folder **items = realloc(folders->items, capacity * sizeof(struct lt_folder *));
        if (items == NULL) return NULL;
        folders->items = items;
        folders->capacity = capacity;
    }
    struct lt_folder *folder = calloc(1, sizeof *folder);
    if (folder == NULL) return NULL;
    if (asprintf(&folder->path, "%s/%s", folders->events, name) < 0) {
        free(folder);
        return NULL;
    }
    snprintf(folder->name, sizeof folder->name, "%s", name);
    folder->watch = -1;
    folder->listed_mtime = folder->clean_mtime = -1;
    memmove(folders->items + at + 1, folders->items + at, (folders->count - at) * sizeof(struct lt_folder *));
    folders->items[at] = folder;
    folders->count++;
    return folder;
}

static void folder_watch(struct lt_folders *folders, struct lt_folder *folder) {
    if (folders->watch != NULL && folder->watch < 0) folder->watch = lt_watch_add(folders->watch, folder->path, true);
}

void lt_folders_hush(struct lt_folders *folders, struct lt_folder *folder, bool hushed) {
    if (folder->watch < 0 || folder->hushed == hushed) return;
    int id = lt_watch_add(folders->watch, folder->path, !hushed);
    if (id >= 0 && id != folder->watch) lt_watch_remove(folders->watch, id); /* another one has its name: the next refresh finds it */
    folder->hushed = hushed && id == folder->watch;
}

struct lt_folder *lt_folders_by_watch(struct lt_folders *folders, int watch) {
    for (size_t i = 0; i < folders->count; i++) {
        if (folders->items[i]->watch == watch) return folders->items[i];
    }
    return NULL;
}

void lt_folders_lost(struct lt_folders *folders, struct lt_folder *folder) {
    (void)folders;
    folder->watch = -1;
    folder->hushed = false;
    folder->gone = true;
    folder->listed_mtime = folder->clean_mtime = -1; /* should one of that name come back, it is new */
    lt_keys_release(&folder->seen);
    lt_keys_release(&folder->clean);
}

/* ---- looking ---- */
/* Must the folder be listed? `newest`: among those that are held against the disk. */
static void folder_check(struct lt_folders *folders, struct lt_folder *folder, bool force) {
    struct stat st;
    if (lstat(folder->path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        if (folder->watch >= 0) lt_watch_remove(folders->watch, folder->watch);
        lt_folders_lost(folders, folder);
        return;
    }
    folder_watch(folders, folder); /* first, so that nothing falls between it and the listing */
    int64_t mtime = lt_mtime_ns(&st);
    if (mtime == folder->clean_mtime && !force) return;
    if (force || mtime != folder->listed_mtime || folder->listed_at - mtime < LT_MTIME_GRAIN_NS) folder->wanted = true;
}

void lt_folders_refresh(struct lt_folders *folders, size_t newest, bool force) {
    DIR *dir = opendir(folders->events);
    if (dir == NULL) return;
    if (folders->watch != NULL && folders->events_watch < 0) folders->events_watch = lt_watch_add(folders->watch, folders->events, true);
    int os_errno = 0;
    for (const struct dirent *entry; (entry = lt_io_next_entry(dir, &os_errno)) != NULL;) {
        if (!name_fits(entry->d_name) || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)) continue;
        bool there;
        size_t at = folder_place(folders, entry->d_name, &there);
        struct lt_folder *folder = there ? folders->items[at] : folder_get(folders, entry->d_name);
        if (folder == NULL || (there && !folder->gone)) continue;
        folder->gone = false;
        folder->wanted = folder->unsynced = true;
    }
    closedir(dir);
    if (force || os_errno != 0) folders->lost = true; /* there may be more of them */
    for (size_t i = 0; i < folders->count && i < newest; i++) {
        if (i < WATCHED_MAX) folder_check(folders, folders->items[i], force);
        else {
            struct stat st;
            struct lt_folder *folder = folders->items[i];
            bool same = folder->clean_mtime >= 0 && lstat(folder->path, &st) == 0 && lt_mtime_ns(&st) == folder->clean_mtime;
            if (!same && (force || folder->listed_mtime < 0)) folder->wanted = true;
        }
    }
}

static bool is_log_name(const char *name) {
    return name[0] != '.' && lt_str_ends(lt_str_of(name), LT_STR(".arrow"));
}

static bool names_add(struct lt_folders *folders, const char *name) {
    if (folders->name_count == folders->name_capacity) {
        size_t capacity = folders->name_capacity == 0 ? 64 : folders->name_capacity * 2;
        char **names = realloc(folders->names, capacity * sizeof *names);
        if (names == NULL) return false;
        folders->names = names;
        folders->name_capacity = capacity;
    }
    char *copy = strdup(name);
    if (copy == NULL) return false;
    folders->names[folders->name_count++] = copy;
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_release(struct lt_folders *folders) {
    for (size_t i = folders->name_at; i < folders->name_count; i++) free(folders->names[i]);
    free(folders->names);
    folders->names = NULL;
    folders->name_count = folders->name_capacity = folders->name_at = 0;
    folders->listing = NULL;
}

/* Takes the names of a folder that are not known; a clean one becomes known here. */
static void listing_begin(struct lt_folders *folders, struct lt_folder *folder) {
    folder->wanted = false;
    int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0) return;
    DIR *dir = fstat(fd, &st) == 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        close(fd);
        return;
    }
    folder->listed_mtime = lt_mtime_ns(&st);
    folder->listed_at = lt_now_us() * 1000;
    folders->listing = folder;
    bool whole = true;
    int os_errno = 0;
    for (const struct dirent *entry; (entry = lt_io_next_entry(dir, &os_errno)) != NULL;) {
        uint64_t key = name_hash(entry->d_name);
        if (!is_log_name(entry->d_name) || lt_keys_have(&folder->seen, key)) continue;
        if (folder->clean.count > 0 && fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            lt_keys_have(&folder->clean, state_hash(entry->d_name, &st))) {
            whole = lt_keys_add(&folder->seen, key) && whole;
            continue;
        }
        whole = names_add(folders, entry->d_name) && whole;
    }
    if (!whole || os_errno != 0) folder->listed_mtime = -1; /* out of memory, or refused: again at the next look */
    closedir(dir);
    if (folders->name_count > 1) qsort(folders->names, folders->name_count, sizeof *folders->names, by_name);
}

static void announce(struct lt_folders *folders, struct lt_folder *folder, const char *name, bool fresh) {
    uint64_t key = name_hash(name);
    if (lt_keys_have(&folder->seen, key) || !lt_keys_add(&folder->seen, key)) return;
    folders->on_log(folders->self, folder, name, fresh);
}

bool lt_folders_step(struct lt_folders *folders, size_t budget) {
    while (budget > 0) {
        if (folders->listing == NULL) {
            struct lt_folder *next = NULL;
            for (size_t i = 0; i < folders->count && next == NULL; i++) {
                if (folders->items[i]->wanted) next = folders->items[i];
            }
            if (next == NULL) {
                folders->lost = false;
                return false;
            }
            listing_begin(folders, next);
            budget--;
            if (folders->listing == NULL) continue;
        }
        struct lt_folder *folder = folders->listing;
        while (budget > 0 && folders->name_at < folders->name_count) {
            char *name = folders->names[folders->name_at++];
            announce(folders, folder, name, false);
            free(name);
            budget--;
        }
        if (folders->name_at == folders->name_count) names_release(folders);
    }
    return true;
}

bool lt_folders_listing(const struct lt_folders *folders) {
    return folders->listing != NULL;
}

bool lt_folders_knows(const struct lt_folders *folders, const char *session_id) {
    if (folders->watch == NULL || folders->events_watch < 0 || folders->lost) return false;
    for (size_t i = 0; i < folders->count; i++) {
        const struct lt_folder *folder = folders->items[i];
        if (folder->gone) continue;
        if (i < WATCHED_MAX && folder->watch < 0) return false;
        if (folder->listed_mtime < 0 && (folder->wanted || folder->clean_mtime < 0)) return false;
    }
    /* Names are announced in order: is what is left behind those of the session? */
    return folders->name_at == folders->name_count || strncmp(folders->names[folders->name_at], session_id, strlen(session_id)) > 0;
}

void lt_folders_note(struct lt_folders *folders, struct lt_folder *folder, const char *name) {
    if (!is_log_name(name)) return;
    folder->unsynced = true;
    announce(folders, folder, name, true);
}

void lt_folders_settled(struct lt_folders *folders, struct lt_folder *folder, const char *name) {
    char path[4096];
    struct stat st;
    if (snprintf(path, sizeof path, "%s/%s", folder->path, name) >= (int)sizeof path) return;
    if (lstat(path, &st) != 0) return;
    lt_keys_add(&folder->clean, state_hash(name, &st));
    folders->changed = true;
}

/* ---- the cache ---- */
static void load_line(struct lt_folders *folders, char *line) {
    char *name = line + 2, *value = strchr(name, ' ');
    if ((line[0] != 'd' && line[0] != 'f') || line[1] != ' ' || value == NULL) return;
    *value++ = '\0';
    if (!name_fits(name)) return;
    char *end;
    errno = 0;
    uint64_t number = strtoull(value, &end, line[0] == 'd' ? 10 : 16);
    if (errno != 0 || end == value || *end != '\0' || number == 0 || number > INT64_MAX * 2ull) return;
    struct lt_folder *folder = folder_get(folders, name);
    if (folder == NULL) return;
    if (line[0] == 'd') folder->clean_mtime = (int64_t)(number & INT64_MAX);
    else lt_keys_add(&folder->clean, number);
}

static void load(struct lt_folders *folders) {
    struct lt_buf text;
    lt_buf_init(&text);
    struct stat st;
    bool ours = lstat(folders->cache, &st) == 0 && S_ISREG(st.st_mode);
    if (ours && lt_io_read_file(folders->cache, CACHE_BYTES_MAX, &text, NULL) == LITMUS_OK) {
        char *p = (char *)lt_buf_cstr(&text);
        size_t head = strlen(CACHE_HEAD);
        if (strncmp(p, CACHE_HEAD, head) == 0) {
            for (char *line = p + head, *next; (next = strchr(line, '\n')) != NULL; line = next + 1) {
                *next = '\0';
                load_line(folders, line);
            }
        }
    }
    lt_buf_release(&text);
}

/* The whole folder needs no look as long as it does not change. */
static bool wholly_clean(const struct lt_folders *folders, size_t index) {
    const struct lt_folder *folder = folders->items[index];
    return index >= RECENT && folder != folders->listing && !folder->wanted && folder->followed == 0 &&
           folder->listed_mtime >= 0 && folder->listed_at - folder->listed_mtime > LT_MTIME_GRAIN_NS;
}

void lt_folders_save(struct lt_folders *folders) {
    if (!folders->changed) return;
    folders->changed = false;
    struct lt_buf text;
    lt_buf_init(&text);
    lt_buf_add_text(&text, CACHE_HEAD);
    for (size_t i = 0; i < folders->count; i++) {
        struct lt_folder *folder = folders->items[i];
        if (wholly_clean(folders, i)) {
            folder->clean_mtime = folder->listed_mtime;
            lt_keys_release(&folder->clean);
            lt_keys_release(&folder->seen);
        }
        if (folder->clean_mtime >= 0) lt_buf_addf(&text, "d %s %" PRId64 "\n", folder->name, folder->clean_mtime);
        for (size_t k = 0; k < folder->clean.capacity; k++) {
            if (folder->clean.slots[k] != 0) lt_buf_addf(&text, "f %s %016" PRIx64 "\n", folder->name, folder->clean.slots[k]);
        }
    }
    if (!text.failed && text.n < CACHE_BYTES_MAX) lt_io_publish(&lt_io_os, folders->cache, text.p, text.n, NULL);
    lt_buf_release(&text);
}

/* ---- life cycle ---- */
int lt_folders_open(struct lt_folders *folders, const char *data_dir, struct lt_watch *watch,
                    void (*on_log)(void *self, struct lt_folder *folder, const char *name, bool fresh), void *self,
                    struct litmus_error *error) {
    *folders = (struct lt_folders){.watch = watch, .on_log = on_log, .self = self, .events_watch = -1};
    if (asprintf(&folders->events, "%s/events", data_dir) < 0) folders->events = NULL;
    if (asprintf(&folders->cache, "%s/daemon.clean", data_dir) < 0) folders->cache = NULL;
    if (folders->events == NULL || folders->cache == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    struct stat st;
    int code = lt_io_mkdirs(&lt_io_os, folders->events, error);
    if (code == LITMUS_OK && lstat(folders->events, &st) == 0 && S_ISLNK(st.st_mode))
        code = lt_fail(error, LITMUS_EPERM, 0, "%s is a symbolic link, and those are not followed out of a data_dir: make it a folder", folders->events);
    if (code == LITMUS_OK) load(folders);
    return code;
}

void lt_folders_close(struct lt_folders *folders) {
    names_release(folders);
    for (size_t i = 0; i < folders->count; i++) folder_free(folders->items[i]);
    free(folders->items);
    free(folders->events);
    free(folders->cache);
    *folders = (struct lt_folders){0};
}
