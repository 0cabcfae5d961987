/* SPDX-License-Identifier: Apache-2.0
 *
 * links.h - the logs of a data_dir hang together: the first event of a session names where the logs before it
 * ended. Here those names are held against the logs that are there.
 */
#ifndef LT_PROVE_LINKS_H
#define LT_PROVE_LINKS_H

#include "log/log.h"

/* A log that is there. Rows 0, 1 and the last are those that are ever named. */
struct lt_linked_log {
    struct lt_head last;
    unsigned char first[LT_CHAIN_BYTES]; /* chain(1) */
    bool grows;                          /* it was not sealed when it was read */
    bool unread;                         /* it is there, and the system does not let us read it: nothing more is known */
    char *path;
};
/* That a log was there. */
struct lt_link {
    struct lt_head head;
    char *by; /* path of the log that says so */
    int64_t at; /* offset of the event there; -1: the list of heads */
    bool vouched; /* that log is signed by a known key */
    bool at_least; /* it may have grown since, and the chain value is not said */
};
/* A session that was pruned, which is on record. */
struct lt_removed {
    char id[64];
    char *by;     /* path of the log that says so */
    bool vouched; /* as above, and sealed by who wrote it */
};
struct lt_links {
    bool of_all; /* with those of other sessions */
    struct lt_linked_log *logs;
    size_t log_count, log_capacity;
    struct lt_link *links;
    size_t count, capacity;
    struct lt_removed *removed;
    size_t removed_count, removed_capacity;
    bool failed; /* memory is out: nothing is said */
};

void lt_links_init(struct lt_links *links); /* allocates nothing */
void lt_links_release(struct lt_links *links);
void lt_links_add_log(struct lt_links *links, const struct lt_head *last, const unsigned char first[LT_CHAIN_BYTES], bool grows, const char *path);
/* A log that could not be opened, by its path: it is there, and no link to it is called broken. */
void lt_links_add_unread(struct lt_links *links, const char *path);
/* What an event says of other logs: run.materialized names those of its session from which the run's file was made. With those of other sessions:
 * session.started names those before it, retention.imported those that came with it, retention.pruned those that went by policy. */
void lt_links_add_event(struct lt_links *links, const struct lt_row *row, const char *path, int64_t offset);
/* The log at `path`, the last one that was added of, is signed by a known key. By recovery: as it was found, which makes no word in it true. */
void lt_links_vouch(struct lt_links *links, const char *path, bool by_recovery);
/* The logs that no event has named yet (log/heads.h). ENOMEM, EIO, EPERM. */
int lt_links_add_heads(struct lt_links *links, const char *data_dir, struct litmus_error *error);
/* Gives each link that does not hold: `path` is the file it is about. ENOMEM. */
typedef void lt_broken_link_fn(void *self, const char *path, const char *text);
int lt_links_check(struct lt_links *links, lt_broken_link_fn *each, void *self, struct litmus_error *error);

#endif
