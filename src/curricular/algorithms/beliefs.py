"""The belief about each task's success rate that Thompson sampling and learnability share."""

from typing import ClassVar

from pydantic import Field

from ..arrays import Array, Columns, group_sums
from ..config import AxisIndex
from ..priorities import beta_posterior, effective_count, position
from .floors import FlooredConfig
from .groups import axis_groups

GROUP_HALF = 40.0
"""Number of scores at which the success rate of a group counts half, and that of the pool the other half."""

RECENCY = 4
"""Exponent of recency. A task whose last result came after four fifths of all results has the weight 0.8⁴ = 0.4."""


class BeliefConfig(FlooredConfig):
    """Settings of a Beta belief about the success rate of each task, and of the reserved shares of the draws."""

    axis_fields: ClassVar[tuple[str, ...]] = ("prior_axis",)
    rate_fields: ClassVar[tuple[str, ...]] = ("prior_axis",)

    half_life: float | None = Field(default=None, ge=1e-6)
    """Number of results of the whole pool after a task's last one in which the evidence of its results halves. None:
    only further results of the task itself make its earlier ones count less."""
    prior_axis: AxisIndex | str | None = None
    """Name or index of the axis of the generator (in a merged set, index of the column of params) that holds a success
    rate known beforehand, in [0, 1]; NaN: unknown. None: nothing is known. `Curriculum.set_params` changes the
    rates."""
    prior_weight: float = Field(default=4.0, ge=1e-9, le=1e6)
    """Number of scores that a rate on `prior_axis` counts as."""
    sharing: bool = False
    """Whether a new task is believed to succeed as often as the tasks with the same values on the generator's axes; if
    not, half of the time. Ignores `prior_axis`, and axes that only some tasks of a merged set have."""


def belief(columns: Columns, config: BeliefConfig, prior: float) -> tuple[Array, Array]:
    """Returns a and b of a belief Beta(a, b) about each task's success rate, shape (capacity,) each.

    Results count as in `beta_posterior`, and fade with `config.half_life`. A rate r on `config.prior_axis`, which does
    not fade, counts as `config.prior_weight` scores of r.

    Args:
        columns: Columns of the pool.
        config: Settings of the belief.
        prior: a and b of a task without results, without a known rate and without sharing, above 0.
    """
    a, b = beta_posterior(columns, config, prior)
    xp = a.__array_namespace__()
    if config.half_life is not None:
        last = columns["last_completed"]
        age = xp.max(xp.where(columns["is_active"], last, 0)) - last
        fade = 0.5 ** (xp.astype(xp.clip(age, 0, None), xp.float64) * (1.0 / config.half_life))
        a, b = prior + fade * (a - prior), prior + fade * (b - prior)
    if config.prior_axis is not None:
        rates = position(columns, config.prior_axis)
        is_known = xp.isfinite(rates)
        weights = xp.where(is_known, config.prior_weight, 0.0)
        rates = xp.clip(xp.where(is_known, rates, 0.0), 0.0, 1.0)
        a, b = a + weights * rates, b + weights * (1.0 - rates)
    if config.sharing:
        shift = prior * (2.0 * shared_rates(columns, config) - 1.0)
        a, b = a + shift, b - shift
    return a, b


def shared_rates(columns: Columns, config: BeliefConfig) -> Array:
    """Returns the success rate that the results of other tasks predict for each task, in (0, 1), shape (capacity,).

    The log-odds of the pool's success rate, plus, for each axis, by how much the tasks with the same value differ from
    it. Late results count more, since the agent has learned meanwhile.

    Args:
        columns: Columns of the pool.
        config: Settings of the belief.
    """
    last = columns["last_completed"]
    xp = last.__array_namespace__()
    active = xp.astype(columns["is_active"], xp.float64)
    progress = xp.astype(last, xp.float64) * active
    weights = active * effective_count(columns["num_completions"], config.slow_rate)
    weights = weights * (progress / xp.clip(xp.max(progress), 1.0, None)) ** RECENCY
    successes = weights * columns["success_ema"]
    overall = (xp.sum(successes) + 0.5) / (xp.sum(weights) + 1.0)
    log_odds = xp.zeros(last.shape[0]) + _logit(overall)
    groups, num_groups = axis_groups(columns)
    for axis, group in enumerate(groups):
        if axis != config.prior_axis:
            count, hits = group_sums([weights, successes], group, num_groups)
            rates = (hits + GROUP_HALF * overall) / (count + GROUP_HALF)
            log_odds = log_odds + xp.take(_logit(rates) - _logit(overall), group)
    return 1.0 / (1.0 + xp.exp(-log_odds))


def _logit(rates: Array) -> Array:
    """Returns the log-odds of rates, which are limited to 0.001 … 0.999."""
    xp = rates.__array_namespace__()
    limited = xp.clip(rates, 1e-3, 1.0 - 1e-3)
    return xp.log(limited / (1.0 - limited))
