"""A bandit over labels: draw labels by the mean regret of their tasks, and the tasks of a label uniformly.

Sources: Chen et al. 2025, *Self-evolving curriculum for LLM reasoning* (SEC), arXiv 2505.14970: softmax of the mean
|advantage|. Wang et al. 2025, *DUMP: automated distribution-level curriculum learning*, arXiv 2504.09710: softmax of
the upper confidence bound of the mean |advantage|.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field

from ..arrays import Array, Columns, group_sizes, group_sums
from ..probabilities import softmax
from ..table import MAX_LABELS
from .floors import FlooredConfig, with_floors
from .protocol import Algorithm


class LabelBanditConfig(FlooredConfig):
    """Settings of a bandit over labels."""

    algorithm: Literal["label_bandit"] = "label_bandit"
    """Tag of the algorithm in files."""
    value: Literal["told", "success"] = "told"
    """Value of a task, averaged over its label: |last regret told|, as from `curricular.regrets.l1_value_loss`; or
    2√(p(1−p)), the mean of a standardised |advantage| at success rate p."""
    exploration: float = Field(default=0.0, ge=0, le=1e6)
    """c of the bonus c·√(2 ln(1 + Σn) / (1 + n)) for a label with n completions of Σn; 0 is SEC, 1 is DUMP."""
    temperature: float = Field(default=0.1, ge=1e-6)
    """Temperature of the softmax over labels, in units of the value. Lower values favour the best labels more."""

    @property
    def needs_regrets(self) -> bool:
        return self.value == "told"

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"label-bandit": partial(cls, value="success"), "label-bandit-told": cls}


class LabelBanditAlgorithm(Algorithm):
    """Draws by p = softmax((mean value + bonus) / temperature) / tasks of the label, and by the reserved shares.

    The softmax is over labels, and the mean value over the tasks of a label that have a result.
    """

    chooses_labels = True

    def __init__(self, config: LabelBanditConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def priorities(self, columns: Columns) -> Array:
        xp = columns["last_regret"].__array_namespace__()
        if self.config.needs_regrets:
            return xp.abs(columns["last_regret"])
        success = columns["success_ema"]
        return 2.0 * xp.sqrt(xp.clip(success * (1.0 - success), 0.0, None))

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active = columns["is_active"]
        xp = active.__array_namespace__()
        counts = columns["num_regrets" if self.config.needs_regrets else "num_completions"]
        # The groups are the labels of tasks without a result, then the labels of tasks with one, then inactive rows.
        labels, is_known = columns["label_index"], xp.astype(counts > 0, xp.int64)
        groups = xp.where(active, labels + MAX_LABELS * is_known, 2 * MAX_LABELS)
        sizes = xp.astype(group_sizes(groups, 2 * MAX_LABELS + 1), xp.float64)
        sums = group_sums((counts, priorities), groups, 2 * MAX_LABELS + 1)
        num_unknown, num_known = sizes[:MAX_LABELS], sizes[MAX_LABELS:-1]
        num_tasks = num_unknown + num_known
        num_results, total = (column[MAX_LABELS:-1] for column in sums)
        values = total / xp.clip(num_known, 1.0, None)
        log = xp.log(1.0 + xp.sum(num_results))
        values = values + self.config.exploration * xp.sqrt(2.0 * log / (1.0 + num_results))
        per_task = softmax(values, num_tasks > 0.0, self.config.temperature) / xp.clip(num_tasks, 1.0, None)
        chosen = xp.take(per_task, labels) * xp.astype(active, xp.float64)
        return with_floors(chosen, columns, self.config)
