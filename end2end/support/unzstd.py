"""Writes the lines of a text that zstd has compressed to standard output.

    unzstd.py FILE
"""

import sys

import duckdb

# One column that ends with its line, and that nothing else divides.
QUERY = """
    SELECT line FROM read_csv(?, compression = 'zstd', columns = {line: 'VARCHAR'}, header = false, auto_detect = false,
        delim = '\x01', quote = '', escape = '', new_line = '\\n', max_line_size = 268435456, parallel = false)
"""


def main(file: str) -> None:
    for (line,) in duckdb.execute(QUERY, [file]).fetchall():
        print(line)


main(*sys.argv[1:])
