"""Measures with `cost.py` this library and other libraries in the same run.

    make bench-peers

benchmarks/README.md lists what is not measured.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from cost import BLOCK, Scores, main
from syllabus.curricula import OnlineLearningProgress
from syllabus.task_space import DiscreteTaskSpace


class PatchedProgress(OnlineLearningProgress):
    """Syllabus 0.7 without a comparison of the distribution with ``[]`` that NumPy 2 refuses."""

    def sample(self, k: int = 1) -> list[int]:
        return np.random.choice(list(range(self.num_tasks)), size=k, p=self._sample_distribution())  # noqa: NPY002


class _Discard:
    """A writer of statistics that discards all of them."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        pass


class Syllabus:
    """Syllabus' online learning progress, called directly: no sync wrapper, no queue, no environment."""

    name = "syllabus 0.7"

    def __init__(self, num_tasks: int) -> None:
        # Recompute the distribution as often as curricular does.
        self._curriculum = PatchedProgress(
            DiscreteTaskSpace(num_tasks), update_interval=max(2 * BLOCK, num_tasks // 16)
        )
        self._step = 0

    def pairs(self, scores: Scores) -> None:
        for score in scores:
            self._update(int(self._curriculum.sample()[0]), score)

    def asks(self, n: int) -> list[int]:
        return [int(self._curriculum.sample()[0]) for _ in range(n)]

    def updates(self, task_ids: list[int], scores: Scores) -> None:
        for task_id, score in zip(task_ids, scores, strict=True):
            self._update(task_id, score)

    def batches(self, size: int, scores: Sequence[Scores]) -> None:
        for batch in scores:
            for task_id, score in zip(self._curriculum.sample(size).tolist(), batch, strict=True):
                self._update(task_id, score)

    def stats(self) -> object:
        self._step += 1
        return self._curriculum.log_metrics(_Discard(), [], step=self._step)

    def _update(self, task_id: int, score: float) -> None:
        success = float(score > 0.5)  # Syllabus counts successes, 0 or 1
        self._curriculum.update_task_progress(task_id, success)
        self._curriculum.update_on_episode(success, 1, task_id, success)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Syllabus warns of high success rates at each refresh
    main(peers=[Syllabus], peer_imports=["syllabus.curricula"])
