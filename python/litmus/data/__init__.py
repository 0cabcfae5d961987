# SPDX-License-Identifier: Apache-2.0
"""Reading back: three stores over one data directory.

- `litmus.data.run_store.RunStore`: runs, steps, measurements, finished and in flight.
- `litmus.data.event_store.EventStore`: the events as they were recorded, and as they come.
- `litmus.data.channel_store.ChannelStore`: channels and their files.
- `litmus.data.parquet_backend.ParquetBackend`: the run files below RunStore.

A store may be used by many threads. Close it, or use it in a `with`.
"""
