/* SPDX-License-Identifier: Apache-2.0
 *
 * power_trial.h - a recorded history is cut after every call, trees are made as the disk may hold them then (disk_model.h), and each is looked at.
 */
#ifndef POWER_TRIAL_H
#define POWER_TRIAL_H

#include "../unit/log_helper.h"
#include "disk_model.h"

#include "log/blob.h"

#include <ftw.h>

enum { ALL_MASKS = 5, STATES = 1 << 17 };

struct trial {
    char base[256]; /* the recorder's data_dir is below it, and the trees */
    char dir[300];
    struct disk *disk;
    struct lt_io io;
    /* of the state that is looked at */
    char tree[300], where[200];
    int promised;
    uint64_t seen[STATES];
    int tried;
    /* for the checks */
    struct lt_buf torn;
    int found[8], found_count; /* the numbers of the rows of the first log */
    struct lt_blob synced[2];  /* attachments that were on the disk before their event */
};

#define expect(t, condition, ...)                                                                 \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            char text_[1200];                                                                      \
            snprintf(text_, sizeof text_, __VA_ARGS__);                                           \
            fail_msg("%s: %s not so: %s (%s)", (t)->where, #condition, text_, (t)->tree);         \
        }                                                                                         \
    } while (0)

static inline int set_up(void **state) {
    struct trial *t = calloc(1, sizeof *t);
    make_temp(t->base);
    snprintf(t->dir, sizeof t->dir, "%s/data", t->base);
    lt_buf_init(&t->torn);
    *state = t;
    return mkdir(t->dir, 0777);
}

static inline void begin(struct trial *t) {
    t->disk = disk_new(t->dir);
    t->io = disk_io(t->disk);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int tear_down(void **state) {
    struct trial *t = *state;
    nftw(t->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (t->disk != NULL) disk_free(t->disk);
    lt_buf_release(&t->torn);
    free(t);
    return 0;
}

/* ---- every state ---- */
static inline bool seen_before(struct trial *t, uint64_t hash) {
    hash = (hash ^ (uint64_t)t->promised * 0x9e3779b97f4a7c15u) | 1;
    size_t i = (hash >> 8) % STATES;
    while (t->seen[i] != 0 && t->seen[i] != hash) i = (i + 1) % STATES;
    bool seen = t->seen[i] != 0;
    t->seen[i] = hash;
    return seen;
}

static inline void try_state(struct trial *t, size_t cut, const struct disk_choice *choice, void (*check)(struct trial *t)) {
    if (seen_before(t, disk_crash(t->disk, cut, choice, NULL))) return;
    assert_true(++t->tried < STATES / 2);
    snprintf(t->where, sizeof t->where, "after call %zu of %zu, content %d, entries %llx, seed %llu", cut, disk_length(t->disk), (int)choice->content,
             (unsigned long long)choice->entries, (unsigned long long)choice->seed);
    snprintf(t->tree, sizeof t->tree, "%s/tree", t->base);
    assert_int_equal(mkdir(t->tree, 0777), 0);
    disk_crash(t->disk, cut, choice, t->tree);
    check(t);
    nftw(t->tree, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void try_masks(struct trial *t, size_t cut, enum disk_content content, int entries, void (*check)(struct trial *t)) {
    struct disk_choice choice = {.content = content};
    if (entries <= ALL_MASKS) {
        for (uint64_t mask = 0; mask < (uint64_t)1 << entries; mask++) {
            choice.entries = mask;
            try_state(t, cut, &choice, check);
        }
        return;
    }
    for (int i = 0; i <= entries; i++) {
        uint64_t all = ((uint64_t)1 << entries) - 1, one = i == entries ? 0 : (uint64_t)1 << i;
        uint64_t masks[] = {one, all & ~one, all & (((uint64_t)1 << i) - 1)};
        for (size_t k = 0; k < sizeof masks / sizeof masks[0]; k++) {
            choice.entries = masks[k];
            try_state(t, cut, &choice, check);
        }
    }
}

static inline void try_all(struct trial *t, int random_states, void (*check)(struct trial *t)) {
    const char *soak = getenv("LITMUS_SOAK");
    long times = soak == NULL ? 1 : strtol(soak, NULL, 10);
    if (times > 0 && times < 10000) random_states *= (int)times;
    for (size_t cut = 0; cut <= disk_length(t->disk); cut++) {
        int entries = disk_entries(t->disk, cut);
        assert_true(entries < 60);
        t->promised = disk_note_before(t->disk, cut);
        for (int content = 0; content < DISK_CONTENTS; content++) try_masks(t, cut, (enum disk_content)content, entries, check);
        for (int i = 1; i <= random_states; i++) {
            struct disk_choice choice = {.content = DISK_ANY, .seed = (uint64_t)(cut * 1000003 + (size_t)i)};
            try_state(t, cut, &choice, check);
        }
    }
    print_message("%d different states after %zu calls\n", t->tried, disk_length(t->disk));
    assert_true(t->tried > (int)disk_length(t->disk));
}

/* ---- what must hold of every tree ---- */
static inline struct lt_log_list logs_of(struct trial *t) {
    struct lt_log_list list = {0};
    struct litmus_error error = {0};
    expect(t, lt_log_find(t->tree, NULL, &list, &error) == LITMUS_OK, "%s", error.text);
    return list;
}

#endif
