"""`ReasoningGymGenerator`: questions of Reasoning Gym as tasks, with the data set and its level as axes."""

from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict

try:
    from reasoning_gym import create_dataset, get_score_answer_fn  # pyright: ignore[reportMissingImports]
    from reasoning_gym.factory import (  # pyright: ignore[reportMissingImports]
        create_curriculum,
        has_curriculum,
    )
except ModuleNotFoundError as _error:
    raise ImportError(
        "curricular.trainers.reasoning_gym needs Reasoning Gym: pip install 'curricular[reasoning-gym]'"
    ) from _error

from ..task import Axis, Params
from .versions import warn_if_untested

__all__ = ["ReasoningGymGenerator", "score"]

warn_if_untested("reasoning-gym", ("0.1",), __name__)


def _checked(names: Any) -> Any:
    if not isinstance(names, list | tuple) or not names:
        raise ValueError(f"datasets: expected names of data sets, got {names!r}; pass a list with at least one")
    for name in names:
        if not has_curriculum(name):
            raise ValueError(f"datasets: expected data sets that have a curriculum, got {name!r}; leave it out")
    return tuple(names)


class ReasoningGymGenerator(BaseModel):
    """Generates one question per task: a data set, a level of its curriculum, and a seed.

    The configuration of a task is the entry of the data set: a dict with ``"question"``, ``"answer"`` and
    ``"metadata"``. At a level, every attribute of the data set's curriculum has this level, or its highest one.

    Raises:
        ValueError: If a data set is unknown or has no curriculum.

    Examples:
        >>> generator = ReasoningGymGenerator(datasets=["chain_sum", "letter_counting"])
        >>> [len(branch[0].values) for branch in generator.axes[0].branches]
        [11, 8]
        >>> entry = generator.build(7, np.array([0.0, 2.0]))
        >>> score(entry, entry["answer"])
        1.0
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    datasets: Annotated[tuple[str, ...], BeforeValidator(_checked)]
    """Names of the data sets."""

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """Number of levels of each data set."""
        return np.array([_num_levels(name) for name in self.datasets])

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        branches = tuple((Axis("level", tuple(range(count))),) for count in self._counts.tolist())
        return (Axis("dataset", self.datasets, branches),)

    @property
    def num_tasks(self) -> None:
        """None: endless."""

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        chosen = rng.integers(len(self._counts), size=len(seeds))
        return np.stack([chosen, rng.integers(self._counts[chosen])], axis=1).astype(np.float64)

    def label_of(self, seed: int, params: Params) -> str:
        return self.datasets[int(params[0])]

    def build(self, seed: int, params: Params) -> dict[str, Any]:
        name = self.datasets[int(params[0])]
        curriculum = create_curriculum(name)
        curriculum.set_global_level(int(params[1]))
        config = curriculum.generate_configuration({"seed": seed, "size": 1})
        entry: dict[str, Any] = create_dataset(name, **vars(config))[0]
        return entry


def _num_levels(name: str) -> int:
    return max((len(attribute.levels) for attribute in create_curriculum(name).attributes.values()), default=1)


def score(entry: dict[str, Any], answer: str | None) -> float:
    """Returns the score, 0 to 1, that the entry's data set gives to `answer`."""
    return float(get_score_answer_fn(entry["metadata"]["source_dataset"])(answer, entry))
