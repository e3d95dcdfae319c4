"""`CurriculumDataset` and `CurriculumReplayBuffer` for verl: rollouts of the prompts that a curriculum chooses.

The settings ``data.custom_cls`` and ``trainer.v1.sampler.custom_sampler`` choose them.
"""

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any, cast

import numpy as np

try:
    import transfer_queue  # pyright: ignore[reportMissingImports]
    from verl.trainer.ppo.v1 import replay_buffer  # pyright: ignore[reportMissingImports]
    from verl.utils.dataset.rl_dataset import RLHFDataset  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError as _error:
    raise ImportError("curricular.trainers.verl needs verl: pip install 'verl[verl-core]'") from _error

from ..algorithms.noise_aware import NoiseAwareConfig
from ..config import CurriculumConfig
from ..curriculum import Curriculum
from ..generators import dataset
from .bases import Buffer, PromptDataset
from .versions import warn_if_untested

__all__ = ["CurriculumDataset", "CurriculumReplayBuffer", "CurriculumReplayBufferAsync"]

TICKET = "curricular_ticket"  # field of a row, and of its trajectories, with the ticket of the hand-out

warn_if_untested("verl", ("0.9",), __name__)


class CurriculumDataset(cast(type[PromptDataset], RLHFDataset)):  # type: ignore[misc]
    """verl's data set, whose training prompts a curriculum chooses, whatever rows the data loader asks for.

    verl's checkpoint has the curriculum in the state of the data loader. To choose another algorithm, derive a class
    and set `curriculum_config`.

    Args:
        data_files: As for `RLHFDataset`, as are `args`, `config` and `kwargs`. Validation files get no curriculum.

    Raises:
        ValueError: If the data loader has workers, training and validation have the same files, or two rows are equal.
    """

    curriculum_config: CurriculumConfig = NoiseAwareConfig.recommended()
    """Settings of the curriculum."""
    max_age: int = 8192
    """Number of later hand-outs after which a prompt that verl has dropped without notice counts as expired."""

    def __init__(self, data_files: Any, *args: Any, config: Any, **kwargs: Any) -> None:
        super().__init__(data_files, *args, config=config, **kwargs)
        self.curriculum: Curriculum[Any] | None = None
        if data_files != config.train_files:
            return
        if config.dataloader_num_workers or config.val_files == data_files:
            raise ValueError(
                "config: expected dataloader_num_workers=0, and val_files other than train_files, got "
                f"{config.dataloader_num_workers} workers and val_files={config.val_files}; change these settings"
            )
        fields = [name for name in (self.prompt_key, "reward_model") if name in self.dataframe.column_names]
        self.curriculum = Curriculum(self.curriculum_config, dataset(self.dataframe.select_columns(fields)))

    def __getitems__(self, rows: list[int]) -> list[dict[str, Any]]:
        """Returns as many chosen prompts as there are rows, with their tickets; for validation, the rows."""
        if self.curriculum is None:
            return [self[row] for row in rows]
        self.curriculum.expire(self.max_age)
        batch = self.curriculum.ask_batch(len(rows), replace=len(rows) > len(self))
        chosen = zip(batch.seeds.tolist(), batch.tickets.tolist(), strict=True)
        return [{**self[row], TICKET: ticket} for row, ticket in chosen]

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the curriculum, for the data loader's."""
        return {} if self.curriculum is None else self.curriculum.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes. Prompts in flight come first, unless verl has restored them itself, as in asynchronous modes."""
        if self.curriculum is not None:
            self.curriculum.load_state_dict(state)
            if any(tag.get("is_prompt") for tag in (transfer_queue.kv_list("train") or {}).get("train", {}).values()):
                self.curriculum.ask_batch(len(self.curriculum.open_handouts().tickets))


class _Telling(Buffer):
    """Tells the rewards of the groups that are trained on, and cancels those that are stale or have failed."""

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> Any:
        batch, metrics = super().sample(global_steps, partition_id, batch_size)
        if partition_id == "train":
            groups: dict[int, dict[str, float]] = {}
            for key, ticket, reward in zip(batch.keys, *_fields(batch.keys, TICKET, "rm_scores"), strict=True):
                groups.setdefault(ticket, {})[key.split("_")[1]] = float(reward.sum())  # one reward for each session
            rewards = zip_longest(*(group.values() for group in groups.values()), fillvalue=np.nan)  # of failed ones
            self._curriculum.tell_batch(list(groups), np.array(list(rewards)).T)
        return batch, metrics

    def _evict_terminal_groups(self, global_steps: int, partition_id: str, eviction_reasons: Any) -> Any:
        for prompts, reason in zip(eviction_reasons, ("stale", "filtered", "failed"), strict=False):
            if prompts and self.trainer_mode != "sync":  # only the asynchronous modes store prompts, with their tickets
                self._curriculum.cancel_batch(next(_fields(prompts, TICKET)), reason)
        return super()._evict_terminal_groups(global_steps, partition_id, eviction_reasons)

    @property
    def _curriculum(self) -> Any:
        return self.refill_fn.__self__.train_dataset.curriculum  # verl passes a bound method of its trainer


def _fields(keys: Iterable[str], *names: str) -> Any:
    """Yields the values of each field, one for each key."""
    data = transfer_queue.kv_batch_get(keys=list(keys), partition_id="train", select_fields=list(names))
    return ([getattr(value, "data", value) for value in data[name]] for name in names)


class CurriculumReplayBuffer(_Telling, cast(type[Buffer], replay_buffer.ReplayBuffer)):  # type: ignore[misc]
    """Tells the curriculum about the groups that are trained on, in verl's synchronous mode."""


class CurriculumReplayBufferAsync(_Telling, cast(type[Buffer], replay_buffer.ReplayBufferAsync)):  # type: ignore[misc]
    """Tells the curriculum about the groups that are trained on or dropped, in verl's asynchronous modes."""
