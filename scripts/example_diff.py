"""Prints what a curriculum changes in a training script: the diff of examples/ppo_plain.py and examples/ppo.py.

docs/frameworks.md shows it, and `tests/test_docs_frameworks.py` compares the two.
"""

# ruff: noqa: T201  printing is its purpose

import difflib
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def difference() -> list[str]:
    """Returns the changed lines, with their sign, without lines around them and without blank lines."""
    plain, changed = ((EXAMPLES / name).read_text(encoding="utf-8").splitlines() for name in ("ppo_plain.py", "ppo.py"))
    lines = difflib.unified_diff(plain, changed, n=0, lineterm="")
    return [line for line in list(lines)[2:] if line[:1] in "+-" and line[1:].strip()]


if __name__ == "__main__":
    print("\n".join(difference()))
