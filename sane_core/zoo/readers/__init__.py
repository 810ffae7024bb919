"""Readers: one layout of foreign zoos per file, and a registry that others can add to."""
