/* SPDX-License-Identifier: Apache-2.0
 *
 * parquet_memory.h - how often the Parquet library was refused memory. It does not always tell: a page
 * may end short, and the file is sealed all the same. So whoever uses it asks here, too.
 *
 * The count is of the calling thread, where the library does all of its work for us.
 */
#ifndef LT_MATERIALIZE_PARQUET_MEMORY_H
#define LT_MATERIALIZE_PARQUET_MEMORY_H

/* Refusals in this thread until now. The first call in the process makes the library tell of them: before its first use. */
unsigned long lt_parquet_refusals(void);

#endif
