# SPDX-License-Identifier: Apache-2.0
"""Asks Apache Spark: on_spark.py DATA_DIR < questions, one JSON object a line with name, from and sql; the answers likewise.

Run by the Python of build/spark-venv. Two worker processes beside the driver, which have nothing in common with it but the files;
LITMUS_SPARK_MASTER=local[2] asks it in one process, where three are too many.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

from pyspark.sql import SparkSession


def main() -> None:
    data_dir = pathlib.Path(sys.argv[1]).resolve()
    spark = (SparkSession.builder.master(os.environ.get("LITMUS_SPARK_MASTER") or "local-cluster[2,1,640]").appName("litmus").config("spark.ui.enabled", "false").config("spark.executor.memory", "640m")
             .config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "4").config("spark.driver.host", "127.0.0.1")
             .config("spark.sql.parquet.mergeSchema", "true").config("spark.network.timeout", "600s").config("spark.executor.heartbeatInterval", "60s")
             .config("spark.worker.timeout", "600").getOrCreate())  # fmt: skip
    spark.sparkContext.setLogLevel("ERROR")
    spark.read.parquet(str(data_dir / "lake")).createOrReplaceTempView("lake")
    spark.read.option("recursiveFileLookup", "true").option("pathGlobFilter", "*.parquet").parquet(str(data_dir / "runs")).createOrReplaceTempView("files")
    for question in map(json.loads, sys.stdin):
        rows = [list(row) for row in spark.sql(question["sql"]).collect()]
        print(json.dumps({"name": question["name"], "rows": rows}, default=str), flush=True)
    print(json.dumps({"name": "partitions", "rows": spark.table("lake").rdd.getNumPartitions()}))
    spark.stop()


if __name__ == "__main__":
    main()
