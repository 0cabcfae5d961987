/* SPDX-License-Identifier: Apache-2.0
 *
 * words.h - free-text search of runs: the one rule, for the catalog's SQL and for runs in flight.
 *
 * Words are parted by white space, and each has to be found; letters of Latin, Greek and Cyrillic fit in either case (the dotted I of Turkish as itself alone).
 */
#ifndef LT_QUERY_WORDS_H
#define LT_QUERY_WORDS_H

#include "base/str.h"

/* Where a word may stand: at the start of a number that a machine made (any word of a few digits is somewhere in one), anywhere in the others.
 * Names of struct lt_summary. */
#define LT_WORDS_START(X) X(run_id) X(git_commit)
#define LT_WORDS_ANYWHERE(X)                                                                                       \
    X(dut_serial) X(dut_part_number) X(dut_lot_number) X(product_id) X(slot_id) X(station_id) X(station_name)      \
    X(station_type) X(station_hostname) X(fixture_id) X(test_phase) X(operator_id) X(project_name)

#define LT_WORDS_ONE(name) +1
enum { LT_WORDS_STARTS = 0 LT_WORDS_START(LT_WORDS_ONE), LT_WORDS_FIELDS = LT_WORDS_STARTS LT_WORDS_ANYWHERE(LT_WORDS_ONE) };

/* `fields`: first those of LT_WORDS_START, then the others. No words fit everything. */
bool lt_words_fit(const char *words, const struct lt_str fields[LT_WORDS_FIELDS]);

#endif
