/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include "base/json_text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { ANCHORS_MAX = 1000, KEYS_MAX = 5000 };

/* A finished or open node that has a name: where its JSON lies in the output. An alias copies that
 * text, so that the bound on the output is the bound on what aliases can multiply. */
struct anchor {
    char *name;
    size_t start, end; /* end 0: the node is still open */
};

struct level { /* an open mapping or sequence */
    bool mapping, want_key, empty;
    size_t keys_first; /* its keys begin here in `keys` */
    size_t anchor;     /* number of its anchor + 1; 0: none */
};

struct key { /* a key text in the output, to refuse a second one */
    size_t start, n, depth;
};

struct converter {
    yaml_parser_t parser;
    const char *name;
    struct lt_buf *json;
    size_t base; /* length of *json before us */
    struct lt_yaml_watch *watch;
    struct litmus_error *error;
    struct anchor *anchors;
    size_t anchor_count;
    struct level levels[LT_YAML_DEPTH_MAX];
    size_t depth;
    struct key *keys;
    size_t key_count, key_capacity;
    size_t documents;
    bool watched; /* the key just read is the watched one */
};

static int refuse(struct converter *c, size_t line, const char *what) {
    return lt_fail(c->error, LITMUS_ECONFIG, 0, "%s, line %zu: %s; correct the line", c->name, line + 1, what);
}

static int no_memory(struct converter *c) {
    return lt_fail(c->error, LITMUS_ENOMEM, 0, "out of memory reading %s", c->name);
}

static size_t count_digits(const char *p) {
    size_t n = 0;
    while (isdigit((unsigned char)p[n])) n++;
    return n;
}

/* 0o17 and 0x1F. */
static bool add_based(struct lt_buf *out, const char *text) {
    int base = text[0] != '0' ? 0 : text[1] == 'o' ? 8 : text[1] == 'x' ? 16 : 0;
    if (base == 0 || text[2] == '\0') return false;
    if (text[2 + strspn(text + 2, base == 8 ? "01234567" : "0123456789abcdefABCDEF")] != '\0') return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text + 2, &end, base);
    if (errno != 0) return false; /* too large for a number: stays text */
    lt_buf_addf(out, "%llu", value);
    return true;
}

/* [-+]? ( \.[0-9]+ | [0-9]+ (\.[0-9]*)? ) ([eE][-+]?[0-9]+)? as JSON writes it: no '+', no leading
 * zeros, a digit on both sides of the point. */
static bool add_decimal(struct lt_buf *out, const char *text) {
    const char *p = text;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+') p++;
    const char *whole = p;
    size_t whole_n = count_digits(p);
    p += whole_n;
    bool point = *p == '.';
    const char *fraction = point ? p + 1 : p;
    size_t fraction_n = point ? count_digits(fraction) : 0;
    if (whole_n + fraction_n == 0) return false;
    p = fraction + fraction_n;
    const char *exponent = *p == 'e' || *p == 'E' ? p : NULL;
    if (exponent != NULL) {
        p++;
        if (*p == '-' || *p == '+') p++;
        size_t n = count_digits(p);
        if (n == 0) return false;
        p += n;
    }
    if (*p != '\0' || isinf(strtod(text, NULL))) return false;
    while (whole_n > 1 && *whole == '0') {
        whole++;
        whole_n--;
    }
    if (negative) lt_buf_add_char(out, '-');
    if (whole_n == 0) lt_buf_add_char(out, '0');
    lt_buf_add(out, whole, whole_n);
    if (point) lt_buf_add_char(out, '.');
    if (point && fraction_n == 0) lt_buf_add_char(out, '0');
    lt_buf_add(out, fraction, fraction_n);
    if (exponent != NULL) lt_buf_add_text(out, exponent);
    return true;
}

static bool add_word(struct lt_buf *out, const char *text) {
    static const struct {
        const char *text, *json;
    } words[] = {
        {"", "null"},      {"~", "null"},     {"null", "null"},   {"Null", "null"},   {"NULL", "null"},
        {"true", "true"},  {"True", "true"},  {"TRUE", "true"},   {"false", "false"}, {"False", "false"},
        {"FALSE", "false"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].text, text) != 0) continue;
        lt_buf_add_text(out, words[i].json);
        return true;
    }
    return false;
}

/* .nan, .inf and their like: numbers that JSON has not. */
static bool is_infinite(const char *text) {
    static const char *const words[] = {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF"};
    bool is_signed = *text == '-' || *text == '+';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text + is_signed, words[i]) == 0) return true;
    }
    return false;
}

/* Is this tag one of the core schema's? NULL and "!" are no tag. */
static bool tag_known(const char *tag) {
    static const char *const known[] = {YAML_STR_TAG, YAML_INT_TAG, YAML_FLOAT_TAG, YAML_BOOL_TAG,
                                        YAML_NULL_TAG, YAML_SEQ_TAG, YAML_MAP_TAG};
    if (tag == NULL || strcmp(tag, "!") == 0) return true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i], tag) == 0) return true;
    }
    return false;
}

/* Comma, and for a mapping the check that a key is simple. Call before each node. */
static int before_node(struct converter *c, const yaml_event_t *event, bool scalar) {
    size_t line = event->start_mark.line;
    if (c->json->n - c->base > LT_YAML_JSON_BYTES_MAX) return refuse(c, line, "the document becomes too large here (do its aliases multiply?)");
    if (c->depth == 0) {
        if (event->type == YAML_MAPPING_START_EVENT) return LITMUS_OK;
        return refuse(c, line, "the document must be a mapping (lines of `name: value`)");
    }
    struct level *level = &c->levels[c->depth - 1];
    if (level->mapping && level->want_key && !scalar) return refuse(c, line, "a key must be a plain text");
    if (level->mapping && !level->want_key) lt_buf_add_char(c->json, ':');
    else if (!level->empty) lt_buf_add_char(c->json, ',');
    level->empty = false;
    return LITMUS_OK;
}

static int add_key(struct converter *c, const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value;
    size_t n = event->data.scalar.length, line = event->start_mark.line;
    struct level *level = &c->levels[c->depth - 1];
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && n == 2 && memcmp(text, "<<", 2) == 0)
        return refuse(c, line, "merge keys (`<<`) are not read: an alias stands for a whole value, single keys are written out");
    size_t start = c->json->n;
    lt_json_str(c->json, (struct lt_str){text, n});
    if (c->json->failed) return no_memory(c);
    struct key key = {start, c->json->n - start, c->depth};
    for (size_t i = level->keys_first; i < c->key_count; i++) {
        if (c->keys[i].n == key.n && memcmp(c->json->p + c->keys[i].start, c->json->p + start, key.n) == 0)
            return refuse(c, line, "this key stands twice in one mapping");
    }
    if (c->key_count == KEYS_MAX) return refuse(c, line, "there are too many keys");
    if (c->key_count == c->key_capacity) {
        size_t capacity = c->key_capacity == 0 ? 64 : c->key_capacity * 2;
        struct key *grown = realloc(c->keys, capacity * sizeof *grown);
        if (grown == NULL) return no_memory(c);
        c->keys = grown;
        c->key_capacity = capacity;
    }
    c->keys[c->key_count++] = key;
    c->watched = c->depth == 1 && c->watch != NULL && n == strlen(c->watch->key) && memcmp(text, c->watch->key, n) == 0;
    level->want_key = false;
    return LITMUS_OK;
}

/* After a value: the mapping wants a key again. */
static void after_value(struct converter *c) {
    c->watched = false;
    if (c->depth > 0) c->levels[c->depth - 1].want_key = c->levels[c->depth - 1].mapping;
}

static int anchor_open(struct converter *c, const yaml_char_t *name, size_t line, size_t *number) {
    *number = 0;
    if (name == NULL) return LITMUS_OK;
    if (c->anchor_count == ANCHORS_MAX) return refuse(c, line, "there are too many anchors");
    struct anchor *grown = realloc(c->anchors, (c->anchor_count + 1) * sizeof *grown);
    if (grown == NULL) return no_memory(c);
    c->anchors = grown;
    struct anchor *anchor = &grown[c->anchor_count];
    *anchor = (struct anchor){strdup((const char *)name), c->json->n, 0};
    if (anchor->name == NULL) return no_memory(c);
    *number = ++c->anchor_count;
    return LITMUS_OK;
}

static void anchor_close(struct converter *c, size_t number) {
    if (number > 0) c->anchors[number - 1].end = c->json->n;
}

static void watch_value(struct converter *c, const yaml_event_t *event, size_t start) {
    if (!c->watched) return;
    c->watch->line = event->start_mark.line + 1;
    c->watch->is_string = event->type == YAML_SCALAR_EVENT && c->json->n > start && c->json->p[start] == '"';
    if (!c->watch->is_string) return;
    lt_buf_clear(&c->watch->text);
    lt_buf_add(&c->watch->text, event->data.scalar.value, event->data.scalar.length);
    if (c->watch->text.failed) c->json->failed = true;
}

static int on_scalar(struct converter *c, const yaml_event_t *event) {
    int code = before_node(c, event, true);
    if (code != LITMUS_OK) return code;
    const char *text = (const char *)event->data.scalar.value, *tag = (const char *)event->data.scalar.tag;
    size_t n = event->data.scalar.length, line = event->start_mark.line, number;
    if (!tag_known(tag)) return refuse(c, line, "this tag (`!...`) is not known");
    code = anchor_open(c, event->data.scalar.anchor, line, &number);
    if (code != LITMUS_OK) return code;
    if (c->levels[c->depth - 1].mapping && c->levels[c->depth - 1].want_key) {
        code = add_key(c, event);
        anchor_close(c, number);
        return code;
    }
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strlen(text) == n;
    bool typed = tag == NULL ? plain : strcmp(tag, "!") != 0 && strcmp(tag, YAML_STR_TAG) != 0;
    size_t start = c->json->n;
    if (typed && is_infinite(text)) return refuse(c, line, "a number is finite (a text like this stands in quotes)");
    if (!typed || !(add_word(c->json, text) || add_based(c->json, text) || add_decimal(c->json, text)))
        lt_json_str(c->json, (struct lt_str){text, n});
    watch_value(c, event, start);
    anchor_close(c, number);
    after_value(c);
    return LITMUS_OK;
}

static int on_start(struct converter *c, const yaml_event_t *event) {
    bool mapping = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *anchor = mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag = mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    size_t line = event->start_mark.line, number;
    int code = before_node(c, event, false);
    if (code != LITMUS_OK) return code;
    if (!tag_known((const char *)tag)) return refuse(c, line, "this tag (`!...`) is not known");
    if (c->depth == LT_YAML_DEPTH_MAX) return refuse(c, line, "the nesting is too deep");
    code = anchor_open(c, anchor, line, &number);
    if (code != LITMUS_OK) return code;
    watch_value(c, event, c->json->n);
    c->watched = false; /* what lies inside is not the value itself */
    lt_buf_add_char(c->json, mapping ? '{' : '[');
    c->levels[c->depth++] = (struct level){mapping, mapping, true, c->key_count, number};
    return LITMUS_OK;
}

static int on_end(struct converter *c) {
    struct level *level = &c->levels[--c->depth];
    lt_buf_add_char(c->json, level->mapping ? '}' : ']');
    anchor_close(c, level->anchor);
    c->key_count = level->keys_first;
    after_value(c);
    return LITMUS_OK;
}

static int on_alias(struct converter *c, const yaml_event_t *event) {
    int code = before_node(c, event, false);
    if (code != LITMUS_OK) return code;
    const char *name = (const char *)event->data.alias.anchor;
    struct anchor *anchor = NULL; /* the latest of that name counts */
    for (size_t i = 0; i < c->anchor_count; i++) {
        if (strcmp(c->anchors[i].name, name) == 0) anchor = &c->anchors[i];
    }
    if (anchor == NULL) return refuse(c, event->start_mark.line, "this alias (`*name`) has no anchor above it");
    if (anchor->end == 0) return refuse(c, event->start_mark.line, "this alias lies inside the node that it stands for");
    size_t n = anchor->end - anchor->start;
    if (c->json->n - c->base + n > LT_YAML_JSON_BYTES_MAX)
        return refuse(c, event->start_mark.line, "the document becomes too large here (do its aliases multiply?)");
    if (!lt_buf_reserve(c->json, n)) return no_memory(c);
    const char *source = c->json->p + anchor->start; /* reserved: it does not move */
    lt_buf_add(c->json, source, n);
    if (c->watched) {
        c->watch->line = event->start_mark.line + 1;
        c->watch->is_string = n >= 2 && source[0] == '"' && memchr(source, '\\', n) == NULL;
        lt_buf_clear(&c->watch->text);
        if (c->watch->is_string) lt_buf_add(&c->watch->text, source + 1, n - 2);
        if (c->watch->text.failed) c->json->failed = true;
    }
    after_value(c);
    return LITMUS_OK;
}

static int on_event(struct converter *c, const yaml_event_t *event) {
    int code = LITMUS_OK;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (c->documents++ > 0) return refuse(c, event->start_mark.line, "a second document begins here (`---`), and only one is read");
        break;
    case YAML_SCALAR_EVENT: /* an empty document is an empty plain scalar */
        if (c->depth == 0 && event->data.scalar.length == 0) lt_buf_add_text(c->json, "{}");
        else code = on_scalar(c, event);
        break;
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT: code = on_start(c, event); break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: code = on_end(c); break;
    case YAML_ALIAS_EVENT: code = on_alias(c, event); break;
    default: break;
    }
    if (code == LITMUS_OK && c->json->failed) code = no_memory(c);
    return code;
}

static int parse_error(const yaml_parser_t *p, const char *name, struct litmus_error *error) {
    if (p->error == YAML_MEMORY_ERROR) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", name);
    const char *problem = p->problem == NULL ? "this is no YAML" : p->problem;
    /* The reader stage knows no line, only an offset. */
    if (p->error == YAML_READER_ERROR)
        return lt_fail(error, LITMUS_ECONFIG, 0, "%s, line %zu: %s (byte %zu): save the file as UTF-8 text", name, p->mark.line + 1, problem,
                       p->problem_offset);
    return lt_fail(error, LITMUS_ECONFIG, 0, "%s, line %zu, column %zu: %s%s%s: correct the YAML", name, p->problem_mark.line + 1,
                   p->problem_mark.column + 1, p->context == NULL ? "" : p->context, p->context == NULL ? "" : ": ", problem);
}

int lt_yaml_to_json(struct lt_str text, const char *name, struct lt_buf *json, struct lt_yaml_watch *watch, struct litmus_error *error) {
    struct converter *c = calloc(1, sizeof *c);
    if (c == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", name);
    size_t base = json->n;
    c->name = name;
    c->json = json;
    c->base = base;
    c->watch = watch;
    c->error = error;
    int code = LITMUS_OK;
    if (!yaml_parser_initialize(&c->parser)) {
        free(c);
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", name);
    }
    yaml_parser_set_input_string(&c->parser, (const unsigned char *)(text.p == NULL ? "" : text.p), text.n);
    for (bool more = true; more && code == LITMUS_OK;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&c->parser, &event)) {
            code = parse_error(&c->parser, name, error);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        code = on_event(c, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&c->parser);
    for (size_t i = 0; i < c->anchor_count; i++) free(c->anchors[i].name);
    free(c->anchors);
    free(c->keys);
    free(c);
    if (code == LITMUS_OK && json->n == base) lt_buf_add_text(json, "{}"); /* a file without a document */
    return code;
}

/* The child of `node` that a part of a path names; *said is the node that stands for it in the text. NULL: none. */
static yaml_node_t *child_of(yaml_document_t *document, yaml_node_t *node, struct lt_str part, yaml_node_t **said) {
    if (node->type == YAML_MAPPING_NODE) {
        for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
            yaml_node_t *key = yaml_document_get_node(document, pair->key);
            if (key == NULL || key->type != YAML_SCALAR_NODE) continue;
            if (!lt_str_eq(part, (struct lt_str){(const char *)key->data.scalar.value, key->data.scalar.length})) continue;
            *said = key;
            return yaml_document_get_node(document, pair->value);
        }
    }
    if (node->type == YAML_SEQUENCE_NODE && part.n > 0 && part.n < 9) {
        size_t number = 0;
        for (size_t i = 0; i < part.n; i++) {
            if (!isdigit((unsigned char)part.p[i])) return NULL;
            number = number * 10 + (size_t)(part.p[i] - '0');
        }
        yaml_node_item_t *items = node->data.sequence.items.start;
        if (number >= (size_t)(node->data.sequence.items.top - items)) return NULL;
        return *said = yaml_document_get_node(document, items[number]);
    }
    return NULL;
}

int lt_yaml_locate(struct lt_str text, const char *name, const struct lt_str *path, size_t parts, struct lt_yaml_place *place,
                   struct litmus_error *error) {
    yaml_parser_t parser;
    yaml_document_t document;
    *place = (struct lt_yaml_place){1, 1};
    if (!yaml_parser_initialize(&parser)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p == NULL ? "" : text.p), text.n);
    int code = LITMUS_OK;
    if (!yaml_parser_load(&parser, &document)) {
        code = parse_error(&parser, name, error);
    } else {
        yaml_node_t *node = yaml_document_get_root_node(&document);
        for (size_t i = 0; node != NULL && i < parts; i++) {
            yaml_node_t *said = NULL;
            node = child_of(&document, node, path[i], &said);
            if (said != NULL) *place = (struct lt_yaml_place){said->start_mark.line + 1, said->start_mark.column + 1};
        }
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return code;
}
