/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include "base/io.h"
#include "base/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT_VERSION = 1, FORMAT_FILE_BYTES_MAX = 64 };
#define FORMAT_FILE "litmus-format"

static int out_of_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading the configuration");
}

/* Appends `folder`/`path` (or `path` alone when absolute) without "." and empty parts. ".." stays:
 * only the kernel knows where it leads when a part is a symbolic link. */
static void path_absolute(struct lt_buf *out, const char *folder, const char *path) {
    const char *parts[2] = {path[0] == '/' ? "" : folder, path};
    for (int i = 0; i < 2; i++) {
        for (const char *p = parts[i]; *p != '\0';) {
            size_t n = strcspn(p, "/");
            bool nothing = n == 0 || (n == 1 && p[0] == '.');
            if (!nothing) {
                lt_buf_add_char(out, '/');
                lt_buf_add(out, p, n);
            }
            p += n;
            while (*p == '/') p++;
        }
    }
    if (out->n == 0) lt_buf_add_char(out, '/');
}

static int absolute_from_here(const char *path, struct lt_buf *out, struct litmus_error *error) {
    char here[PATH_MAX] = "/";
    if (path[0] != '/' && getcwd(here, sizeof here) == NULL) return lt_fail_os(error, errno, "find the current folder for", path);
    path_absolute(out, here, path);
    return out->failed ? out_of_memory(error) : LITMUS_OK;
}

/* The nearest litmus.yaml from `folder` upwards into `path`; left empty when there is none. */
static int find_file(const char *folder, struct lt_buf *path, struct litmus_error *error) {
    char here[PATH_MAX];
    lt_buf_clear(path);
    if (folder == NULL || folder[0] != '/') {
        /* A current folder that was deleted has no litmus.yaml above it. */
        if (getcwd(here, sizeof here) == NULL) return LITMUS_OK;
    }
    struct lt_buf dir;
    lt_buf_init(&dir);
    if (folder == NULL) lt_buf_add_text(&dir, here);
    else path_absolute(&dir, here, folder);
    int code = LITMUS_OK;
    for (bool found = false; !found;) {
        const char *text = lt_buf_cstr(&dir);
        lt_path_join(path, strcmp(text, "/") == 0 ? "" : text, "litmus.yaml");
        if (dir.failed || path->failed) {
            code = out_of_memory(error);
            break;
        }
        struct stat st;
        found = lstat(lt_buf_cstr(path), &st) == 0; /* a dangling link is found: it fails, aloud, when read */
        if (found) break;
        while (dir.n > 0 && dir.p[dir.n - 1] != '/') dir.n--;
        if (dir.n > 0) dir.n--;
        if (path->n == strlen("/litmus.yaml")) { /* that was the root */
            lt_buf_clear(path);
            break;
        }
    }
    lt_buf_release(&dir);
    return code;
}

/* Reads and converts the file at `path`. */
static int load(const char *path, struct lt_buf *json, struct lt_yaml_watch *watch, struct litmus_error *error) {
    struct lt_buf text;
    struct litmus_error why = {0};
    lt_buf_init(&text);
    int code = lt_io_read_file(path, LT_YAML_BYTES_MAX, &text, &why);
    if (code == LITMUS_ENOMEM) code = out_of_memory(error);
    else if (code != LITMUS_OK) code = lt_fail(error, LITMUS_ECONFIG, why.os_errno, "%s", why.text);
    else code = lt_yaml_to_json((struct lt_str){text.p, text.n}, path, json, watch, error);
    lt_buf_release(&text);
    return code;
}

int lt_config_json(const char *folder, struct lt_buf *json, struct lt_buf *path_out, struct litmus_error *error) {
    struct lt_buf own;
    lt_buf_init(&own);
    struct lt_buf *path = path_out == NULL ? &own : path_out;
    lt_buf_clear(json);
    int code = find_file(folder, path, error);
    if (code == LITMUS_OK && path->n == 0) lt_buf_add_text(json, "{}");
    else if (code == LITMUS_OK) code = load(lt_buf_cstr(path), json, NULL, error);
    if (code == LITMUS_OK && json->failed) code = out_of_memory(error);
    lt_buf_release(&own);
    return code;
}

/* A path that litmus.yaml or the environment may name. */
struct place {
    const char *key, *kind, *example; /* in litmus.yaml */
    const char *variable;
    struct {
        const char *variable, *below;
        bool relative; /* XDG: a relative path is invalid and must be ignored */
    } rows[3];         /* after litmus.yaml, in their order */
};
static const struct place data_place = {"data_dir", "folder", "data", "LITMUS_DATA_DIR",
    {{"LITMUS_HOME", "data", true}, {"XDG_DATA_HOME", "litmus/data", false}, {"HOME", ".local/share/litmus/data", false}}};
static const struct place key_place = {"signing_key", "file", "~/.config/litmus/station.key", "LITMUS_SIGNING_KEY",
    {{"LITMUS_HOME", "station.key", true}, {"XDG_CONFIG_HOME", "litmus/station.key", false}, {"HOME", ".config/litmus/station.key", false}}};

/* What the litmus.yaml at `path` says; *found stays false when the file does not set it. */
static int from_file(const struct place *place, const char *path, struct lt_buf *out, bool *found, struct litmus_error *error) {
    struct lt_buf json;
    struct lt_yaml_watch watch = {.key = place->key};
    lt_buf_init(&json);
    int code = load(path, &json, &watch, error);
    lt_buf_release(&json);
    if (code == LITMUS_OK && watch.line > 0) {
        const char *value = lt_buf_cstr(&watch.text);
        const char *home = getenv("HOME");
        if (!watch.is_string || watch.text.n == 0 || strlen(value) != watch.text.n) {
            code = lt_fail(error, LITMUS_ECONFIG, 0,
                           "%s, line %zu: %s must be the path of a %s, such as \"%s\" (in quotes if it looks like a number); "
                           "correct or remove the line",
                           path, watch.line, place->key, place->kind, place->example);
        } else if (value[0] == '~' && (value[1] == '/' || value[1] == '\0') && home != NULL && home[0] == '/') {
            path_absolute(out, home, value[1] == '/' ? value + 2 : ".");
            *found = true;
        } else if (value[0] == '~') {
            code = lt_fail(error, LITMUS_ECONFIG, 0,
                           "%s, line %zu: %s must be the path of a %s, and whose home \"%.60s\" means cannot be told: write the whole path, "
                           "or ./~ for a %s of such a name",
                           path, watch.line, place->key, place->kind, value, place->kind);
        } else {
            struct lt_buf folder;
            lt_buf_init(&folder);
            lt_buf_add(&folder, path, (size_t)(strrchr(path, '/') - path));
            path_absolute(out, lt_buf_cstr(&folder), value);
            if (folder.failed) out->failed = true;
            lt_buf_release(&folder);
            *found = true;
        }
    }
    lt_buf_release(&watch.text);
    if (code == LITMUS_OK && out->failed) code = out_of_memory(error);
    return code;
}

/* Left empty when no variable is set. */
static int from_environment(const struct place *place, struct lt_buf *out, struct litmus_error *error) {
    for (size_t i = 0; i < sizeof place->rows / sizeof place->rows[0]; i++) {
        const char *value = getenv(place->rows[i].variable);
        if (value == NULL || value[0] == '\0' || (value[0] != '/' && !place->rows[i].relative)) continue;
        struct lt_buf path;
        lt_buf_init(&path);
        const char *text = lt_path_join(&path, value, place->rows[i].below);
        int code = path.failed ? out_of_memory(error) : absolute_from_here(text, out, error);
        lt_buf_release(&path);
        return code;
    }
    return LITMUS_OK;
}

/* The nearest litmus.yaml upwards from the current folder. */
static int from_nearest_file(const struct place *place, struct lt_buf *out, bool *found, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    int code = find_file(NULL, &path, error);
    if (code == LITMUS_OK && path.n > 0) code = from_file(place, lt_buf_cstr(&path), out, found, error);
    lt_buf_release(&path);
    return code;
}

int lt_data_dir_find(const char *argument, struct lt_buf *out, struct litmus_error *error) {
    lt_buf_clear(out);
    if (argument != NULL && argument[0] != '\0') return absolute_from_here(argument, out, error);
    const char *variable = getenv(data_place.variable);
    if (variable != NULL && variable[0] != '\0') return absolute_from_here(variable, out, error);
    bool found = false;
    int code = from_nearest_file(&data_place, out, &found, error);
    if (code == LITMUS_OK && !found) code = from_environment(&data_place, out, error);
    if (code == LITMUS_OK && out->n == 0)
        code = lt_fail(error, LITMUS_ECONFIG, 0,
                       "no data_dir: neither LITMUS_DATA_DIR, LITMUS_HOME nor HOME is set, and no litmus.yaml names one; set LITMUS_DATA_DIR");
    return code;
}

static bool is_record(const char *folder) {
    struct lt_buf path;
    struct stat st;
    lt_buf_init(&path);
    bool marked = lstat(lt_path_join(&path, folder, FORMAT_FILE), &st) == 0 && lstat(lt_path_join(&path, folder, "events"), &st) == 0;
    lt_buf_release(&path);
    return marked;
}

/* The nearest litmus.yaml from the absolute `folder` upwards that lies in no data_dir: who can write the record must not choose the key that vouches
 * for it. */
static int find_outside(const char *folder, const char *data_dir, struct lt_buf *path, struct litmus_error *error) {
    struct lt_buf dir, yaml;
    struct stat st;
    lt_buf_init(&dir);
    lt_buf_init(&yaml);
    lt_buf_clear(path);
    lt_buf_add_text(&dir, strcmp(folder, "/") == 0 ? "" : folder);
    for (bool more = true; more && !dir.failed && !yaml.failed;) {
        const char *here = lt_buf_cstr(&dir);
        if (is_record(here)) lt_buf_clear(path);
        else if (path->n == 0 && lstat(lt_path_join(&yaml, here, "litmus.yaml"), &st) == 0 && (data_dir == NULL || !lt_io_is_below(data_dir, dir.n == 0 ? "/" : here)))
            lt_buf_add(path, yaml.p, yaml.n);
        more = dir.n > 0;
        while (dir.n > 0 && dir.p[--dir.n] != '/') continue;
    }
    int code = dir.failed || yaml.failed || path->failed ? out_of_memory(error) : LITMUS_OK;
    lt_buf_release(&dir);
    lt_buf_release(&yaml);
    return code;
}

/* From the current folder; from the data_dir, by the path that was given; by the one that the system has for it. */
static int key_from_file(const char *data_dir, struct lt_buf *out, bool *found, struct litmus_error *error) {
    struct lt_buf given, path, read; /* read: the file that says nothing of a key */
    char real[PATH_MAX], here[PATH_MAX];
    lt_buf_init(&given);
    lt_buf_init(&path);
    lt_buf_init(&read);
    int code = data_dir == NULL ? LITMUS_OK : absolute_from_here(data_dir, &given, error);
    const char *places[] = {getcwd(here, sizeof here), data_dir == NULL ? NULL : lt_buf_cstr(&given), data_dir == NULL ? NULL : realpath(data_dir, real)};
    for (size_t i = 0; code == LITMUS_OK && !*found && i < sizeof places / sizeof places[0]; i++) {
        if (places[i] == NULL || (i > 0 && places[i - 1] != NULL && strcmp(places[i], places[i - 1]) == 0)) continue;
        code = find_outside(places[i], data_dir, &path, error);
        if (code != LITMUS_OK || path.n == 0 || strcmp(lt_buf_cstr(&path), lt_buf_cstr(&read)) == 0) continue;
        code = from_file(&key_place, lt_buf_cstr(&path), out, found, error);
        lt_buf_clear(&read);
        lt_buf_add(&read, path.p, path.n);
    }
    lt_buf_release(&given);
    lt_buf_release(&path);
    lt_buf_release(&read);
    return code;
}

int lt_signing_key_find(const char *argument, const char *data_dir, struct lt_buf *out, struct litmus_error *error) {
    lt_buf_clear(out);
    if (argument != NULL && argument[0] != '\0') return absolute_from_here(argument, out, error);
    const char *variable = getenv(key_place.variable);
    if (variable != NULL && variable[0] != '\0') return absolute_from_here(variable, out, error);
    bool found = false;
    int code = key_from_file(data_dir, out, &found, error);
    return code == LITMUS_OK && !found ? from_environment(&key_place, out, error) : code;
}

/* Writes the version into a data_dir that has none. Best effort: a data_dir that can only be read
 * is of use too, and a missing marker means version 1. O_EXCL, so that the one of two that come
 * at once who is second changes nothing. */
static void mark_format(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) return;
    char text[16];
    int n = snprintf(text, sizeof text, "%d\n", FORMAT_VERSION);
    bool whole = write(fd, text, (size_t)n) == n;
    close(fd);
    if (!whole) unlink(path);
}

/* `mark`: a folder without a version gets ours. */
static int check_format(const char *path, bool mark, struct litmus_error *error) {
    struct lt_buf text;
    struct litmus_error why = {0};
    lt_buf_init(&text);
    int code = lt_io_read_file(path, FORMAT_FILE_BYTES_MAX, &text, &why);
    if (code == LITMUS_ENOENT) {
        if (mark) mark_format(path);
        code = LITMUS_OK;
    } else if (code != LITMUS_OK) {
        code = lt_fail(error, code, why.os_errno, "%s", why.text);
    } else if (text.n > 0) { /* empty: another process is about to write it */
        char *end = NULL;
        const char *digits = lt_buf_cstr(&text);
        long version = strtol(digits, &end, 10);
        if (end == digits || (*end != '\n' && *end != '\0') || version < 1)
            code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s holds no format version: write %d into it if this folder is litmus's, or choose another data_dir",
                           path, FORMAT_VERSION);
        else if (version > FORMAT_VERSION)
            code = lt_fail(error, LITMUS_EVERSION, 0,
                           "%s: this data_dir has format %ld, and litmus %s knows formats up to %d: use a newer litmus or another data_dir", path, version,
                           litmus_version(), FORMAT_VERSION);
    }
    lt_buf_release(&text);
    return code;
}

/* What is not there yet is all right. */
static int check_folder(const char *data_dir, struct litmus_error *error) {
    struct stat st;
    if (stat(data_dir, &st) != 0 || S_ISDIR(st.st_mode)) return LITMUS_OK;
    return lt_fail(error, LITMUS_EINVAL, ENOTDIR, "the data_dir %s is a file, not a folder: remove it or choose another data_dir", data_dir);
}

int lt_data_dir_open(const char *data_dir, struct litmus_error *error) {
    int code = check_folder(data_dir, error);
    if (code == LITMUS_OK) code = lt_io_mkdirs(&lt_io_os, data_dir, error);
    if (code != LITMUS_OK) return code;
    struct lt_buf path;
    lt_buf_init(&path);
    lt_path_join(&path, data_dir, FORMAT_FILE);
    code = path.failed ? out_of_memory(error) : check_format(lt_buf_cstr(&path), true, error);
    lt_buf_release(&path);
    return code;
}

int lt_data_dir_check(const char *data_dir, struct litmus_error *error) {
    int refused = check_folder(data_dir, error);
    if (refused != LITMUS_OK) return refused;
    struct lt_buf path;
    lt_buf_init(&path);
    lt_path_join(&path, data_dir, FORMAT_FILE);
    struct litmus_error why = {0};
    int code = path.failed ? LITMUS_ENOMEM : check_format(lt_buf_cstr(&path), false, &why);
    lt_buf_release(&path);
    if (code == LITMUS_ENOMEM) return out_of_memory(error);
    return code == LITMUS_EVERSION ? lt_fail(error, code, 0, "%s", why.text) : LITMUS_OK;
}
