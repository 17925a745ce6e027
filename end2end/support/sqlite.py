"""Reads or changes a SQLite file with a client that shares no code with the program.

    sqlite.py FILE        prints all rows as SQL, blobs in hexadecimal
    sqlite.py FILE SQL    executes statements
"""

import sqlite3
import sys


def main(file: str, statements: str = "") -> None:
    database = sqlite3.connect(file, timeout=60)
    if statements:
        database.executescript(statements)
    else:
        for line in database.iterdump():
            print(line)
    database.close()


main(*sys.argv[1:])
