"""`SingleTaskGenerator`: a generator of a single task."""

from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..task import Axis, Params
from .copies import copied, copier
from .serial import AnyConfig


class SingleTaskGenerator(BaseModel):
    """Generates a single task; every build returns a copy of `config`, or `config` itself if it cannot change."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["single"] = "single"
    config: AnyConfig
    """What the environment is built or reset from: a pydantic model, a dataclass, a dict or any other value."""
    label: str = ""
    """The label of the task."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        return ()

    @property
    def num_tasks(self) -> int:
        return 1

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        return np.empty((len(seeds), 0))

    def label_of(self, seed: int, params: Params) -> str:
        return self.label

    def build(self, seed: int, params: Params) -> AnyConfig:
        return copied(self.config) if self._can_change else self.config

    @cached_property
    def _can_change(self) -> bool:
        return copier(self.config) is not None
