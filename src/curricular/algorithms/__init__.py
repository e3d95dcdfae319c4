"""The algorithms, one file each: its config, its functions and, where it has one, its proposer of new tasks.

`registry` lists the built-in algorithms; `curricular` exports their configs.
"""
