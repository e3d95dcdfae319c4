"""ALP-GMM: make new tasks where absolute learning progress is high in a continuous space of tasks.

Source: Portelas et al. 2019, *Teacher algorithms for curriculum learning of deep RL in continuously parameterized
environments*, arXiv 1910.07224. The pool holds a history of played tasks and a stock of tasks to come;
`ProgressMixtureProposer` decides where new tasks lie.
"""

from typing import Any, Literal

import numpy as np
from pydantic import Field

from ..arrays import Columns, Floats
from ..generators import TaskGenerator
from .history import History, HistoryConfig, progress_between
from .mixtures import fit_best
from .proposals import NewTasks, part_fresh


class AlpGmmConfig(HistoryConfig):
    """Settings of ALP-GMM. The generator must be endless and have an axis that is a `Span`."""

    algorithm: Literal["alp_gmm"] = "alp_gmm"
    """Tag of the algorithm in files."""
    num_neighbours: int = Field(default=10, ge=5)
    """k: of the 2k played tasks nearest to a task, the k newer are compared with the k older. A larger k reduces noise,
    and blurs progress over a larger region."""


NUM_COMPONENTS = range(2, 11)
"""Numbers of components of a mixture, from which the Akaike information criterion chooses."""

NUM_SAMPLES = 250
"""Number of tasks to which a mixture is fitted: those played most recently."""


class ProgressMixtureProposer:
    """Proposes tasks from a mixture of Gaussians, by the mean absolute learning progress of each component.

    A share `rand_task_rate` is fresh. All tasks are fresh until enough tasks were played, or if there is no progress.
    The mixture covers the axes that are spans; values on other axes are fresh.

    Args:
        config: Settings of ALP-GMM.
        generator: Its axes span the space of tasks.

    Raises:
        ValueError: If the generator is finite, has no axis that is a `Span`, or has one that only some tasks have.
    """

    num_candidates = 1
    """Number of candidates per proposed task."""

    def __init__(self, config: AlpGmmConfig, generator: TaskGenerator[Any]) -> None:
        self._config = config
        self._history = History(config, generator)

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        _, indices = part_fresh(candidates, n, self._config.rand_task_rate, rng)
        points, scores = self._history.read(columns)
        if not len(indices) or len(points) < 4 * self._config.num_neighbours:
            return candidates
        progress = local_progress(points, scores, NUM_SAMPLES, self._config.num_neighbours)
        if not progress.any():
            return candidates
        mixture = fit_best(np.column_stack([points[-len(progress) :], progress]), NUM_COMPONENTS, rng)
        weights = mixture.means[:, -1].clip(0.0)
        drawn = mixture.sample(rng.choice(len(weights), size=len(indices), p=weights / weights.sum()), rng)
        return self._history.moved(candidates, indices, drawn)


def local_progress(points: Floats, scores: Floats, num_newest: int, num_neighbours: int) -> Floats:
    """Returns the absolute learning progress at the newest points, oldest first, shape (min(m, num_newest),).

    The 2k nearest points, k = `num_neighbours`, have a mean score in their newer half and another in their older half.
    Progress is the difference of these means less its standard error, and at least 0. The error follows from the
    scatter within the halves.

    Args:
        points: All points, oldest first, shape (m, d), m ≥ 2k.
        scores: Score at each point, shape (m,).
        num_newest: Number of points to evaluate, at least 1.
        num_neighbours: k, at least 2.
    """
    offsets = points[-num_newest:, None] - points[None]
    nearest = np.argpartition((offsets * offsets).sum(axis=2), 2 * num_neighbours - 1, axis=1)
    by_age = np.sort(nearest[:, : 2 * num_neighbours], axis=1)
    older, newer = scores[by_age[:, :num_neighbours]], scores[by_age[:, num_neighbours:]]
    variances = (older.var(axis=1, ddof=1) + newer.var(axis=1, ddof=1)) / num_neighbours
    return progress_between(older.mean(axis=1), newer.mean(axis=1), variances)
