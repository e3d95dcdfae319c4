"""The belief about each task's success rate that Thompson sampling and learnability share."""

from pydantic import Field

from ..arrays import Array, Columns
from ..priorities import beta_posterior, position
from .floors import FlooredConfig


class BeliefConfig(FlooredConfig):
    """Settings of a Beta belief about the success rate of each task, and of the reserved shares of the draws."""

    half_life: float | None = Field(default=None, gt=0)
    """Number of results of the whole pool after a task's last one in which the evidence of its results halves. None:
    only further results of the task itself make its earlier ones count less."""
    prior_axis: int | None = Field(default=None, ge=0)
    """Index of the axis of the generator (in a merged set, of the column of params) that holds a success rate known
    beforehand, in [0, 1]; NaN: unknown. None: nothing is known. `Curriculum.set_params` changes the rates."""
    prior_weight: float = Field(default=4.0, gt=0)
    """Number of scores that a rate on `prior_axis` counts as."""


def belief(columns: Columns, config: BeliefConfig, prior: float) -> tuple[Array, Array]:
    """Returns a and b of a belief Beta(a, b) about each task's success rate, shape (capacity,) each.

    Results count as in `beta_posterior`, and fade with `config.half_life`. A rate r on `config.prior_axis`, which does
    not fade, counts as `config.prior_weight` scores of r.

    Args:
        columns: Columns of the pool.
        config: Settings of the belief.
        prior: a and b of a task without results and without a known rate, above 0.
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
    return a, b
