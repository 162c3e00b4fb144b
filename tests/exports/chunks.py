"""Opens a folder of chunks as one table, as people do, and says what is in it.

    chunks.py FOLDER
"""

import json
import sys

import duckdb
import pyarrow.dataset

folder = sys.argv[1]
table = pyarrow.dataset.dataset(folder, format="parquet").to_table()
ids = table.column("id").to_pylist()
found = duckdb.connect().execute(f"SELECT count(*), count(DISTINCT id), min(id), max(id), count(DISTINCT moment), max(moment) FROM read_parquet('{folder}/*.parquet')").fetchone()
assert found[0] == len(ids), "pyarrow and DuckDB read the same"
print(json.dumps({"rows": found[0], "ids": found[1], "from": found[2], "to": found[3], "moments": found[4], "moment": found[5], "raw": table.column("ssn")[0].as_py()}))
