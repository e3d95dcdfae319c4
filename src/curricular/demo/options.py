"""The algorithms of the demo and the check of its options; imports no extra, so an error comes before slow imports."""

from collections.abc import Sequence

from ..bench.algorithms import BUILT_IN as ALGORITHMS

__all__ = ["ALGORITHMS", "check_options"]


def check_options(algorithms: Sequence[str], num_seeds: int, num_steps: int | None = None) -> None:
    """Checks the options of a demo.

    Args:
        algorithms: Names in `ALGORITHMS`.
        num_seeds: Number of runs of each algorithm.
        num_steps: Environment steps of each run; None: the default of the level family.

    Raises:
        ValueError: If an algorithm is unknown or named twice, or if a number is below 1.
    """
    for name in algorithms:
        if name not in ALGORITHMS:
            raise ValueError(f"algorithms: expected one of {', '.join(ALGORITHMS)}, got {name!r}; correct the name")
    if not algorithms or len(set(algorithms)) < len(algorithms):
        raise ValueError(f"algorithms: expected at least one, each once, got {algorithms!r}; correct the list")
    for argument, number in (("seeds", num_seeds), ("steps", num_steps)):
        if number is not None and number < 1:
            raise ValueError(f"{argument}: expected 1 or more, got {number}; raise it")
