/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor.h - what is wrong with a data_dir, and how what can be mended is mended.
 *
 * Always true:
 *  - Looking changes nothing, not even the catalog: what it would say is made in memory.
 *  - Nothing on record is ever removed. What a mend puts another thing in the place of is kept beside it first
 *    (`{file}.aside-{n}`), and no run file is made from a log that something was found of.
 */
#ifndef LT_DOCTOR_DOCTOR_H
#define LT_DOCTOR_DOCTOR_H

#include "base/error.h"
#include "prove/keyring.h"

enum lt_doctor_level {
    LT_DOCTOR_NOTE,  /* worth knowing; nothing is lost or in danger by it */
    LT_DOCTOR_WRONG,
};

struct lt_doctor_finding {
    const char *check;  /* name of the row in the table of checks */
    const char *path;   /* absolute */
    const char *text;
    const char *remedy; /* what to do about it */
    enum lt_doctor_level level;
    bool mendable;      /* a mend may take it away */
    bool mended;        /* it was found, and after the mend it was not any more */
};

struct lt_doctor_options {
    const char *data_dir;          /* has to be there */
    const struct lt_keyring *keys; /* whose signatures are trusted */
    bool mend;
    int64_t free_bytes; /* as much space is wanted; <= 0: LT_DOCTOR_FREE_BYTES */
    void (*finding)(void *self, const struct lt_doctor_finding *finding); /* borrowed for the call */
    void (*progress)(void *self, const char *what);                       /* what is looked at or mended now; NULL: nobody asks */
    void (*waiting)(void *self, const char *who);                         /* a look waits, for that process; NULL: nobody asks */
    void (*await)(void *self, const char *space, const char *name); /* a mend is about to wait for that lock (range_lock.h); NULL: nobody asks */
    void *self;
};
enum { LT_DOCTOR_FREE_BYTES = 256 << 20 };

struct lt_doctor_sum {
    int64_t wrong, notes, mended; /* that are there still; that are not */
};
/* Looks at everything; with `mend`, mends and looks again. What keeps it from looking at a part is a finding of that part. Errors:
 * ENOENT (no such folder), EINVAL (no folder), EVERSION (a newer litmus made it: nothing was looked at), ENOMEM. */
int lt_doctor(const struct lt_doctor_options *options, struct lt_doctor_sum *sum, struct litmus_error *error);

/* The table of checks, for pages about it. */
struct lt_doctor_row {
    const char *name, *looks_at, *remedy;
    bool mendable;
};
struct lt_doctor_row lt_doctor_row(size_t number); /* name NULL: behind the last */

#endif
