/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/zip.h"

#include "base/arena.h"
#include "base/hex.h"
#include "base/io.h"
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

/* What the library says of a failure, as one of ours. */
static int fail_zip(const zip_error_t *why, const char *what, const char *path, struct litmus_error *error) {
    zip_error_t own = *why; /* the text is made in it */
    int os = zip_error_system_type(why) == ZIP_ET_SYS ? zip_error_code_system(why) : 0;
    if (os != 0) return lt_fail_os(error, os, what, path);
    if (zip_error_code_zip(why) == ZIP_ER_MEMORY) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", path);
    own.str = NULL;
    int code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no whole zip file: %s", path, zip_error_strerror(&own));
    free(own.str);
    return code;
}

/* ---- writing ---- */
struct lt_zip {
    zip_t *zip;
    char *path;
};

int lt_zip_new(const char *path, struct lt_zip **out, struct litmus_error *error) {
    zip_error_t why;
    zip_error_init(&why);
    *out = calloc(1, sizeof **out);
    char *own = strdup(path);
    zip_source_t *file = *out == NULL || own == NULL ? NULL : zip_source_file_create(path, 0, -1, &why);
    zip_t *zip = file == NULL ? NULL : zip_open_from_source(file, ZIP_CREATE | ZIP_TRUNCATE, &why);
    if (zip != NULL) {
        **out = (struct lt_zip){.zip = zip, .path = own};
        return LITMUS_OK;
    }
    int code = file == NULL ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", path) : fail_zip(&why, "create", path, error);
    zip_source_free(file);
    zip_error_fini(&why);
    free(own);
    free(*out);
    *out = NULL;
    return code;
}

/* Takes `source`, which may be NULL. */
static int add(struct lt_zip *zip, const char *name, zip_source_t *source, struct litmus_error *error) {
    enum { DOS_1980 = 0x21, PLAIN_FILE = 0100644 };
    zip_int64_t at = source == NULL ? -1 : zip_file_add(zip->zip, name, source, ZIP_FL_ENC_UTF_8);
    if (at < 0) zip_source_free(source);
    bool ok = at >= 0 && zip_set_file_compression(zip->zip, (zip_uint64_t)at, ZIP_CM_STORE, 0) == 0 &&
              zip_file_set_dostime(zip->zip, (zip_uint64_t)at, 0, DOS_1980, 0) == 0 &&
              zip_file_set_external_attributes(zip->zip, (zip_uint64_t)at, 0, ZIP_OPSYS_UNIX, (zip_uint32_t)PLAIN_FILE << 16) == 0;
    return ok ? LITMUS_OK : fail_zip(zip_get_error(zip->zip), "add to", zip->path, error);
}

int lt_zip_add_bytes(struct lt_zip *zip, const char *name, const void *bytes, size_t n, struct litmus_error *error) {
    return add(zip, name, zip_source_buffer(zip->zip, bytes, n, 0), error);
}

int lt_zip_add_file(struct lt_zip *zip, const char *name, const char *path, struct litmus_error *error) {
    return add(zip, name, zip_source_file(zip->zip, path, 0, -1), error);
}

int lt_zip_close(struct lt_zip *zip, struct litmus_error *error) {
    int code = LITMUS_OK;
    if (zip_close(zip->zip) == 0) zip->zip = NULL;
    else code = fail_zip(zip_get_error(zip->zip), "write", zip->path, error);
    lt_zip_free(zip);
    return code;
}

void lt_zip_free(struct lt_zip *zip) {
    if (zip == NULL) return;
    if (zip->zip != NULL) zip_discard(zip->zip);
    free(zip->path);
    free(zip);
}

/* ---- reading ---- */
enum { LOCAL_BYTES = 30, CENTRAL_BYTES = 46, END_BYTES = 22 }; /* of a member's headers before it and in the directory, without its name; of the end record */

struct unpacking {
    zip_t *zip;
    const char *path, *folder;
    uint64_t size; /* of the file */
    uint64_t room; /* bytes that members may still have */
    struct lt_arena arena;
    struct lt_map names;
    struct lt_buf target, parent;
    EVP_MD_CTX *digest;
    lt_zip_member_fn *each;
    void *self;
};

bool lt_zip_name_ok(struct lt_str name) {
    enum { FOLDERS_MAX = 8 };
    if (name.n == 0 || name.n > LT_ZIP_NAME_MAX || name.p[0] == '/' || name.p[name.n - 1] == '/') return false;
    for (size_t i = 0, depth = 0; i < name.n; i++) {
        bool starts = i == 0 || name.p[i - 1] == '/';
        unsigned char c = (unsigned char)name.p[i];
        depth += c == '/';
        if (depth > FOLDERS_MAX || c < 0x20 || c == 0x7f || c == '\\' || (starts && (c == '/' || c == '.'))) return false;
    }
    return true;
}

static int refuse(const struct unpacking *u, const char *name, const char *what, struct litmus_error *error) {
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s, member %.200s: %s; litmus evidence writes nothing like it", u->path, name, what);
}

static bool is_plain(const struct unpacking *u, zip_uint64_t number) {
    zip_uint8_t system = 0;
    zip_uint32_t attributes = 0;
    if (zip_file_get_external_attributes(u->zip, number, ZIP_FL_UNCHANGED, &system, &attributes) != 0) return false;
    mode_t type = (mode_t)(attributes >> 16) & S_IFMT;
    return system != ZIP_OPSYS_UNIX || type == 0 || type == S_IFREG;
}

static uint32_t get(const unsigned char *p, size_t n) {
    return n == 0 ? 0 : p[0] | get(p + 1, n - 1) << 8;
}

static bool has_bytes(int fd, uint64_t at, unsigned char *out, size_t n) {
    return pread(fd, out, n, (off_t)at) == (ssize_t)n;
}

/* The member whose header stands at `at`, by both its headers; both places move on behind it. What is left open: who wrote it, attributes, time. */
static bool is_whole(int fd, uint64_t *at, uint64_t *central_at) {
    static const unsigned char nothing[6] = {0}; /* extra field, comment, number of the disk */
    enum { UTF8 = 0x800, VERSION_MAX = 20 };
    unsigned char c[CENTRAL_BYTES + LT_ZIP_NAME_MAX], l[LOCAL_BYTES + LT_ZIP_NAME_MAX];
    if (!has_bytes(fd, *central_at, c, CENTRAL_BYTES) || memcmp(c, "PK\1\2", 4) != 0) return false;
    size_t n = get(c + 28, 2);
    uint32_t size = get(c + 20, 4);
    if (n > LT_ZIP_NAME_MAX || get(c + 42, 4) != *at || !has_bytes(fd, *central_at, c, CENTRAL_BYTES + n) || !has_bytes(fd, *at, l, LOCAL_BYTES + n)) return false;
    *at += LOCAL_BYTES + n + size;
    *central_at += CENTRAL_BYTES + n;
    return get(c + 6, 2) <= VERSION_MAX && (get(c + 8, 2) & ~UTF8) == 0 && get(c + 10, 2) == ZIP_CM_STORE && get(c + 24, 4) == size && memcmp(c + 30, nothing, 6) == 0 &&
           memcmp(l, "PK\3\4", 4) == 0 && memcmp(l + 4, c + 6, 24) == 0 && get(l + 28, 2) == 0 && memcmp(l + LOCAL_BYTES, c + CENTRAL_BYTES, n) == 0;
}

static bool all_whole(const struct unpacking *u, int fd) {
    static const unsigned char nothing[4] = {0};
    unsigned char end[END_BYTES];
    if (u->size < END_BYTES || !has_bytes(fd, u->size - END_BYTES, end, END_BYTES)) return false;
    uint32_t count = get(end + 10, 2), members_end = get(end + 16, 4);
    uint64_t at = 0, central_at = members_end;
    if (memcmp(end, "PK\5\6", 4) != 0 || memcmp(end + 4, nothing, 4) != 0 || get(end + 8, 2) != count || get(end + 20, 2) != 0) return false;
    for (uint32_t i = 0; i < count; i++)
        if (!is_whole(fd, &at, &central_at)) return false;
    return at == members_end && central_at == u->size - END_BYTES && get(end + 12, 4) == central_at - members_end;
}

/* A byte that is no member's, and of no header, is covered by no hash: before, between or behind them, in a comment or an
 * extra field, or a member that the directory does not name. A zip file of 4 GiB and more needs extra fields. */
static int check_whole(const struct unpacking *u, struct litmus_error *error) {
    if (u->size > UINT32_MAX) return LITMUS_OK;
    int fd = open(u->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return lt_fail_os(error, errno, "open", u->path);
    bool whole = all_whole(u, fd);
    close(fd);
    if (whole) return LITMUS_OK;
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is not its %lld members side by side, or its headers say two things of them: litmus evidence writes nothing like it", u->path,
                   (long long)zip_get_num_entries(u->zip, ZIP_FL_UNCHANGED));
}

/* Only what lt_zip_close would have written. */
static int check_member(struct unpacking *u, zip_uint64_t number, const zip_stat_t *st, struct litmus_error *error) {
    struct lt_str name = lt_str_of(st->name);
    const char *what = NULL, *raw = zip_get_name(u->zip, number, ZIP_FL_UNCHANGED | ZIP_FL_ENC_RAW);
    if (raw == NULL || strcmp(raw, st->name) != 0) what = "its name is not UTF-8, and two readers may read it otherwise";
    else if (!lt_zip_name_ok(name)) what = "its name is not that of a plain file below the folder";
    else if (lt_map_get(&u->names, name, 0) != LT_MAP_NONE) what = "its name is there twice";
    else if (!is_plain(u, number)) what = "it is no plain file (a link?)";
    else if (st->encryption_method != ZIP_EM_NONE) what = "it is encrypted";
    else if (st->comp_method != ZIP_CM_STORE || st->comp_size != st->size) what = "it is compressed";
    else if (st->size > u->room) what = "it is larger than the file that holds it";
    if (what != NULL) return refuse(u, st->name, what, error);
    u->room -= st->size;
    struct lt_str own = lt_arena_str(&u->arena, name);
    return own.p != NULL && lt_map_put(&u->names, own, 0, 1) ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", u->path);
}

static int create(struct unpacking *u, const char *name, int *fd, struct litmus_error *error) {
    const char *target = lt_path_join(&u->target, u->folder, name);
    lt_buf_clear(&u->parent);
    lt_buf_add(&u->parent, target, (size_t)(strrchr(target, '/') - target));
    int code = lt_io_mkdirs(&lt_io_os, lt_buf_cstr(&u->parent), error);
    *fd = code == LITMUS_OK ? open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    return code == LITMUS_OK && *fd < 0 ? lt_fail_os(error, errno, "unpack to", target) : code;
}

/* Copies what the library gives; its last word is about the check sum. */
static int copy(struct unpacking *u, zip_file_t *from, int to, uint64_t size, struct lt_zip_member *member, struct litmus_error *error) {
    char bytes[64 * 1024];
    unsigned char sum[32];
    uint64_t done = 0;
    zip_int64_t n;
    if (EVP_DigestInit_ex(u->digest, EVP_sha256(), NULL) != 1) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", u->path);
    while ((n = zip_fread(from, bytes, sizeof bytes)) > 0) {
        done += (uint64_t)n;
        if (EVP_DigestUpdate(u->digest, bytes, (size_t)n) != 1) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", u->path);
        if (lt_io_write_all(&lt_io_os, to, bytes, (size_t)n, NULL) != 0) return lt_fail_os(error, errno, "unpack to", lt_buf_cstr(&u->target));
    }
    member->crc_ok = n == 0;
    if (n < 0 && zip_error_code_zip(zip_file_get_error(from)) != ZIP_ER_CRC) return fail_zip(zip_file_get_error(from), "read", u->path, error);
    if (done != size) return refuse(u, member->name, "it ends early", error);
    EVP_DigestFinal_ex(u->digest, sum, NULL);
    lt_hex_text(sum, sizeof sum, member->sha256);
    return LITMUS_OK;
}

static int unpack_member(struct unpacking *u, zip_uint64_t number, struct litmus_error *error) {
    zip_stat_t st;
    int fd = -1;
    if (zip_stat_index(u->zip, number, ZIP_FL_UNCHANGED | ZIP_FL_ENC_STRICT, &st) != 0) return fail_zip(zip_get_error(u->zip), "read", u->path, error);
    if ((st.valid & (ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE)) != (ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE))
        return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no whole zip file: a member without name or size", u->path);
    int code = check_member(u, number, &st, error);
    if (code == LITMUS_OK) code = create(u, st.name, &fd, error);
    if (code != LITMUS_OK) return code;
    struct lt_zip_member member = {.name = st.name};
    zip_file_t *from = zip_fopen_index(u->zip, number, ZIP_FL_UNCHANGED);
    code = from == NULL ? fail_zip(zip_get_error(u->zip), "read", u->path, error) : copy(u, from, fd, st.size, &member, error);
    if (from != NULL) zip_fclose(from);
    if (close(fd) != 0 && code == LITMUS_OK) code = lt_fail_os(error, errno, "unpack to", lt_buf_cstr(&u->target));
    return code == LITMUS_OK ? u->each(u->self, &member, error) : code;
}

/* A pipe or a folder must not be opened, let alone waited for. */
static int open_plain(struct unpacking *u, struct litmus_error *error) {
    struct stat st;
    zip_error_t why;
    if (stat(u->path, &st) != 0) return lt_fail_os(error, errno, "open", u->path);
    if (!S_ISREG(st.st_mode)) return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no plain file", u->path);
    u->size = u->room = (uint64_t)st.st_size;
    zip_error_init(&why);
    zip_source_t *file = zip_source_file_create(u->path, 0, -1, &why);
    u->zip = file == NULL ? NULL : zip_open_from_source(file, ZIP_RDONLY | ZIP_CHECKCONS, &why);
    int code = u->zip != NULL ? LITMUS_OK : fail_zip(&why, "open", u->path, error);
    if (u->zip == NULL) zip_source_free(file);
    zip_error_fini(&why);
    return code;
}

int lt_zip_unpack(const char *path, const char *folder, lt_zip_member_fn *each, void *self, struct litmus_error *error) {
    struct unpacking u = {.path = path, .folder = folder, .each = each, .self = self};
    lt_arena_init(&u.arena);
    lt_map_init(&u.names);
    lt_buf_init(&u.target);
    lt_buf_init(&u.parent);
    u.digest = EVP_MD_CTX_new();
    int code = u.digest == NULL ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", path) : open_plain(&u, error);
    zip_int64_t count = code == LITMUS_OK ? zip_get_num_entries(u.zip, ZIP_FL_UNCHANGED) : 0;
    if (count > LT_ZIP_MEMBERS_MAX) code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s has %lld members, at most %d are read", path, (long long)count, LT_ZIP_MEMBERS_MAX);
    for (zip_int64_t i = 0; code == LITMUS_OK && i < count; i++) code = unpack_member(&u, (zip_uint64_t)i, error);
    if (code == LITMUS_OK) code = check_whole(&u, error);
    if (u.zip != NULL) zip_discard(u.zip);
    EVP_MD_CTX_free(u.digest);
    lt_arena_release(&u.arena);
    lt_map_release(&u.names);
    lt_buf_release(&u.target);
    lt_buf_release(&u.parent);
    return code;
}
