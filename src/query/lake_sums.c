/* SPDX-License-Identifier: Apache-2.0 */
#include "query/lake_sums.h"

#include "base/hex.h"
#include "base/io.h"
#include "log/blob.h"
#include "log/reader.h"

#include <openssl/evp.h>
#include <string.h>

enum { SUM_BYTES = 32, SUMS_BYTES_MAX = 4096 };

int lt_lake_sums_add(struct lt_buf *sums, const char *path, const void *bytes, size_t n, struct litmus_error *error) {
    unsigned char sum[SUM_BYTES];
    char hex[2 * SUM_BYTES + 1];
    const char *slash = strrchr(path, '/');
    if (EVP_Digest(bytes, n, sum, NULL, EVP_sha256(), NULL) != 1) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a check sum");
    lt_hex_text(sum, sizeof sum, hex);
    lt_buf_addf(sums, "%s  %s\n", hex, slash == NULL ? path : slash + 1);
    return sums->failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a check sum") : LITMUS_OK;
}

/* "hex  name" */
static bool read_line(const char *line, size_t n, unsigned char sum[SUM_BYTES], char name[256]) {
    if (n < 2 * SUM_BYTES + 3 || n - 2 * SUM_BYTES - 2 >= 256 || memchr(line + 2 * SUM_BYTES, '/', n - 2 * SUM_BYTES) != NULL) return false;
    memcpy(name, line + 2 * SUM_BYTES + 2, n - 2 * SUM_BYTES - 2);
    name[n - 2 * SUM_BYTES - 2] = '\0';
    return lt_hex_parse((struct lt_str){line, 2 * SUM_BYTES}, sum, SUM_BYTES);
}

int lt_lake_sums_check(const char *path, size_t count, lt_lake_sums_fn *wrong, void *self, struct litmus_error *error) {
    unsigned char sum[SUM_BYTES];
    char name[256], want[LT_HASH_TEXT], have[LT_HASH_TEXT];
    struct lt_buf sums, file;
    struct litmus_error why = {0};
    size_t named = 0;
    int folder = (int)(strrchr(path, '/') + 1 - path), code = LITMUS_OK;
    lt_buf_init(&sums);
    lt_buf_init(&file);
    int list = lt_io_read_file(path, SUMS_BYTES_MAX, &sums, &why);
    if (list != LITMUS_OK) lt_buf_clear(&sums); /* it names nothing, then */
    if (list != LITMUS_OK && lt_error_is_refusal(&why)) code = lt_fail_with(error, &why);
    for (size_t at = 0, n; code == LITMUS_OK && at < sums.n; at += n + 1) {
        const char *end = memchr(sums.p + at, '\n', sums.n - at);
        n = end == NULL ? sums.n - at : (size_t)(end - sums.p) - at;
        if (!read_line(sums.p + at, n, sum, name)) continue;
        named++;
        lt_hex_text(sum, sizeof sum, want);
        lt_buf_clear(&file);
        lt_buf_addf(&file, "%.*s%s", folder, path, name);
        lt_error_clear(&why);
        int hashed = lt_hash_file(lt_buf_cstr(&file), have, &why);
        if (hashed != LITMUS_OK && lt_error_is_refusal(&why)) code = lt_fail_with(error, &why);
        else if (hashed != LITMUS_OK || strcmp(have, want) != 0)
            wrong(self, name, "is not what was written: it was changed, and questions that read the lake may be answered wrongly");
    }
    if (code == LITMUS_OK && list == LITMUS_ENOENT) wrong(self, "", "is not there: nothing says what the lake file beside it, and what belongs to that, held when it was written");
    else if (code == LITMUS_OK && named != count) wrong(self, "", "is not the list of check sums that was written");
    lt_buf_release(&sums);
    lt_buf_release(&file);
    return code;
}
