"""Schemas of everything that crosses a boundary: records, configurations, tables, results, errors.

Light to import: pydantic and pyarrow only.
"""
