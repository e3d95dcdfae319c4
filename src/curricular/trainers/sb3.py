"""`CurriculumCallback` for Stable-Baselines3: logs a curriculum, and saves it with the checkpoints of the model."""

from pathlib import Path
from typing import Any

try:
    from stable_baselines3.common.callbacks import CheckpointCallback
except ModuleNotFoundError as _error:
    raise ImportError("curricular.trainers.sb3 needs Stable-Baselines3: pip install 'curricular[sb3]'") from _error

from ..curriculum import Curriculum
from ..loggers import SB3Logger
from ..wrappers.episodes import at_least_1

__all__ = ["CurriculumCallback"]

MIN_CALLS = 500
"""Minimum number of steps of the vector environment between two records of the statistics.

Rollouts of off-policy algorithms end every few steps, and a record takes about as long as such a rollout.
"""


class CurriculumCallback(CheckpointCallback):
    """Records the statistics of a curriculum, and saves the curriculum whenever it saves the model.

    The statistics are recorded under ``curriculum/…``, so that the table of the model and its TensorBoard files have
    them: at the end of a rollout, at most every `MIN_CALLS` steps of the vector environment.

    With `save_freq`, the callback replaces a `CheckpointCallback`: it saves the model as that callback does, and the
    curriculum beside it. The file of the curriculum has the name of the model's file with the suffix ``.npz`` instead
    of ``.zip``. To resume, load the curriculum first, build the environments on it, then load the model::

        curriculum = Curriculum.load("checkpoints/rl_model_10000_steps.npz", tasks)
        model = PPO.load("checkpoints/rl_model_10000_steps.zip", env=make_envs(curriculum))
        model.learn(10_000, callback=CurriculumCallback(curriculum), reset_num_timesteps=False)

    The environments may live in this process or in others: processes that the curriculum was copied to share its pool.

    Args:
        curriculum: The curriculum of the environments.
        save_freq: Number of calls of ``env.step`` between two checkpoints, at least 1. None: no checkpoints.
        save_path: Folder of the checkpoints; needed with `save_freq`.
        name_prefix: Start of the name of each checkpoint.
        save_replay_buffer: Whether to save the replay buffer of the model, too.
        save_vecnormalize: Whether to save the statistics of `VecNormalize`, too.
        verbose: 2 prints the path of each checkpoint of the model.

    Raises:
        ValueError: If `save_freq` is below 1, or if only one of `save_freq` and `save_path` is given.
        TypeError: If `save_freq` is not a whole number.
    """

    def __init__(
        self,
        curriculum: Curriculum[Any],
        save_freq: int | None = None,
        save_path: str | None = None,
        name_prefix: str = "rl_model",
        *,
        save_replay_buffer: bool = False,
        save_vecnormalize: bool = False,
        verbose: int = 0,
    ) -> None:
        if (save_freq is None) != (save_path is None):
            raise ValueError(
                f"save_freq: expected save_freq and save_path, or neither, got save_freq={save_freq} and "
                f"save_path={save_path!r}; pass both to save checkpoints"
            )
        self._is_saving = save_freq is not None
        if save_freq is not None:
            save_freq = at_least_1("save_freq", save_freq, "leave it out to save no checkpoints")
        super().__init__(save_freq or 0, save_path or ".", name_prefix, save_replay_buffer, save_vecnormalize, verbose)
        self._curriculum = curriculum
        self._num_calls_recorded: int | None = None

    def _on_step(self) -> bool:
        if self._is_saving and self.n_calls % self.save_freq == 0:
            # First, so that there is no model without a curriculum if the process is killed between the two.
            self._curriculum.save(Path(self._checkpoint_path(extension="npz")))
            return super()._on_step()
        return True

    def _on_rollout_end(self) -> None:
        if self._num_calls_recorded is None or self.n_calls - self._num_calls_recorded >= MIN_CALLS:
            self._num_calls_recorded = self.n_calls
            SB3Logger(self._curriculum, self.logger)()
