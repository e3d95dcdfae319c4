"""Repeats the comparison of docs/tutorial.md with ten seeds.

    python benchmarks/tutorial.py             # two minutes

The agent, the tasks and the evaluation are the cells of the page, up to its first picture. Prints the share of the
starts that each agent solves.
"""

import argparse
import json
import os
import statistics
import tempfile
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from curricular import Curriculum, NoiseAwareConfig, UniformConfig

NOTEBOOK = Path(__file__).parents[1] / "examples" / "tutorial.ipynb"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="seeds 0 to N - 1")
    options = parser.parse_args()
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"][1:]  # without the magic
    names: dict[str, Any] = {}
    solved: dict[str, list[float]] = {"uniform": [], "recommended": []}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for text in takewhile(lambda text: "plots" not in text, code):
            exec(text, names)  # noqa: S102  the page's own code
        for seed in range(options.seeds):
            for name, config in (
                ("uniform", UniformConfig(seed=seed)),
                ("recommended", NoiseAwareConfig.recommended(seed=seed)),
            ):
                curriculum = Curriculum(names["starts"], config)
                share = names["train"](curriculum, np.zeros((16, 16, 4, 3)), f"{name}-{seed}", seed=seed)
                solved[name].append(float(share))
    for name, shares in solved.items():
        print(f"{name:12} mean {statistics.mean(shares):.2f}  {' '.join(f'{share:.2f}' for share in shares)}")


if __name__ == "__main__":
    main()
