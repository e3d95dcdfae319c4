"""`CurriculumGRPOTrainer` for TRL: GRPO on the prompts that a curriculum chooses."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

try:
    import torch
    from accelerate.utils import broadcast_object_list  # pyright: ignore[reportMissingImports]
    from torch.utils.data import Dataset, Sampler
    from trl import GRPOTrainer  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError as _error:
    raise ImportError("curricular.trainers.trl needs TRL: pip install 'curricular[trl]'") from _error

from ..checkpoint import read_checkpoint
from ..curriculum import Curriculum
from ..generators import TaskGenerator
from .bases import Trainer
from .versions import warn_if_untested

__all__ = ["CurriculumGRPOTrainer"]

TICKET, FILE = "curricular_ticket", "curriculum.npz"  # column with the tickets of rows, file in a checkpoint

warn_if_untested("trl", ("1.16",), __name__)


_Base = cast(type[Trainer], GRPOTrainer)


class CurriculumGRPOTrainer(_Base):  # type: ignore[valid-type, misc]
    """A `GRPOTrainer` that trains on the prompts that a curriculum chooses.

    Its checkpoints contain the curriculum, and ``train(resume_from_checkpoint=…)`` restores it: the prompts in flight
    come first. Of several processes, the main one asks and tells. A subclass may have further trainers as bases.

    Args:
        args: As for `GRPOTrainer`.
        curriculum: A curriculum over the rows of `train_dataset`, in their order. Its `score_range` includes the
            weighted sum of the rewards of a completion.
        kwargs: As for `GRPOTrainer`.

    Raises:
        ValueError: If the tasks of the curriculum are not as many as the rows of `train_dataset`, or if the first, the
            middle or the last row has another prompt.
    """

    def __init__(self, *args: Any, curriculum: Curriculum[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.curriculum = curriculum
        self.args.ignore_data_skip = True  # the curriculum continues by itself; skipped prompts would be lost
        _check_rows(curriculum.generator, self.train_dataset)

    def _get_dataloader(self, dataset: Any, *args: Any, is_training: bool = False, **kwargs: Any) -> Any:
        rows = _TicketedRows(dataset) if is_training else dataset
        return super()._get_dataloader(rows, *args, is_training=is_training, **kwargs)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return _PromptSampler(self, super()._get_train_sampler(dataset))

    def _calculate_rewards(self, inputs: Any, *args: Any) -> Any:
        rewards = super()._calculate_rewards(inputs, *args)
        if self.model.training:
            tickets = torch.tensor([row[TICKET] for row in inputs], device=rewards.device)
            self._tell(self.accelerator.gather(tickets).view(-1, self.num_generations), rewards)
        return rewards

    def _tell(self, tickets: Any, rewards: Any) -> None:
        """Tells rewards of all processes, shape (completions, reward functions); `tickets`: shape (groups, G)."""
        shape = tickets.numel(), len(self.reward_weights)
        if tuple(rewards.shape) != shape or (tickets != tickets[:, :1]).any():
            raise ValueError(
                f"rewards: expected shape {shape}, the {self.num_generations} completions of a prompt in a row, got "
                f"shape {tuple(rewards.shape)} or another order; keep what GRPOTrainer returns"
            )
        scores = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)
        scores[rewards.isnan().all(dim=1)] = torch.nan  # no reward function has a value: the rollout failed
        if self.accelerator.is_main_process:
            self.curriculum.tell_batch(tickets[:, 0].cpu().numpy(), scores.view(tickets.shape).double().cpu().numpy())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.args.should_save:  # first, so that no checkpoint that is complete for the trainer lacks it
            folder = Path(self._get_output_dir(trial=trial), f"checkpoint-{self.state.global_step}")
            folder.mkdir(parents=True, exist_ok=True)
            self.curriculum.save(folder / FILE)
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and self.accelerator.is_main_process:
            self.curriculum.load_state_dict(read_checkpoint(Path(checkpoint, FILE)))


def _check_rows(generator: TaskGenerator[Any], rows: Any) -> None:
    """Checks that task i is row i. A data set that was shuffled once more would give results to other prompts."""
    if (num_tasks := generator.num_tasks) != (num_rows := len(rows)):
        raise ValueError(
            f"curriculum: expected {num_rows} tasks, the rows of train_dataset, got {num_tasks}; pass these rows"
        )
    for row in (0, num_rows // 2, num_rows - 1):
        (params,) = generator.sample(np.array([row]), np.random.default_rng(0))
        config, prompt = generator.build(row, params), rows[row]["prompt"]
        if isinstance(config, Mapping) and config.get("prompt", prompt) != prompt:
            raise ValueError(
                f"curriculum: expected the rows of train_dataset in their order, where row {row} has the prompt "
                f"{prompt!r:.100}, got {config['prompt']!r:.100}; make both from the same rows, shuffled or not"
            )


class _PromptSampler(Sampler[tuple[int, int]]):
    """(row, ticket) in the layout of `RepeatSampler`. Every process iterates over all prompts, so one asks for all."""

    def __init__(self, trainer: Any, base: Any) -> None:
        self._trainer, self._base = trainer, base

    def __len__(self) -> int:
        return len(self._base)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for _ in range(self._base.num_samples // self._base.batch_size):
            chosen: list[Any] = [None]
            if self._trainer.accelerator.is_main_process:
                batch = self._trainer.curriculum.ask_batch(self._base.batch_size, replace=False)
                chosen = [list(zip(batch.seeds.tolist(), batch.tickets.tolist(), strict=True))]
            broadcast_object_list(chosen)
            for _ in range(self._base.repeat_count):
                yield from (row for row in chosen[0] for _ in range(self._base.mini_repeat_count))


class _TicketedRows(Dataset[dict[str, Any]]):
    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        return {**self._rows[key[0]], TICKET: key[1]}
