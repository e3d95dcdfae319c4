"""Ways of choosing tasks, one file each: settings, functions, and what new tasks it proposes.

`registry` lists those in the box; the configs that it lists are what `curricular` exports.
"""
