"""`CurriculumConfig`: the settings that all algorithms share. Frozen data: it builds nothing and imports nothing."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

USUAL_MAX_OPEN = 16_384
"""Number of hand-outs with tickets that can be open at a time unless the config sets another one."""

MAX_CAPACITY = 10**8
"""Maximum size of a pool. The table of such a pool takes more than 20 GB."""


class MeanOfFirst(BaseModel):
    """A random baseline that is estimated: the mean of a task's first `num_completions` scores."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", defer_build=True, use_attribute_docstrings=True
    )

    num_completions: int = Field(ge=1, le=10**9)
    """Number of scores to average. More of them estimate the baseline better, but include more learning."""


class Settings(BaseModel):
    """Frozen settings that name the closest field if they are given an unknown one.

    Raises:
        ValidationError: If a name is unknown or a value is wrong.
    """

    # defer_build: an unused config adds nothing to the time of the import.
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    axis_fields: ClassVar[tuple[str, ...]] = ()
    """Names of the settings that hold axes of the generator, each by its index or its name, or settings that do. A
    curriculum replaces names by indices."""

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name in data.keys() - cls.model_fields.keys():
                near = difflib.get_close_matches(str(name), cls.model_fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(cls.model_fields)}"
                raise ValueError(f"{name}: expected a field of {cls.__name__}, got an unknown name; {hint}")
        return data


AxisIndex = Annotated[int, Field(ge=0)]
"""Index of an axis of the generator; in a merged set, of the column of params."""


class CurriculumConfig(Settings):
    """Settings of the pool, of the averages in a row and of eviction. Subclasses add the settings of one algorithm.

    Raises:
        ValidationError: If a name is unknown or a value is wrong.
    """

    rate_fields: ClassVar[tuple[str, ...]] = ()
    """Names of the settings that hold an axis of success rates."""

    num_active_tasks: int | None = Field(default=None, ge=1, le=MAX_CAPACITY)
    """Number of tasks in the pool, the capacity of the table. None: all tasks of a list or of a small finite generator,
    otherwise 256. A larger pool has fewer results per task."""
    num_first_tasks: int | None = Field(default=None, ge=1)
    """Number of tasks in the pool at first, the first ones of a finite generator, for a set of tasks that grows. Then
    `add_tasks` and `remove_tasks` alone change the pool. None: the curriculum fills the pool and replaces tasks."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of task generation and selection. The same seed and the same calls give the same tasks."""
    use_shared_memory: bool = True
    """Whether processes share the table: those of one `session_id`, or without one all copies of this curriculum. With
    False, and on Windows without a `session_id`, the table belongs to this process alone."""
    session_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Name of the session that processes share: at most 100 letters, digits, dots, dashes and underscores."""
    score_range: tuple[float, float] | Literal["observed"] = (0.0, 1.0)
    """Lowest and highest score that can be told. Averages are over scores scaled from this range to [0, 1]. With
    ``"observed"``, the range is that of all scores so far: it widens, and the averages are rescaled exactly."""
    success_threshold: float | None = None
    """Lowest score that counts as a success, in the user's units; None: the middle of `score_range`, which for an
    observed range is its middle when the score is told."""
    random_baseline: float | MeanOfFirst = 0.0
    """Score of a random policy, scaled to [0, 1] and at most 0.75; `MeanOfFirst` estimates it for each task."""
    ema_timescale: float = Field(default=0.1, ge=1e-6, le=1)
    """Rate of the fast average, per completion of a task: it remembers about 1 / rate results. Larger values react
    faster and pass on more noise."""
    slow_timescale_factor: float = Field(default=0.2, ge=1e-3, le=1)
    """Rate of the slow average, as a multiple of `ema_timescale`. Smaller values compare with an older past."""
    min_presentations_for_eviction: int = Field(default=30, ge=1)
    """Number of completions that a task needs before it can be evicted."""
    eviction_threshold_percentile: float = Field(default=0.4, ge=0, le=1)
    """Share of the pool that can be evicted: the tasks of lowest priority."""
    eviction_rate: float = Field(default=0.01, ge=0, le=1)
    """Maximum number of tasks replaced per result or cancellation. 0 keeps the first tasks forever."""
    cover_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the hand-outs that walk over the pool, so that every task is handed out: each walk hands out every task
    once, at random, and skips those handed out since it began. 1 trains in exact epochs, whatever the algorithm."""
    max_open_handouts: int = Field(default=USUAL_MAX_OPEN, ge=1, le=2**24)
    """Number of hand-outs with tickets that can be open at a time, rounded up to a power of two."""
    max_failures: int = Field(default=3, ge=1)
    """Number of cancellations in a row, without a score in between, from which a task counts as unplayable. Such a task
    is drawn at most as often as by uniform choice, and evicted first."""

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if self.score_range != OBSERVED:
            self._check_range(*self.score_range)
        self._check_baseline()
        if self.session_id is not None and not self.use_shared_memory:
            raise ValueError(
                f"session_id: expected None with use_shared_memory=False, got {self.session_id!r}; remove one of the "
                f"two"
            )
        return self

    def _check_range(self, low: float, high: float) -> None:
        if not (low >= -MAX_SCORE and high <= MAX_SCORE and high - low > MIN_WIDTH):
            raise ValueError(
                f"score_range: expected low < high within ±{MAX_SCORE:g}, more than {MIN_WIDTH:g} apart, got "
                f"{self.score_range}; swap the ends, or scale the scores"
            )
        if self.success_threshold is not None and not low <= self.success_threshold <= high:
            raise ValueError(
                f"success_threshold: expected a value within score_range {self.score_range}, "
                f"got {self.success_threshold}; move it into the range"
            )

    def _check_baseline(self) -> None:
        if not isinstance(self.random_baseline, MeanOfFirst) and not 0 <= self.random_baseline <= MAX_BASELINE:
            raise ValueError(
                f"random_baseline: expected a share of score_range from 0 to {MAX_BASELINE}, "
                f"got {self.random_baseline}; lower it or use MeanOfFirst(num_completions=...)"
            )

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        """Returns the presets under which the algorithm is compared, as name -> factory of a config.

        Command lines, bench and test suites use these names. The default is one preset, named after the algorithm.
        """
        return {str(cls.model_fields["algorithm"].default).replace("_", "-"): cls}

    @property
    def pool_size(self) -> int:
        """Number of tasks in the pool: `num_active_tasks`, or 256 if that is None."""
        return USUAL_NUM_TASKS if self.num_active_tasks is None else self.num_active_tasks

    @property
    def slow_rate(self) -> float:
        """Rate of the slow averages, per completion of a task."""
        return self.ema_timescale * self.slow_timescale_factor

    @property
    def rates(self) -> tuple[float, ...]:
        """Falling rates of a row's five averages of the score: fast, three spaced geometrically, slow.

        Examples:
            >>> [round(rate, 4) for rate in CurriculumConfig(ema_timescale=0.2, slow_timescale_factor=0.0625).rates]
            [0.2, 0.1, 0.05, 0.025, 0.0125]
        """
        fast, factor = self.ema_timescale, self.slow_timescale_factor
        return (fast, fast * factor**0.25, fast * factor**0.5, fast * factor**0.75, self.slow_rate)

    @property
    def needs_regrets(self) -> bool:
        """Whether every result must be told with a regret."""
        return False

    @property
    def threshold(self) -> float | None:
        """Lowest score that counts as a success, in the user's units; None: the middle of an observed range."""
        if isinstance(self.score_range, str):
            return self.success_threshold
        return threshold_of(self.success_threshold, self.score_range)


AnyConfigT = TypeVar("AnyConfigT", bound=CurriculumConfig)
SettingsT = TypeVar("SettingsT", bound=Settings)


def changed(settings: SettingsT, **changes: Any) -> SettingsT:
    """Returns `settings` with other values of some fields. Fields that the user did not set stay unset.

    Raises:
        ValidationError: If a name is unknown or a value is wrong.
    """
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return type(settings)(**{**given, **changes})


def threshold_of(declared: float | None, score_range: Sequence[float]) -> float:
    """Returns the lowest score that counts as a success: the `declared` one or else the middle of `score_range`."""
    low, high = score_range
    return (low + high) / 2 if declared is None else declared


OBSERVED = "observed"
"""The `score_range` that stands for the range of all scores so far."""


USUAL_NUM_TASKS = 256
"""Size of the pool if neither the config nor the generator says otherwise."""


MAX_BASELINE = 0.75
"""Upper limit of a random baseline, as a share of the score range; without it, normalising could divide by almost 0."""


MAX_SCORE = 1e100
"""Largest absolute value of a score, so that squares and ranges stay finite."""


MIN_WIDTH = 1e-100
"""Width up to which no range of scores is declared, and the scores of an observed range count as equal, so that a
division by it cannot overflow."""


ROUNDING = 1e-6
"""Tolerance for rounding errors, as a share of the score range: a score may be this far outside the range, or below the
success threshold and still a success."""
