"""Callbacks that connect a curriculum to a trainer: what it logs and saves, in one module per trainer.

Each module needs its trainer, which is an extra.
"""
