"""Counts in an LMDB directory: exact for all threads and processes of one host."""
