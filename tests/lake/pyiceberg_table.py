"""The rows of one table as PyIceberg reads them, sorted, as one line of JSON.

Usage: pyiceberg_table.py TABLE CATALOG, where CATALOG is the JSON of the catalog's properties.
"""

from __future__ import annotations

import json
import sys

from pyiceberg.catalog import load_catalog


def main(name: str, properties: str) -> None:
    table = load_catalog("lakegate", **json.loads(properties)).load_table(name)
    rows = table.scan().to_arrow().to_pylist()
    print(json.dumps(sorted(rows, key=lambda row: json.dumps(row, default=str)), default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
