"""Durable state: one SQLite database, one file here per noun. Large things live in files, not here."""
