/* SPDX-License-Identifier: Apache-2.0
 *
 * A fuzz target without the fuzzer: runs every file of the folders that are named, once.
 */
#include "base/io.h"

#include <dirent.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static int replay_folder(const char *folder, int *count) {
    DIR *dir = opendir(folder);
    struct lt_buf path, input;
    int failed = dir == NULL;
    lt_buf_init(&path);
    lt_buf_init(&input);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        lt_buf_clear(&input);
        if (lt_io_read_file(lt_path_join(&path, folder, entry->d_name), 1 << 26, &input, NULL) != LITMUS_OK) failed = 1;
        else LLVMFuzzerTestOneInput((const unsigned char *)lt_buf_cstr(&input), input.n);
        ++*count;
    }
    if (dir != NULL) closedir(dir);
    lt_buf_release(&path);
    lt_buf_release(&input);
    return failed;
}

int main(int argc, char **argv) {
    int failed = 0, count = 0;
    for (int i = 1; i < argc; i++) failed |= replay_folder(argv[i], &count);
    printf("%d inputs replayed\n", count);
    return failed || count == 0;
}
