"""Prioritised level replay inside `jax.jit`: scores, draws and learning of 100 rounds are one call, on the device.

A level is a corridor with a start and a probability to slip. The agent is a table of values that all levels share, so
it learns from the goal outward. The columns of the pool live on the device; the curriculum gets all results of a call
together, for statistics and checkpoints, and the draws of the device count there as unsolicited.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from curricular import Curriculum, PrioritizedLevelReplayConfig

NUM_CELLS, NUM_MOVES = 17, 32  # the goal is the last cell
LEVELS = [{"start": start, "slip": slip} for start in range(16) for slip in (0.0, 0.1, 0.2, 0.3)]
NUM_LANES, NUM_ROUNDS = 16, 100
LEARNING_RATE, DISCOUNT, RANDOM_SHARE = 0.1, 0.95, 0.2

Columns = Mapping[str, Any]


def new_columns(capacity: int) -> dict[str, np.ndarray]:
    """Returns what level replay reads of a new pool: one entry per slot."""
    counts = {name: np.zeros(capacity, np.int64) for name in ("num_regrets", "last_scheduled")}
    return {**counts, "last_regret": np.zeros(capacity), "is_active": np.ones(capacity, np.bool_)}


def draw(algorithm: Any, columns: Columns, uniforms: Any) -> Any:
    """Returns the slot that each uniform in [0, 1) selects. On NumPy and JAX alike."""
    probabilities = algorithm.probabilities(columns, algorithm.priorities(columns))
    xp = probabilities.__array_namespace__()
    cumulated = xp.cumulative_sum(probabilities)
    return xp.searchsorted(cumulated / cumulated[-1], uniforms, side="right")


def record(columns: Columns, slots: Any, regrets: Any) -> dict[str, Any]:
    """Returns the columns after episodes of these slots, in this order. On NumPy and JAX alike."""
    xp = regrets.__array_namespace__()
    is_drawn = slots[:, None] == xp.arange(columns["is_active"].shape[0])
    latest = xp.max(xp.where(is_drawn, xp.arange(1, slots.shape[0] + 1)[:, None], 0), axis=0)  # 0: not drawn
    total = xp.sum(columns["num_regrets"])
    return {
        **columns,
        "num_regrets": columns["num_regrets"] + xp.sum(is_drawn, axis=0),
        "last_scheduled": xp.where(latest > 0, total + latest, columns["last_scheduled"]),
        "last_regret": xp.where(latest > 0, regrets[latest - 1], columns["last_regret"]),
    }


def play(values: jax.Array, starts: jax.Array, slips: jax.Array, key: jax.Array) -> tuple[jax.Array, ...]:
    """Plays an episode in every lane. Returns the new values, the scores and the regrets: positive value losses."""

    def move(carry: tuple, key: jax.Array) -> tuple:
        values, cells, is_over, sums = carry
        random, slip, tie = jax.random.uniform(key, (3, NUM_LANES))
        greedy = jnp.where(tie < 0.5, values[cells, 1] >= values[cells, 0], values[cells, 1] > values[cells, 0])
        actions = jnp.where(random < RANDOM_SHARE, random < RANDOM_SHARE / 2, greedy).astype(jnp.int64)
        steps = jnp.where(slip < slips, 1 - actions, actions) * 2 - 1
        following = jnp.clip(cells + steps, 0, NUM_CELLS - 1)
        is_goal = following == NUM_CELLS - 1
        targets = jnp.where(is_goal, 1.0, DISCOUNT * values[following].max(axis=1))
        errors = jnp.where(is_over, 0.0, targets - values[cells, actions])
        values = values.at[cells, actions].add(LEARNING_RATE * errors / NUM_LANES)
        sums = sums + jnp.maximum(errors, 0.0)
        return (values, jnp.where(is_over, cells, following), is_over | is_goal, sums), ~is_over

    start = values, starts, jnp.zeros(NUM_LANES, bool), jnp.zeros(NUM_LANES)
    (values, _, is_over, sums), is_played = jax.lax.scan(move, start, jax.random.split(key, NUM_MOVES))
    return values, is_over.astype(jnp.float64), sums / is_played.sum(axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains a table of values with level replay on the device.")
    parser.add_argument("--calls", type=int, default=10, help=f"calls of {NUM_ROUNDS} rounds of {NUM_LANES} episodes")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)  # the counts are int64

    curriculum = Curriculum(LEVELS, PrioritizedLevelReplayConfig(num_active_tasks=len(LEVELS), eviction_rate=0))
    task_ids = curriculum.tasks()["task_id"]
    configs = [curriculum.task(int(task_id)).config for task_id in task_ids]
    starts, slips = (jnp.asarray([config[name] for config in configs]) for name in ("start", "slip"))

    def round_of(state: tuple, key: jax.Array) -> tuple:
        columns, values = state
        draw_key, play_key = jax.random.split(key)
        slots = draw(curriculum.algorithm, columns, jax.random.uniform(draw_key, (NUM_LANES,)))
        values, scores, regrets = play(values, starts[slots], slips[slots], play_key)
        return (record(columns, slots, regrets), values), (slots, scores, regrets)

    @jax.jit
    def rounds(state: tuple, key: jax.Array) -> tuple:
        return jax.lax.scan(round_of, state, jax.random.split(key, NUM_ROUNDS))

    state = jax.device_put((new_columns(len(LEVELS)), np.zeros((NUM_CELLS, 2))))
    for key in jax.random.split(jax.random.key(0), options.calls):
        with jax.transfer_guard("disallow"):  # nothing goes to the device or comes back within the 100 rounds
            state, results = rounds(state, key)
        slots, scores, regrets = (np.asarray(result).ravel() for result in results)
        curriculum.tell(task_ids[slots], scores, regrets=regrets)
        stats = curriculum.stats()
        share = np.mean([configs[slot]["start"] >= 8 for slot in slots])
        print(
            f"{stats['num_completed']:.0f} episodes, success {scores.mean():.0%}, near half of the levels {share:.0%}"
        )


if __name__ == "__main__":
    main()
