"""Backends: keep the table in one process, or share it between processes."""
