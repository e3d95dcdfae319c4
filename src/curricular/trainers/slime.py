"""`CurriculumDataSource` for slime: rollouts of the prompts that a curriculum chooses.

--data-source-path my_module.DataSource
--rollout-all-samples-process-path curricular.trainers.slime.tell
"""

import copy
from pathlib import Path
from typing import Any, cast

import numpy as np

try:
    from slime.rollout.data_source import RolloutDataSource  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError as _error:
    raise ImportError("curricular.trainers.slime needs slime: install it as slime's documentation says") from _error

from ..algorithms.noise_aware import NoiseAwareConfig
from ..config import CurriculumConfig
from ..curriculum import Curriculum
from ..generators import dataset
from .bases import DataSource

__all__ = ["CurriculumDataSource", "tell"]

TICKET = "curricular_ticket"
"""Key of the metadata of a sample with the ticket of its hand-out."""


_Base = cast(type[DataSource], RolloutDataSource)


class CurriculumDataSource(_Base):  # type: ignore[valid-type, misc]
    """A data source whose prompts a curriculum chooses; each sample carries the ticket of its hand-out.

    To choose another algorithm, derive a class and set `config`.

    Args:
        args: slime's arguments. `rollout_shuffle` must be off: the rows of a curriculum keep their order.

    Raises:
        ValueError: If there is no data set, if `rollout_shuffle` is on, or if two rows have the same prompt and label.
    """

    config: CurriculumConfig = NoiseAwareConfig.recommended()
    """Settings of the curriculum."""

    max_age: int = 8192
    """Number of later hand-outs after which a group that slime has dropped without notice counts as expired."""

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        if self.dataset is None or args.rollout_shuffle:
            raise ValueError(
                "args: expected prompt_data with rollout_global_dataset and without rollout_shuffle, whose rows keep "
                "their order; change these arguments"
            )
        samples = self.dataset.samples
        tasks = dataset(samples, key=[f"{sample.prompt} -> {sample.label}" for sample in samples])
        self.curriculum: Curriculum[Any] = Curriculum(self.config, tasks)

    def get_samples(self, num_samples: int) -> list[list[Any]]:
        self.curriculum.expire(self.max_age)
        batch, groups = self.curriculum.ask_batch(num_samples, replace=num_samples > len(self)), []
        for row, ticket in zip(batch.seeds.tolist(), batch.tickets.tolist(), strict=True):
            group = [copy.deepcopy(self.dataset.samples[row]) for _ in range(self.args.n_samples_per_prompt)]
            for sample in group:
                sample.group_index, sample.index = self.sample_group_index, self.sample_index
                sample.metadata = {**(sample.metadata or {}), TICKET: ticket}
                self.sample_index += 1
            self.sample_group_index += 1
            groups.append(group)
        return groups

    def add_samples(self, samples: list[list[Any]]) -> None:
        """Cancels groups that slime has aborted, such as those beyond the size of a batch."""
        self.curriculum.cancel_batch([group[0].metadata[TICKET] for group in samples], "aborted")

    def save(self, rollout_id: Any) -> None:
        super().save(rollout_id)
        path = _path(self.args.save, rollout_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.curriculum.save(path)

    def load(self, rollout_id: Any = None) -> None:
        super().load(rollout_id)
        if self.args.load is not None and (path := _path(self.args.load, rollout_id)).exists():
            self.curriculum = Curriculum.load(path, self.curriculum.generator)


def _path(folder: str, rollout_id: Any) -> Path:
    return Path(folder, f"rollout/curriculum_{rollout_id}.npz")


def tell(args: Any, all_samples: list[list[Any]], get_samples: Any) -> None:
    """Tells the rewards of the groups of a rollout; samples that were aborted or failed count as failed rollouts.

    Args:
        args: slime's arguments.
        all_samples: Groups of samples.
        get_samples: The bound method `get_samples` of the data source, as slime passes it.
    """
    groups = [group for group in all_samples if TICKET in (group[0].metadata or {})]
    if groups:
        rewards = [[_reward(args, sample) for sample in group] for group in groups]
        get_samples.__self__.curriculum.tell_batch([group[0].metadata[TICKET] for group in groups], rewards)


def _reward(args: Any, sample: Any) -> float:
    is_complete = sample.status.value in {"completed", "truncated"}
    return float(sample.get_reward_value(args)) if is_complete else np.nan
