/* SPDX-License-Identifier: Apache-2.0
 *
 * schema.h - the metadata of a batch as the Arrow library encodes it, and where its numbers are.
 */
#ifndef LT_CHANNEL_SCHEMA_H
#define LT_CHANNEL_SCHEMA_H

#include "channel/format.h"

struct lt_channel_template {
    unsigned char bytes[LT_CHANNEL_HEADER_MAX]; /* of one row, prefix included */
    int64_t size;                               /* 0: memory was out */
    size_t at_body, at_nodes, at_buffers;
    size_t nodes, buffers;
};
const struct lt_channel_template *lt_channel_template(void);

#endif
