"""Environments that play the tasks of a curriculum: `CurriculumEnv`, in one module per framework.

Modules that are named after a framework need it. `wrappers.episodes` is what wrappers share and needs
none; a custom wrapper builds on it.
"""
