/* SPDX-License-Identifier: Apache-2.0
 *
 * channel.c - channels of a session: the store, and what the log says of it.
 */
#include "base/config.h"
#include "base/json_text.h"
#include "channel/channel.h"
#include "emit/durability.h"
#include "emit/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct litmus_channel {
    litmus_session *session;
    struct lt_channel_writer *writer;
    struct lt_channel_about about;
    char uri[400];
};

static void add_text(struct lt_buf *json, const char *name, const char *value) {
    if (value == NULL || value[0] == '\0') return;
    lt_buf_addf(json, "%s\"%s\":", json->n > 1 ? "," : "", name);
    lt_json_str(json, lt_str_of(value));
}

void lt_channel_detach(litmus_channel *channel) {
    channel->session = NULL;
}

static int tell(litmus_channel *channel, const char *type, struct lt_buf *json, struct litmus_error *error) {
    if (channel->session == NULL) {
        lt_buf_release(json);
        return LITMUS_OK;
    }
    lt_buf_add_char(json, '}');
    const char *run_id = channel->about.run_id[0] == '\0' ? NULL : channel->about.run_id;
    struct litmus_event event = {.event_type = type, .run_id = run_id, .payload = lt_buf_cstr(json), .payload_bytes = json->n};
    int code = json->failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an event") : litmus_emit(channel->session, &event, NULL, error);
    lt_buf_release(json);
    return code;
}

static int tell_started(litmus_channel *channel, const struct litmus_channel_options *options, struct litmus_error *error) {
    struct lt_buf json;
    lt_buf_init(&json);
    lt_buf_add_char(&json, '{');
    add_text(&json, "channel_id", channel->about.channel_id);
    add_text(&json, "units", options->units);
    add_text(&json, "instrument_role", options->instrument_role);
    add_text(&json, "method", options->method);
    add_text(&json, "resource", options->resource);
    add_text(&json, "uri", channel->uri);
    add_text(&json, "sample_type", lt_type_name(options->type));
    return tell(channel, "channel.started", &json, error);
}

static bool copy_text(char *out, size_t size, const char *text) {
    return text == NULL || snprintf(out, size, "%s", text) < (int)size;
}

int litmus_channel_open(litmus_session *session, const char *channel_id, const struct litmus_channel_options *options, litmus_channel **out, struct litmus_error *error) {
    static const struct litmus_channel_options defaults = {0};
    if (options == NULL) options = &defaults;
    int code = lt_need_handle(session, "litmus_channel_open", "litmus_session_open", error);
    if (code == LITMUS_OK) code = lt_need_place(out, "litmus_channel_open", error);
    if (code == LITMUS_OK && channel_id == NULL) code = lt_fail(error, LITMUS_EINVAL, 0, "a channel needs an id: `role.signal` or any name");
    if (code != LITMUS_OK) return code;
    litmus_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a channel");
    struct lt_channel_writer_options w = {.data_dir = session->data_dir, .about = {.type = options->type}};
    channel->session = session;
    if (!copy_text(w.about.channel_id, sizeof w.about.channel_id, channel_id) || !copy_text(w.about.units, sizeof w.about.units, options->units) ||
        !copy_text(w.about.run_id, sizeof w.about.run_id, options->run_id))
        code = lt_fail(error, LITMUS_EINVAL, 0, "channel %.60s...: its id may have %d bytes, its units %d", channel_id, LT_CHANNEL_ID_BYTES - 1, LT_CHANNEL_UNITS_BYTES - 1);
    memcpy(w.about.session_id, session->session_id, sizeof session->session_id);
    if (code == LITMUS_OK) code = lt_durability_find(&w.durability, &w.group_ms, error);
    if (code == LITMUS_OK) code = lt_channel_create(&w, &channel->writer, error);
    if (code == LITMUS_OK) {
        channel->about = w.about;
        lt_channel_uri(channel_id, session->session_id, channel->uri);
        code = tell_started(channel, options, error);
    }
    if (code == LITMUS_OK) {
        *out = channel;
        return code;
    }
    lt_channel_writer_free(channel->writer);
    free(channel);
    return code;
}

const char *litmus_channel_uri(const litmus_channel *channel) {
    return channel == NULL ? NULL : channel->uri;
}

static int no_channel(const char *function, struct litmus_error *error) {
    return lt_need_handle(NULL, function, "litmus_channel_open", error);
}

static int no_values(const litmus_channel *channel, size_t count, struct litmus_error *error) {
    return lt_fail(error, LITMUS_EINVAL, 0, "a block for channel %s has %zu samples, and was given NULL for them", channel->about.channel_id, count);
}

int litmus_channel_sample(litmus_channel *channel, int64_t time_ns, double value, struct litmus_error *error) {
    if (channel == NULL) return no_channel("litmus_channel_sample", error);
    return lt_channel_put_sample(channel->writer, time_ns == 0 ? lt_channel_now_ns() : time_ns, value, error);
}

int litmus_channel_block(litmus_channel *channel, int64_t start_ns, double interval_ns, const void *values, size_t count, struct litmus_error *error) {
    if (channel == NULL) return no_channel("litmus_channel_block", error);
    if (values == NULL && count > 0) return no_values(channel, count, error);
    return lt_channel_put_block(channel->writer, start_ns == 0 ? lt_channel_now_ns() : start_ns, interval_ns, NULL, values, count, error);
}

int litmus_channel_samples(litmus_channel *channel, const int64_t *times_ns, const void *values, size_t count, struct litmus_error *error) {
    if (channel == NULL) return no_channel("litmus_channel_samples", error);
    if (values == NULL && count > 0) return no_values(channel, count, error);
    if (times_ns == NULL && count > 0) return lt_fail(error, LITMUS_EINVAL, 0, "litmus_channel_samples needs a time for each sample: use litmus_channel_block without");
    return lt_channel_put_block(channel->writer, 0, 0, times_ns, values, count, error);
}

int litmus_channel_close(litmus_channel *channel, const char *reason, struct litmus_error *error) {
    if (channel == NULL) return LITMUS_OK;
    int64_t samples = lt_channel_writer_samples(channel->writer);
    int code = LITMUS_OK;
    if (reason != NULL && !lt_utf8_valid(reason, strlen(reason))) {
        code = lt_fail(error, LITMUS_EINVAL, 0, "the reason why channel %s closes is not UTF-8: it closed without it", channel->about.channel_id);
        reason = NULL;
    }
    int sealed = lt_channel_seal(channel->writer, error);
    if (code == LITMUS_OK) code = sealed;
    struct lt_buf json;
    lt_buf_init(&json);
    lt_buf_add_char(&json, '{');
    add_text(&json, "channel_id", channel->about.channel_id);
    add_text(&json, "reason", reason == NULL ? "closed" : reason);
    lt_buf_addf(&json, ",\"samples\":%lld", (long long)samples);
    const char *sha256 = lt_channel_writer_sha256(channel->writer);
    if (sha256[0] != '\0') add_text(&json, "file", lt_channel_name_of(lt_channel_writer_path(channel->writer)));
    add_text(&json, "sha256", sha256);
    int told = tell(channel, "channel.closed", &json, error);
    lt_channel_writer_free(channel->writer);
    free(channel);
    return code != LITMUS_OK ? code : told;
}

/* ---- reading ---- */
static int open_set(const char *data_dir, const char *uri, struct lt_channel_set *set, struct litmus_error *error) {
    struct lt_buf dir;
    lt_buf_init(&dir);
    if (uri == NULL) return lt_fail(error, LITMUS_EINVAL, 0, "which channel is to be read: give its id or URI, not NULL");
    int code = lt_data_dir_find(data_dir, &dir, error);
    if (code == LITMUS_OK) code = lt_channel_set_open(lt_buf_cstr(&dir), uri, set, error);
    lt_buf_release(&dir);
    return code;
}

int litmus_channel_read(const char *data_dir, const char *uri, int64_t from_ns, int64_t to_ns, struct litmus_signal *out, struct litmus_error *error) {
    struct lt_channel_set set = {0};
    int code = lt_need_place(out, "litmus_channel_read", error);
    if (code == LITMUS_OK) code = open_set(data_dir, uri, &set, error);
    if (code == LITMUS_OK) code = lt_channel_set_read(&set, from_ns, to_ns, out, error);
    lt_channel_set_release(&set);
    return code;
}

int litmus_channel_view(const char *data_dir, const char *uri, int64_t from_ns, int64_t to_ns, int points, enum litmus_view view, struct litmus_signal *out,
                        struct litmus_error *error) {
    struct lt_channel_set set = {0};
    int code = lt_need_place(out, "litmus_channel_view", error);
    if (code == LITMUS_OK) code = open_set(data_dir, uri, &set, error);
    if (code == LITMUS_OK) code = lt_channel_set_view(&set, from_ns, to_ns, points, view, out, error);
    lt_channel_set_release(&set);
    return code;
}
