"""What the tests compare with: a slow and obvious model of the table, one event at a time, and a test of fit."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from curricular.rows import RECENT_SCORES
from curricular.table import CANCELLED, EMAS, NO_FAILURE, SCHEDULED, TOLD_WITH_REGRET, Estimator

from .helpers import balance


def distribution(algorithm, columns):
    """What `algorithm` makes of `columns` in the end."""
    return algorithm.probabilities(columns, algorithm.priorities(columns))


def evictable(algorithm, columns, config=None):
    """Which tasks `algorithm` lets go."""
    return algorithm.evictable(columns, algorithm.priorities(columns), config or algorithm.config)


COUNTS = ("num_scheduled", "num_completed", "num_cancelled", "num_stale", "num_unsolicited", "num_evicted")


@dataclass
class Row:
    task_id: int
    num_completions: int = 0
    num_scheduled: int = 0
    num_cancelled: int = 0
    num_failures: int = 0
    num_pending: int = 0
    num_orphans: int = 0
    last_scheduled: int = 0
    last_completed: int = 0
    num_regrets: int = 0
    fast_ema: float = 0.0
    middle_ema_1: float = 0.0
    middle_ema_2: float = 0.0
    middle_ema_3: float = 0.0
    slow_ema: float = 0.0
    mean_square: float = 0.0
    success_ema: float = 0.0
    random_baseline: float = 0.0
    last_score: float = 0.0
    recent_scores_1: int = 0
    recent_scores_2: int = 0
    recent_scores_3: int = 0
    last_regret: float = 0.0

    def learn(self, score, regret, estimator: Estimator):
        m = (score - estimator.score_low) / estimator.score_scale
        if self.num_completions < estimator.num_baseline_samples:
            self.random_baseline += (m - self.random_baseline) / (self.num_completions + 1)
        is_success = float(score >= estimator.success_threshold - 1e-6 * estimator.score_scale)
        slow = estimator.rates[-1]
        for name, value, rate in (
            *((name, m, rate) for name, rate in zip(EMAS, estimator.rates, strict=True)),
            ("mean_square", m * m, slow),
            ("success_ema", is_success, slow),
        ):
            step = rate / (1 - (1 - rate) ** (self.num_completions + 1))
            old = getattr(self, name)
            setattr(self, name, old + step * (value - old))
        self.num_completions += 1
        self.num_failures = 0
        self.last_score = m
        words = (self.recent_scores_1, self.recent_scores_2, self.recent_scores_3)
        history = b"".join(word.to_bytes(8, signed=True) for word in words)[2:] + round(m * 65535).to_bytes(2)
        for i, name in enumerate(RECENT_SCORES):
            setattr(self, name, int.from_bytes(history[8 * i : 8 * i + 8], signed=True))
        if regret is not None:
            self.last_regret = regret
            self.num_regrets += 1


@dataclass
class Model:
    rows: list[Row]
    estimator: Estimator
    num_scheduled: int = 0
    num_completed: int = 0
    num_cancelled: int = 0
    num_stale: int = 0
    num_unsolicited: int = 0
    num_evicted: int = 0
    first_generation: int = 0

    @classmethod
    def new(cls, capacity, estimator):
        rows = [Row(slot, random_baseline=estimator.random_baseline) for slot in range(capacity)]
        return cls(rows, estimator)

    @property
    def num_pending(self):
        return sum(row.num_pending + row.num_orphans for row in self.rows)

    def event(self, task_id, kind, score=0.0, regret=0.0):
        row = self.rows[task_id % len(self.rows)]
        is_current = task_id == row.task_id
        pending = "num_pending" if is_current else "num_orphans"
        if kind == SCHEDULED:
            self.num_scheduled += 1
            setattr(row, pending, getattr(row, pending) + 1)
            if is_current:
                row.num_scheduled += 1
                row.last_scheduled = self.num_scheduled
            return
        if getattr(row, pending):
            setattr(row, pending, getattr(row, pending) - 1)
        else:
            self.num_unsolicited += 1
        if kind == CANCELLED:
            self.num_cancelled += 1
            row.num_cancelled += is_current
            row.num_failures += is_current and regret != NO_FAILURE
        elif is_current:
            self.num_completed += 1
            row.last_completed = self.num_completed
            row.learn(score, regret if kind == TOLD_WITH_REGRET else None, self.estimator)
        else:
            self.num_stale += 1

    def replace(self, slot):
        """Eviction: a successor in `slot`."""
        old = self.rows[slot]
        self.num_evicted += 1
        self.rows[slot] = Row(
            max(old.task_id + len(self.rows), slot + len(self.rows) * self.first_generation),
            num_orphans=old.num_pending + old.num_orphans,
            last_scheduled=self.num_scheduled,
            random_baseline=self.estimator.random_baseline,
        )

    def copy(self):
        return deepcopy(self)

    def check(self, rows, counters, approx):
        """Compares with the rows and counters of a table."""
        for name in COUNTS:
            assert getattr(counters, name) == getattr(self, name), name
        assert counters.num_pending == self.num_pending
        assert balance(counters._asdict()) == 0
        for name in Row.__dataclass_fields__:
            expected = [getattr(row, name) for row in self.rows]
            assert rows[name].tolist() == (expected if name in RECENT_SCORES else approx(expected)), name


def fits(counts, probabilities):
    """Whether `counts` can be draws with `probabilities`: Pearson's chi-square, at one false alarm in 10,000.

    Its quantile by Wilson and Hilferty 1931: (χ²/k)^(1/3) is nearly normal with mean 1 − 2/9k and variance 2/9k.
    """
    counts, expected = np.asarray(counts), np.asarray(probabilities) * np.sum(counts)
    assert (counts[expected == 0] == 0).all()
    counts, expected = counts[expected > 0], expected[expected > 0]
    degrees = len(counts) - 1
    chi_square = ((counts - expected) ** 2 / expected).sum()
    spread = 2 / (9 * degrees)
    return ((chi_square / degrees) ** (1 / 3) - (1 - spread)) / spread**0.5 < 3.72
