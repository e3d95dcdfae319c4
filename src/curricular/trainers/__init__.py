"""Connects a curriculum to a trainer, in one module per trainer.

Each module needs its trainer, which is an extra.
"""
