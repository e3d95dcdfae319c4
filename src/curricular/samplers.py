"""Scores -> probabilities -> draws. Pure: masks instead of filters, uniforms instead of a random generator.

`mask` says which entries are active, shape (n,); probabilities are 0 elsewhere.
"""

import numpy as np
from numpy.typing import NDArray

from .scorers import Array

UNIFORM_BLOCK = 4096
"""Uniform numbers per block of a stream; a multiple of the four words that one Philox step yields."""


def z_score(scores: Array, mask: Array) -> Array:
    """(x − mean) / std over the active entries, shape (n,); 0 where inactive and where all are equal."""
    xp = scores.__array_namespace__()
    active = xp.where(mask, scores, 0.0)
    num_active = xp.sum(xp.astype(mask, xp.float64))
    mean = xp.sum(active) / num_active
    centred = xp.where(mask, active - mean, 0.0)
    std = xp.sqrt(xp.sum(centred * centred) / num_active)
    # Rounding leaves a std of about 1e-17 on equal scores; nothing real is that small beside their mean.
    is_flat = std <= 1e-12 * xp.abs(mean)
    return centred * xp.where(is_flat, 0.0, 1.0 / xp.where(is_flat, 1.0, std))


def softmax(logits: Array, mask: Array, temperature: float) -> Array:
    """The softmax of logits / T over the active entries, of which there is at least one; shape (n,), sum 1. T > 0."""
    xp = logits.__array_namespace__()
    scaled = xp.where(mask, logits * (1.0 / temperature), -xp.inf)
    weights = xp.exp(scaled - xp.max(scaled))
    return weights / xp.sum(weights)


def uniform(mask: Array) -> Array:
    """The same probability for every active entry, shape (n,), sum 1."""
    xp = mask.__array_namespace__()
    weights = xp.astype(mask, xp.float64)
    return weights / xp.sum(weights)


def mix(probabilities: Array, floor: Array, share: float) -> Array:
    """(1 − share) · probabilities + share · floor, shape (n,). `share` in [0, 1]."""
    return (1.0 - share) * probabilities + share * floor


def cumulative(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The running sum that `pick` searches, shape (n,), last entry exactly 1."""
    sums: NDArray[np.float64] = np.cumsum(probabilities)
    sums /= sums[-1]
    return sums


def pick(cumulated: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """The slot that each uniform in [0, 1) falls on, shape of `uniforms`. A slot of probability 0 is never picked."""
    return np.searchsorted(cumulated, uniforms, side="right").astype(np.int64, copy=False)


def stream_key(*entropy: int) -> NDArray[np.uint64]:
    """The key of an independent stream of uniforms, shape (2,), for each distinct tuple of non-negative integers."""
    return np.random.SeedSequence(entropy).generate_state(2, np.uint64).astype(np.uint64, copy=False)


def uniform_block(key: NDArray[np.uint64], index: int) -> NDArray[np.float64]:
    """Block `index` ≥ 0 of the stream `key`: uniforms in [0, 1), shape (UNIFORM_BLOCK,).

    A counter-based generator (Philox: Salmon et al. 2011) makes a stream a function of (key, position), so the state
    of a stream is one integer and any block can be had again.
    """
    bits = np.random.Philox(key=key, counter=index * (UNIFORM_BLOCK // 4))
    return np.random.Generator(bits).random(UNIFORM_BLOCK)
