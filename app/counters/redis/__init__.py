"""Counts in Redis: exact for many hosts, with a journal for the time when Redis is away."""
