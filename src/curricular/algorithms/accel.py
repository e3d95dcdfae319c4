"""ACCEL: prioritised level replay whose new levels are, for a part, small changes of levels already met.

Source: Parker-Holder et al. 2022, *Evolving curricula with regret-based environment design*, arXiv 2203.01302; written
from the paper. What is drawn and what goes is as in prioritised level replay; what comes is in `proposers.mutations`.
"""

from typing import Literal

from pydantic import Field

from .prioritized_level_replay import PrioritizedLevelReplayConfig


class AccelConfig(PrioritizedLevelReplayConfig):
    """Settings of ACCEL. The generator has to be endless and has to have a `mutate`."""

    algorithm: Literal["accel"] = "accel"  # type: ignore[assignment]  # the tag that tells the two apart in files
    mutation_share: float = Field(default=0.8, ge=0, le=1)
    """Share of the new levels that are changes of levels met before; the rest is as the generator gives them."""
    num_contenders: int = Field(default=1, ge=1)
    """Levels drawn by replay for each change, of which the one of the highest success rate is changed. The paper
    changes easy levels of low regret, which is to say more than 1."""
    num_edits: int = Field(default=1, ge=1)
    """Steps from a level to the one made of it: calls of the generator's `mutate`."""
    min_presentations_for_eviction: int = Field(default=10, ge=1)
    """Completions that a level needs before it may go."""
    eviction_rate: float = Field(default=0.1, ge=0, le=1)
    """Levels replaced per result, at the most."""
