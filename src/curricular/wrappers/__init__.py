"""Environments that play the tasks of a curriculum: `CurriculumEnv`, in one module per framework.

`wrappers.gymnasium` and `wrappers.puffer` need their framework. `wrappers.episodes` is what wrappers share and needs
none; a custom wrapper builds on it.
"""
