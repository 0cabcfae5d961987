/* SPDX-License-Identifier: Apache-2.0
 *
 * yaml.h - one YAML document as JSON. yaml.c is the only file that knows the YAML library.
 *
 * Always true: the size of the text, of the JSON and the depth are bounded, also when aliases
 * multiply; plain scalars get their type by the core schema of YAML 1.2 (`yes` is text, 0o17 is
 * 15); what JSON has no number for (.inf, .nan) stays text.
 */
#ifndef LT_BASE_YAML_H
#define LT_BASE_YAML_H

#include "base/buf.h"
#include "base/error.h"

enum { LT_YAML_BYTES_MAX = 1024 * 1024, LT_YAML_JSON_BYTES_MAX = 4 * 1024 * 1024, LT_YAML_DEPTH_MAX = 64 };

/* A key of the outermost mapping to look at closer, so that an error about it can name its line. */
struct lt_yaml_watch {
    const char *key;
    size_t line;    /* of the value, from 1; 0: the key is not there */
    bool is_string; /* the value is a text */
    struct lt_buf text; /* the value when it is a text; the caller releases it */
};

/* Appends the document as one JSON object ("{}" when it is empty). `name`: for messages. `watch`
 * may be NULL. Errors: ECONFIG (names file and line), ENOMEM. */
int lt_yaml_to_json(struct lt_str text, const char *name, struct lt_buf *json, struct lt_yaml_watch *watch,
                    struct litmus_error *error);

struct lt_yaml_place {
    size_t line, column; /* from 1 */
};

/* Where in a document the node is that `path` leads to: a part is the key of a mapping or, in digits, the
 * number of an element. The place is that of the key or element; what is not there, the place of the last
 * part that is. Errors: ECONFIG (no YAML), ENOMEM. */
int lt_yaml_locate(struct lt_str text, const char *name, const struct lt_str *path, size_t parts, struct lt_yaml_place *place,
                   struct litmus_error *error);

#endif
