"""Makes or changes the SQLite file that Datasette serves: `library.py FILE TITLE` sets the title of the one book."""

import sqlite3
import sys

file, title = sys.argv[1:]
with sqlite3.connect(file) as database:
    database.execute("CREATE TABLE IF NOT EXISTS books (id INTEGER PRIMARY KEY, title TEXT NOT NULL)")
    database.execute("INSERT INTO books VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET title = ?1", (title,))
database.close()
