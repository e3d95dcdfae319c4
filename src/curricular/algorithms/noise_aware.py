"""Noise-aware learning progress: draw the tasks whose success rate changes by more than noise explains.

Source: ours. Each task has a time scale of its own, fitted by the intersection of confidence intervals: Goldenshluger
and Nemirovski 1997, *On spatially adaptive estimation of nonparametric regression*, Mathematical Methods of Statistics
6(2).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..arrays import Array, Columns, either, total, within
from ..config import MAX_BASELINE
from ..generators import TaskGenerator
from ..params import Layout
from ..priorities import normalise
from ..probabilities import mix, proportional, uniform
from ..table import EMAS
from ..task import Params
from .floors import FlooredConfig, with_floors
from .groups import Grouper
from .memo import Memo, RowMemo
from .nearness import BIN_COLUMNS, near_bins, nearness
from .proposals import FreshProposer, NewTasks, Proposer, part_fresh
from .protocol import Algorithm
from .sharing import Shared, expected_priorities, share_evidence
from .slopes import Evidence, PairWeights, Slope, chance_of_change, pair_weights, progress_slope


class NoiseAwareConfig(FlooredConfig):
    """Settings of noise-aware learning progress. Start from `recommended()`: there is no time scale to set."""

    algorithm: Literal["noise_aware"] = "noise_aware"
    """Tag of the algorithm in files."""
    ema_timescale: float = Field(default=0.2, ge=1e-3, le=0.9)
    """Rate of the fastest average, per completion of a task: the shortest time scale is about 1 / rate results."""
    slow_timescale_factor: float = Field(default=1 / 256, ge=1e-3, le=0.9)
    """Rate of the slowest average, as a multiple of `ema_timescale`. Smaller values allow longer time scales."""
    theta: float = Field(default=0.1, ge=1e-6, le=0.5)
    """θ of the reweighting R. Small values stretch small success rates; at 0.5, R is the identity."""
    interval_width: float = Field(default=1.5, ge=0, le=1e6)
    """Half-width of the confidence interval of a slope, in standard errors. Larger values choose longer time scales."""
    unsolved_weight: float = Field(default=0.01, ge=0, le=1)
    """Credit of a task that was never solved, for the uncertainty of its slope; it is at most 1 for other tasks. Small
    values leave such tasks to the reserved shares."""
    discovery_share: float = Field(default=0.25, ge=0, le=1)
    """Share of the draws beyond the reserved ones that goes to tasks never solved, evenly, where the whole choice is
    expected to be noise. It falls steeply with the share of noise."""
    min_success: float = Field(default=0.15, ge=0, lt=1)
    """Mean success that is expected of the draws beyond the reserved ones, at least, as long as some task goes well. An
    agent that hardly ever succeeds learns hardly anything from its failures."""
    sharing: float = Field(default=50.0, ge=0, le=1e6)
    """Number of completions at which a task's own results weigh as much as those of the tasks with the same values on
    the generator's axes; 0: only its own results count."""
    proposal_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the new tasks that are chosen by the progress of tasks in the pool with the same values on the axes; the
    rest are as the generator samples them."""
    rand_task_rate: float = Field(default=0.05, ge=0, le=1)
    """Share of uniform draws."""
    stale_task_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the draws in proportion to the hand-outs of the pool since a task's last one. A larger share sees sooner
    that a task becomes solvable or is forgotten."""

    @classmethod
    def recommended(cls, *, num_active_tasks: int | None = None, **overrides: Any) -> Self:
        """Returns the recommended settings for any problem.

        Args:
            num_active_tasks: Number of tasks in the pool; None: as many as suit the generator.
            overrides: Values of any other fields.

        Examples:
            >>> NoiseAwareConfig.recommended(num_active_tasks=64).stale_task_share
            0.1
        """
        return cls(**{"num_active_tasks": num_active_tasks, **overrides})

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"noise-aware": cls.recommended, "noise-aware-unpooled": partial(cls.recommended, sharing=0.0)}


DOUBT = 15
"""Exponent that turns the share of noise into a share of uniform draws, which is near 0 unless almost all is noise."""

DISCOVERY = 4
"""Exponent that turns the share of noise into the part of `discovery_share` that goes to tasks never solved."""

MIN_PROGRESS = 2.0**-20
"""Lower limit of the sum of the priorities. It is above 0, so that priorities still order the tasks for eviction."""

FALL = 0.25
"""Weight of the slope of a task that falls although it never went well: luck that is over, rather than forgetting."""


class NoiseAwareAlgorithm(Algorithm):
    """Draws by p ∝ P(task changes) · max(|slope|, credit · min(error, typical slope)), and by the reserved shares.

    The more likely the draws would follow noise, the more of them are uniform, or go to tasks never solved. If hardly
    any of them would succeed, some go to tasks that go well.
    """

    def __init__(self, config: NoiseAwareConfig) -> None:
        self.config = config
        """Settings of the algorithm."""
        self._signs_of = partial(_signs, config, pair_weights(config.rates))
        self._kept_signs = RowMemo(self._signs_of, SIGN_COLUMNS)
        self._grouping_of = Grouper()
        self._bins_of = Memo(near_bins, BIN_COLUMNS)

    def priorities(self, columns: Columns) -> Array:
        """Returns the share of the choice that is each task's, times the share of the choice that is progress."""
        own = self._judge(columns, Signs(*self._kept_signs(columns)))
        shared = self._shared(columns, own.priority)
        chosen = proportional(shared.priority, columns["is_active"])
        xp = chosen.__array_namespace__()
        # The slopes of tasks that were never solved are unknown, so they say nothing about the noise of the others.
        solved = chosen * own.solved
        share = total(solved)
        # Where groups speak for a task, its own results cannot tell how much of its share of the choice is noise.
        doubt = (1.0 - own.chance) * shared.trust
        progress = total(solved * (1.0 - doubt)) / either(share > 0.0, share, 1.0)
        return chosen * xp.maximum(progress, MIN_PROGRESS)

    def expected_priorities(self, columns: Columns, params: Array, cells: Array) -> Array:
        """Returns the priorities ≥ 0 that the pool predicts for new tasks, shape (m,), in units of the pool's mean.

        Args:
            columns: Columns of the pool, which has at least one axis.
            params: Params of the new tasks, shape (m, num_params).
            cells: Cells of the new tasks, as in ``columns["cells"]``, shape (m, k).
        """
        return expected_priorities(self._group_priorities, columns, self.config.rates, params, cells)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active = columns["is_active"]
        chosen, unsolved = proportional(priorities, active), active & ~_is_solved(columns)
        xp = chosen.__array_namespace__()
        noise_share = 1.0 - total(priorities)
        share = self.config.discovery_share * noise_share**DISCOVERY * xp.astype(xp.any(unsolved), xp.float64)
        chosen = mix(chosen, proportional(xp.astype(unsolved, xp.float64), active), share)
        chosen = mix(chosen, uniform(active), noise_share**DOUBT)
        chosen = self._towards_solved(chosen, unsolved, columns)
        return with_floors(_rehearsing(chosen, columns, self.config.min_success), columns, self.config)

    def _towards_solved(self, chosen: Array, unsolved: Array, columns: Columns) -> Array:
        """Returns probabilities of which the tasks never solved have as much as before, more of it near solved ones."""
        if not self._shares(columns):
            return chosen
        xp = chosen.__array_namespace__()
        shares = xp.where(unsolved, chosen, 0.0)
        weights = shares * nearness(columns, self._bins_of(columns), ~unsolved)
        near = total(weights)
        return chosen - shares + weights * (total(shares) / either(near > 0.0, near, 1.0))

    def _shared(self, columns: Columns, own: Array) -> Shared:
        if self._shares(columns):
            grouping, config = self._grouping_of(columns), self.config
            return share_evidence(own, self._group_priorities, columns, grouping, config.rates, config.sharing)
        xp = own.__array_namespace__()
        return Shared(own, xp.ones(own.shape[0]))

    def _shares(self, columns: Columns) -> bool:
        return self.config.sharing > 0.0 and columns["params"].shape[1] > 0

    def _group_priorities(self, columns: Columns) -> Array:
        """Returns the priorities ≥ 0 of the groups of k groupings, shape (k, num_groups), each judged on its own."""
        is_active = columns["is_active"]
        xp, shape = is_active.__array_namespace__(), is_active.shape
        signs = self._signs_of({name: xp.reshape(column, (-1,)) for name, column in columns.items()})
        return self._judge(columns, Signs(*(xp.reshape(sign, shape) for sign in signs))).priority

    def _judge(self, columns: Columns, signs: "Signs") -> "Judgement":
        """Returns the judgement on each task, or on each group of tasks, from the signs in its own results."""
        xp = signs.solved.__array_namespace__()
        known = signs.solved * xp.astype(columns["num_completions"] >= 2, xp.float64)
        chance, typical = chance_of_change(Evidence(signs.t_squares, signs.precision, signs.windows), known)
        chance = chance * signs.headroom
        active = xp.astype(columns["is_active"], xp.float64)
        priority = active * chance * xp.maximum(signs.size, signs.credit * xp.minimum(signs.error, typical))
        return Judgement(priority, chance, signs.solved)


def _rehearsing(chosen: Array, columns: Columns, min_success: float) -> Array:
    """Returns probabilities with an expected success of at least `min_success`, if there are tasks that go well.

    The missing draws go to these tasks, in proportion to their success.
    """
    xp = chosen.__array_namespace__()
    counts = xp.astype(columns["num_completions"], xp.float64)
    # One pseudo-count without success: what was tried once and succeeded does not go well yet.
    success = normalise(columns[EMAS[1]], columns["random_baseline"], MAX_BASELINE) * (counts / (counts + 1.0))
    expected = total(chosen * success)
    if isinstance(chosen, np.ndarray) and expected >= min_success:
        return chosen  # without computing a share of 0
    going_well = proportional(xp.where(success > 0.5, success, 0.0), columns["is_active"])
    highest = total(going_well * success)
    missing = xp.where(highest > 0.5, within(min_success - expected, 0.0, 1.0), 0.0)
    share = missing / xp.where(missing > 0.0, xp.maximum(highest - expected, missing), 1.0)
    return mix(chosen, going_well, share)


class Signs(NamedTuple):
    """Signs of change in the results of each task alone, shape (n,) each."""

    t_squares: Array
    """(slope / error)²."""
    precision: Array
    """1 / error²."""
    windows: Array
    """1 + k, as in `Slope`."""
    size: Array
    """|slope|, less for a task that falls although it never went well, or that goes well already."""
    error: Array
    """Standard error of the slope."""
    headroom: Array
    """How far the task can change further, in (0, 1]."""
    credit: Array
    """Credit for the uncertainty of the slope, in [0, 1]."""
    solved: Array
    """1 for an active task that was ever solved, else 0."""


SIGN_COLUMNS = ("num_completions", *EMAS, "mean_square", "random_baseline", "is_active")
"""Names of the columns that `_signs` reads."""


def _signs(config: NoiseAwareConfig, weights: list[PairWeights], columns: Columns) -> Signs:
    """Returns the signs of change in the results of each task, or of each group of tasks."""
    slope = progress_slope(columns, weights, config.interval_width, config.theta)
    xp = slope.value.__array_namespace__()
    solved = xp.astype(columns["is_active"] & _is_solved(columns), xp.float64)
    steepness = _steepness(slope.recent)
    # The change that is left: all of it for a task that does not go well yet.
    rest = xp.where(slope.recent > 0.5, steepness, 1.0)
    credit = config.unsolved_weight + (steepness * rest - config.unsolved_weight) * solved
    return Signs(*Evidence.of(slope), _size(slope) * rest, slope.error, _headroom(slope), credit, solved)


def _steepness(success: Array) -> Array:
    """Returns 4p(1 − p): 1 in the middle of a curve of learning, where it is steepest, and near 0 at both ends."""
    return 4.0 * success * (1.0 - success)


def _size(slope: Slope) -> Array:
    """Returns |slope|, of which `FALL` counts for a task that falls although it never went well, shape (n,).

    What was solved by luck seems to be forgotten, for as long as averages remember it.
    """
    xp = slope.value.__array_namespace__()
    size = xp.abs(slope.value)
    return xp.where((_highest(slope) < 0.5) & (slope.value < 0.0), FALL * size, size)


def _highest(slope: Slope) -> Array:
    """Returns the higher one of recent and lasting success, shape (n,)."""
    return slope.value.__array_namespace__().maximum(slope.recent, slope.lasting)


def _headroom(slope: Slope) -> Array:
    """Returns how far each task can change further, in (0, 1], shape (n,): 1 but at the ends of its curve.

    A task at the top goes well and does not clearly fall. A task at the bottom never went well for long and does not
    clearly rise, as after a single success. Long averages remember a change as a slope long after it is over. The end
    at the bottom counts by its root, since what succeeded once may succeed again.
    """
    xp = slope.value.__array_namespace__()
    is_top = (slope.recent > 0.5) & (slope.value > -slope.error)
    highest = _highest(slope)
    is_bottom = (highest < 0.5) & (slope.value < slope.error)
    at_bottom = xp.where(is_bottom, xp.sqrt(_steepness(highest)), 1.0)
    return xp.where(is_top, _steepness(slope.recent), at_bottom)


def _is_solved(columns: Columns) -> Array:
    """Returns whether each task was ever solved, bool, shape (n,)."""
    return columns["slow_ema"] > within(columns["random_baseline"], 0.0, MAX_BASELINE)


class Judgement(NamedTuple):
    """Judgement of noise-aware learning progress on each task, shape (n,) each."""

    priority: Array
    """Priority, at least 0."""
    chance: Array
    """Probability that the task changes and will change further, in (0, 1)."""
    solved: Array
    """1 for an active task that was ever solved, else 0."""


class ProgressProposer:
    """Proposes fresh tasks, and a share drawn among the candidates in proportion to their expected priorities.

    Args:
        expected_priorities: (columns of the pool, params and cells of m candidates) -> priorities ≥ 0, shape (m,).
        share: Expected share of the tasks that are chosen, in [0, 1].
        layout: Layout of the generator's params.
    """

    num_candidates = 8
    """Number of candidates per proposed task."""

    def __init__(
        self, expected_priorities: Callable[[Columns, Params, Array], Array], share: float, layout: Layout
    ) -> None:
        self._expected_priorities = expected_priorities
        self._share = share
        self._layout = layout

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        fresh, others = part_fresh(candidates, n, 1.0 - self._share, rng)
        params = candidates.params[others]
        priorities = np.asarray(self._expected_priorities(columns, params, self._layout.cells(params)), np.float64)
        chosen = others[draw_distinct(priorities, n - len(fresh), rng)]
        return candidates.take(np.concatenate([fresh, chosen]))


def by_progress(config: NoiseAwareConfig, generator: TaskGenerator[Any]) -> Proposer:
    """Returns the proposer of `config`; a generator without axes gets `FreshProposer`."""
    if config.proposal_share == 0.0 or not generator.axes:
        return FreshProposer()
    expected = NoiseAwareAlgorithm(config).expected_priorities
    return ProgressProposer(expected, config.proposal_share, Layout(generator.axes))


def draw_distinct(weights: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws `n` distinct indices in proportion to `weights`, shape (n,); those of weight 0 come last.

    Adds Gumbel noise to the logarithms of the weights. Source: Efraimidis and Spirakis 2006.

    Args:
        weights: At least 0, shape (m,), m ≥ n.
        n: Number of indices.
        rng: Source of randomness.
    """
    is_open = weights > 0.0
    keys = np.where(is_open, np.log(np.where(is_open, weights, 1.0)), -np.inf) + rng.gumbel(size=len(weights))
    return np.argsort(-keys, kind="stable")[:n]
