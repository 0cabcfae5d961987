/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/report.h"

#include "base/json_text.h"
#include "prove/told.h"

int lt_report_write(const struct lt_dossier *d, struct lt_buf *out, struct litmus_error *error) {
    lt_buf_addf(out, "{\"litmus_version\":\"%s\",\"run_id\":", litmus_version());
    lt_json_str(out, d->run->run.run_id);
    lt_buf_add_text(out, ",\"session_id\":");
    lt_json_str(out, lt_str_of(d->session.session_id));
    lt_buf_addf(out, ",\"events\":%lld,\"findings\":[", (long long)d->events);
    for (size_t i = 0; i < d->finding_count; i++) {
        lt_buf_add_text(out, i == 0 ? "\n" : ",\n");
        lt_told_finding(d->findings[i].path, d->findings[i].offset, d->findings[i].text, out);
    }
    lt_buf_add_text(out, "],\"logs\":[");
    for (size_t i = 0; i < d->log_count; i++) {
        lt_buf_add_text(out, i == 0 ? "\n" : ",\n");
        lt_told_log(&d->logs[i], out);
    }
    lt_buf_add_text(out, "]}\n");
    return out->failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a report") : LITMUS_OK;
}
