"""`CurriculumConfig`: what every way of choosing tasks shares. Frozen data: it builds nothing and imports nothing."""

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_BASELINE = 0.75
"""A random baseline above this share of the score range is capped, so that normalising never divides by nearly 0."""


ROUNDING = 1e-6
"""Share of the score range by which a score may lie beyond it, or below the success threshold: rounding, forgiven."""


class MeanOfFirst(BaseModel):
    """Random baseline = mean of a task's first `num_completions` scores."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    num_completions: int = Field(ge=1)


class CurriculumConfig(BaseModel):
    """Settings of the pool, of the estimates in a row and of eviction. Subclasses add those of one algorithm."""

    # defer_build: a config that nobody makes costs an import nothing.
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    num_active_tasks: int = Field(default=256, ge=1)
    """Tasks in the pool at a time: the capacity of the table."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of generation and selection. Same seed and same calls give the same tasks."""
    use_shared_memory: bool = True
    """Whether processes share the table: those of one `session_id`, or else all copies of one curriculum. False keeps
    it in this process, as it is on Windows without a `session_id`."""
    session_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Name of the session that processes share; letters, digits, dot, dash and underscore, at most 100."""
    score_range: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest score that can be told. Scores are scaled to [0, 1] by it."""
    success_threshold: float | None = None
    """Scores from here on count as success, in the score's units; None: the middle of `score_range`."""
    random_baseline: float | MeanOfFirst = 0.0
    """What a random policy scores, scaled to [0, 1] by `score_range` and at most 0.75; or `MeanOfFirst(k)`."""
    ema_timescale: float = Field(default=0.1, ge=1e-6, le=1)
    """Rate of the fast average, per completion of a task: about 1 / rate results are remembered."""
    slow_timescale_factor: float = Field(default=0.2, ge=1e-3, le=1)
    """Rate of the slow average = this times `ema_timescale`."""
    min_presentations_for_eviction: int = Field(default=30, ge=1)
    """Completions that a task needs before it may be evicted."""
    eviction_threshold_percentile: float = Field(default=0.4, ge=0, le=1)
    """Only tasks in this lowest share of scores may be evicted."""
    eviction_rate: float = Field(default=0.01, ge=0, le=1)
    """Tasks replaced per result, at the most. 0 keeps the first pool for ever."""

    max_failures: int = Field(default=3, ge=1)
    """Cancellations in a row, without a score in between, after which a task counts as one that cannot be played: it
    is drawn at most as often as by uniform choice, and evicted first."""

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name in data.keys() - cls.model_fields.keys():
                near = difflib.get_close_matches(str(name), cls.model_fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"fields are {', '.join(cls.model_fields)}"
                raise ValueError(f"{name}: expected a field of {cls.__name__}, got an unknown name; {hint}")
        return data

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        low, high = self.score_range
        if not 0 < high - low < math.inf:
            raise ValueError(
                f"score_range: expected low < high, a finite distance apart, got {self.score_range}; "
                f"swap or move the ends"
            )
        if self.success_threshold is not None and not low <= self.success_threshold <= high:
            raise ValueError(
                f"success_threshold: expected a value within score_range {self.score_range}, "
                f"got {self.success_threshold}; move it inside"
            )
        if not isinstance(self.random_baseline, MeanOfFirst) and not 0 <= self.random_baseline <= MAX_BASELINE:
            raise ValueError(
                f"random_baseline: expected a share of score_range from 0 to {MAX_BASELINE}, "
                f"got {self.random_baseline}; lower it or use MeanOfFirst(k)"
            )
        if self.session_id is not None and not self.use_shared_memory:
            raise ValueError(
                f"session_id: expected None with use_shared_memory=False, got {self.session_id!r}; drop one of the two"
            )
        return self

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        """Returns name -> factory of a config: under which names, and with which settings, the algorithm is compared.

        Command lines, bench and test suites know these names. By default there is one, the tag of the algorithm.
        """
        return {str(cls.model_fields["algorithm"].default).replace("_", "-"): cls}

    @property
    def slow_rate(self) -> float:
        """Rate of the slow averages, per completion of a task."""
        return self.ema_timescale * self.slow_timescale_factor

    @property
    def rates(self) -> tuple[float, ...]:
        """Rates of a row's five averages of the score: the fast one, three between, spaced geometrically, the slow one.

        >>> [round(rate, 4) for rate in CurriculumConfig(ema_timescale=0.2, slow_timescale_factor=0.0625).rates]
        [0.2, 0.1, 0.05, 0.025, 0.0125]
        """
        fast, factor = self.ema_timescale, self.slow_timescale_factor
        return (fast, fast * factor**0.25, fast * factor**0.5, fast * factor**0.75, self.slow_rate)

    @property
    def needs_regrets(self) -> bool:
        """Whether every result has to be told with a regret."""
        return False

    @property
    def threshold(self) -> float:
        """The score from which on a result is a success, in the score's units."""
        low, high = self.score_range
        return (low + high) / 2 if self.success_threshold is None else self.success_threshold
