/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/sessions.h"

#include <stdio.h>

struct search {
    const char *prefix;
    char *out;
    size_t found;
};

static void compare(void *self, const char *session_id) {
    struct search *s = self;
    if (strncmp(session_id, s->prefix, strlen(s->prefix)) != 0) return;
    if (s->found++ == 0) snprintf(s->out, 64, "%s", session_id);
}

int lt_session_find(struct lt_cli *cli, const char *ref, char out[64]) {
    struct search s = {.prefix = ref, .out = out};
    struct litmus_error error = {0};
    if (ref[0] == '\0') return lt_usage(cli, "empty session id");
    if (lt_query_sessions(cli->query, compare, &s, &error) != LITMUS_OK) return lt_cli_fail(cli, &error);
    if (s.found == 1) return EXIT_OK;
    if (s.found > 1) {
        lt_complain(cli, "ambiguous session id \"%s\": %zu sessions begin with it", ref, s.found);
        return EXIT_NOT_FOUND;
    }
    struct lt_run_ref run;
    if (lt_query_find(cli->query, ref, &run, NULL) != LITMUS_OK || run.session_id[0] == '\0') {
        lt_complain(cli, "no session and no run \"%s\" in %s", ref, lt_buf_cstr(&cli->data_dir));
        return EXIT_NOT_FOUND;
    }
    snprintf(out, 64, "%s", run.session_id);
    return EXIT_OK;
}
