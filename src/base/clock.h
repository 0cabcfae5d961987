/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.h - times are int64 microseconds since 1970-01-01T00:00:00Z, and text only at the edges.
 */
#ifndef LT_BASE_CLOCK_H
#define LT_BASE_CLOCK_H

#include "base/str.h"

#define LT_TIME_NONE INT64_MIN
enum { LT_ISO_BYTES = 40 }; /* room for any of the texts below, terminated */

int64_t lt_now_us(void);       /* wall clock */
int64_t lt_monotonic_us(void); /* never steps back; for time-outs and durations only */
int64_t lt_boot_us(void);      /* since boot, suspension included: what the wall clock is compared with */

/* "2026-05-16T14:30:25.123456Z"; always six digits. Returns the length. */
size_t lt_time_iso(int64_t us, char out[LT_ISO_BYTES]);
/* "2026-05-16 14:30:25[.123456]": the read API's text for step times (run-schema.md, 8.2). */
size_t lt_time_sql(int64_t us, char out[LT_ISO_BYTES]);
size_t lt_time_date(int64_t us, char out[LT_ISO_BYTES]);  /* "2026-05-16" */
size_t lt_time_stamp(int64_t us, char out[LT_ISO_BYTES]); /* "20260516T143025Z", for file names */
/* Reads ISO 8601 UTC with 0 to 6 digits of fraction and `Z`, `+00:00` or another offset. Also
 * accepts a bare date. false if it is none. */
bool lt_time_parse(struct lt_str text, int64_t *us);
/* "7d", "4h", "30m", "90s", "2w", an ISO date or time. `now` is what durations count back from. */
bool lt_time_since(const char *text, int64_t now, int64_t *us);

#endif
