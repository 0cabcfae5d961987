/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_model.h - what a disk may hold after the power failed. A recording lt_io notes every call that
 * changes a data_dir; from that history, cut anywhere, trees are made as a disk may hold them then.
 *
 * The model is stricter than the file systems in use. What was synced is there. Of what was not,
 * anything may be missing: of a file each block by itself (old, new, of a state in between, zeros),
 * its length apart from its content; of a folder each new, removed or renamed entry by itself. The
 * sync of a file says nothing of its name, that of a folder nothing of the folder's own name. A file that is moved to another folder is in
 * one of the two, as with every journal; it is in the new one for sure once that is synced.
 */
#ifndef DISK_MODEL_H
#define DISK_MODEL_H

#include "base/io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;

/* What is below `root` now is on the disk. Ends the test when memory runs out. */
struct disk *disk_new(const char *root);
void disk_free(struct disk *disk);
/* Calls go through, but those that wait for the disk are only noted. Borrows the disk. */
struct lt_io disk_io(struct disk *disk);
/* `to` is a duplicate of a descriptor. */
void disk_dup(struct disk *disk, int from, int to);
/* Notes that the caller now holds so many things for safe; see disk_note_before. */
void disk_note(struct disk *disk, int count);
/* As if another process had synced the file or folder. */
void disk_sync_path(struct disk *disk, const char *path);

size_t disk_length(const struct disk *disk); /* of the history; a cut is 0 to this */
int disk_note_before(const struct disk *disk, size_t cut); /* the latest note, 0 if none */

/* How un-synced parts are decided. The first ones hold for all files, or all entries, alike. */
enum disk_content {
    DISK_OLD,        /* nothing of it */
    DISK_NEW,        /* all of it */
    DISK_ZEROS,      /* the new length, zeros where nothing was before */
    DISK_SHORT,      /* all but the second half of the last write */
    DISK_HEADLESS,   /* all but the first block that changed */
    DISK_CONTENTS,
    DISK_ANY = DISK_CONTENTS, /* each block by itself */
};
struct disk_choice {
    enum disk_content content;
    uint64_t entries; /* bit n: the n-th un-synced entry is there */
    uint64_t seed;    /* for DISK_ANY; not 0: the entries too */
};
/* How many entries are un-synced at the cut. */
int disk_entries(const struct disk *disk, size_t cut);
/* Makes the tree in the empty folder `to`. Returns a hash of it. `to` NULL: only the hash. */
uint64_t disk_crash(const struct disk *disk, size_t cut, const struct disk_choice *choice, const char *to);

#endif
