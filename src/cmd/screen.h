/* SPDX-License-Identifier: Apache-2.0
 *
 * screen.h - text on a terminal: escaped, aligned, coloured when wanted.
 */
#ifndef LT_CMD_SCREEN_H
#define LT_CMD_SCREEN_H

#include "base/buf.h"
#include "cmd/cmd.h"

enum lt_color { LT_PLAIN, LT_BOLD, LT_DIM, LT_RED, LT_GREEN, LT_YELLOW, LT_BLUE, LT_MAGENTA };

/* Appends text of unknown origin: control characters, broken UTF-8 and characters that turn the
 * direction of writing become \x1b, \u202e and so on. NULL is nothing. */
void lt_show_str(struct lt_buf *out, struct lt_str text);
/* The same, at most `width` columns wide; what is cut off ends with "...". */
void lt_show_short(struct lt_buf *out, struct lt_str text, size_t width);
/* Columns that shown text takes; colour sequences of lt_show_color take none. */
size_t lt_show_width(struct lt_str shown);
/* Starts and (LT_PLAIN) ends a colour; nothing unless `on`. */
void lt_show_color(struct lt_buf *out, bool on, enum lt_color color);

/* "2026-05-16 14:30:25", in local time or, ending with Z, in UTC. LT_TIME_NONE is "-". */
void lt_show_time(struct lt_buf *out, int64_t us, bool utc);
/* "85 ms", "1.23 s", "2 min 03 s", "1 h 02 min". Below 0: "-". */
void lt_show_duration(struct lt_buf *out, int64_t us);
void lt_show_number(struct lt_buf *out, double value);

/* An outcome as symbol, word and colour. NULL text: "Never Ran" of a finished run, else "not yet"
 * or, when `started`, "running". */
struct lt_outcome_look {
    const char *symbol, *word;
    enum lt_color color;
};
struct lt_outcome_look lt_outcome_look(struct lt_str outcome, bool live, bool started, bool utf8);

/* A table of cells: widths are known when all are in. */
struct lt_grid {
    size_t columns;
    uint32_t right; /* bit a column: aligned right */
    struct lt_buf text; /* cells, each ended by a NUL */
    size_t cells;
};
void lt_grid_init(struct lt_grid *grid, size_t columns, uint32_t right);
void lt_grid_release(struct lt_grid *grid);
/* Ends the cell that was appended to grid->text. */
void lt_grid_end_cell(struct lt_grid *grid);
void lt_grid_cell(struct lt_grid *grid, struct lt_str text, enum lt_color color, bool on);
void lt_grid_print(const struct lt_grid *grid); /* to stdout */

#endif
