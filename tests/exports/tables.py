"""Reads what was made of one bundle with DuckDB and pyarrow, and says what they found when the formats agree.

    tables.py CSV-FOLDER LINES.jsonl PARQUET-FOLDER
"""

import json
import pathlib
import sys
import unicodedata

import duckdb
import pyarrow
import pyarrow.parquet

csv, lines, parquet = (pathlib.Path(path) for path in sys.argv[1:])
db = duckdb.connect()
db.sql("SET TimeZone = 'UTC'")


def rows(query):
    return db.sql(query).fetchall()


def cleaned(text):
    """A text as a CSV shows it: docs/evidence.md, 9. Quotes are the CSV's own."""
    strange = "\u061c\u200e\u200f\ufeff"
    unsafe = lambda c: unicodedata.category(c) == "Cc" or c in strange or "\u2028" <= c <= "\u202e" or "\u2066" <= c <= "\u2069"
    text = "".join(" " if unsafe(c) else c for c in text)
    return "'" + text if text.strip()[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20") else text


def shown(value):
    if value is None:
        return None
    if hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}Z"
    return cleaned(value) or None if isinstance(value, str) else str(value)


families = sorted(path.stem for path in csv.glob("*.csv"))
assert families == sorted(path.stem for path in parquet.glob("*.parquet")), families
for family in families:
    table = pyarrow.parquet.read_table(parquet / f"{family}.parquet")
    read = db.sql(f"FROM read_csv('{csv}/{family}.csv', header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"')")
    titles = read.columns + (["untyped"] if family != "population" else [])
    assert table.column_names == titles, (family, table.column_names, titles)
    assert table.schema.field("index").type == pyarrow.int64()
    assert table.schema.field("time").type == pyarrow.timestamp("ms", tz="UTC")
    if "expires_ms" in titles:
        # The CSV has the number.
        assert table.schema.field("expires_ms").type == pyarrow.timestamp("ms", tz="UTC")
        at = titles.index("expires_ms")
        numbers = table.column("expires_ms").cast(pyarrow.int64())
        table = table.set_column(at, "expires_ms", numbers)
    expected = read.fetchall()
    found = [tuple(shown(value) for value in row.values()) for row in table.to_pylist()]
    if family != "population":
        assert not any(row[-1] for row in found), (family, "untyped")
        found = [row[:-1] for row in found]
    assert found == expected, (family, next(pair for pair in zip(found, expected) if pair[0] != pair[1]))
    # DuckDB's own reader of Parquet sees the same as pyarrow's.
    assert rows(f"SELECT count(*), sum(index) FROM '{parquet}/{family}.parquet'") == [
        (len(expected), sum(int(row[0]) for row in expected))
    ], family

members = "columns = {index: 'BIGINT', time: 'TIMESTAMPTZ', kind: 'VARCHAR', out: 'JSON'}"
kinds = "SELECT kind, count(*), min(time), max(time) FROM {} GROUP BY kind ORDER BY kind"
from_lines = rows(kinds.format(f"read_json('{lines}', format = 'newline_delimited', {members})"))
from_parquet = rows(kinds.format(f"'{parquet}/population.parquet'"))
from_csv = rows(kinds.format(f"read_csv('{csv}/population.csv', types = {{'time': 'TIMESTAMPTZ'}})"))
assert from_lines == from_parquet == from_csv, (from_lines, from_parquet, from_csv)

sums = None
if "fetch" in families:
    # Where nothing is opened the cells are empty, and DuckDB takes an empty column of a CSV file for text.
    outcomes = "SELECT sum(({0}rows{1})::BIGINT)::BIGINT, sum(({0}bytes{1})::BIGINT)::BIGINT FROM {2} WHERE kind = 'fetch.outcome'"
    sums = rows(outcomes.format("", "", f"'{parquet}/fetch.parquet'"))
    source = f"read_json('{lines}', format = 'newline_delimited', {members})"
    assert sums == rows(outcomes.format("(out->>'$.", "')::BIGINT", source)), sums
    assert sums == rows(outcomes.format("", "", f"'{csv}/fetch.csv'")), sums
print(json.dumps({"kinds": {kind: count for kind, count, *_ in from_parquet}, "rows": sums and sums[0][0], "bytes": sums and sums[0][1]}))
