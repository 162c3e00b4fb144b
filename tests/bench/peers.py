"""Reads a table from PostgreSQL into one Parquet file (zstd), as a data scientist with the password would.

    peers.py connectorx|connectorx2|adbc|pandas QUERY OUTPUT.parquet

The server is where the PG* variables say. `connectorx2` reads two partitions of `id`; `pandas` writes what `read_sql` gives.
"""

import os
import sys
import urllib.parse

tool, query, output = sys.argv[1:]
env = os.environ
password = urllib.parse.quote(env["PGPASSWORD"])
ca = urllib.parse.quote(env["PGSSLROOTCERT"], safe="")
url = f"postgresql://{env['PGUSER']}:{password}@{env['PGHOST']}:{env['PGPORT']}/{env['PGDATABASE']}?sslmode=verify-full&sslrootcert={ca}"

if tool.startswith("connectorx"):
    import connectorx
    import pyarrow.parquet

    # Its own TLS reads `sslmode=require` with a root certificate as a check of the certificate.
    url = url.replace("verify-full", "require")
    more = {"partition_on": "id", "partition_num": 2} if tool == "connectorx2" else {}
    table = connectorx.read_sql(url, query, return_type="arrow", **more)
    pyarrow.parquet.write_table(table, output, compression="zstd", compression_level=1)
elif tool == "adbc":
    import adbc_driver_postgresql.dbapi
    import pyarrow.parquet

    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        reader = cursor.fetch_record_batch()
        with pyarrow.parquet.ParquetWriter(output, reader.schema, compression="zstd", compression_level=1) as writer:
            for batch in reader:
                writer.write_batch(batch)
else:
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        pandas.read_sql(sqlalchemy.text(query), connection).to_parquet(output, compression="zstd")
