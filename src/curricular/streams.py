"""Random numbers as functions of (key, position): streams and permutations whose state is one integer. Pure."""

import numpy as np
from numpy.typing import NDArray

from .arrays import Array, Columns

UNIFORM_BLOCK = 4096
"""Uniform numbers per block of a stream; a multiple of the four words that one Philox step yields."""


def stream_key(*entropy: int) -> NDArray[np.uint64]:
    """The key of an independent stream of uniforms, shape (2,), for each tuple of integers in [0, 2**64)."""
    words = [word for number in entropy for word in (number & 0xFFFFFFFF, number >> 32)]
    return np.random.SeedSequence([len(words), *words]).generate_state(2, np.uint64).astype(np.uint64, copy=False)


def permuted(key: NDArray[np.uint64], positions: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Where a fixed random permutation of 0 … size − 1 sends `positions`, shape (n,); no more work for a larger one.

    A Feistel network over the next power of four, walked until it is back inside: Black and Rogaway 2002, *Ciphers with
    arbitrary finite domains*, CT-RSA. `size` from 1 to 2**62.
    """
    half = max(1, -(-(size - 1).bit_length() // 2))
    mask = np.uint64((1 << half) - 1)
    shift = np.uint64(half)
    values = positions.astype(np.uint64)
    salts = [np.uint64(int(key[0]) * number + int(key[1]) & 0xFFFFFFFFFFFFFFFF) for number in range(1, 5)]
    outside = np.ones(len(values), np.bool_)
    while outside.any():
        left, right = values[outside] >> shift, values[outside] & mask
        for salt in salts:
            mixed = (right + salt) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        values[outside] = (left << shift) | right
        outside = values >= np.uint64(size)
    return values.astype(np.int64)


def uniform_block(key: NDArray[np.uint64], index: int) -> NDArray[np.float64]:
    """Block `index` ≥ 0 of the stream `key`: uniforms in [0, 1), shape (UNIFORM_BLOCK,).

    A counter-based generator (Philox: Salmon et al. 2011) makes a stream a function of (key, position), so the state
    of a stream is one integer and any block can be had again.
    """
    bits = np.random.Philox(key=key, counter=index * (UNIFORM_BLOCK // 4))
    return np.random.Generator(bits).random(UNIFORM_BLOCK)


def pseudo_uniform(seed: int, *counts: Array) -> Array:
    """A number in (0, 1) for each entry, shape (n,), that follows from `seed` and `counts`: integers ≥ 0, (n,) or (1,).

    The finaliser of SplitMix64 over seed and counts in turn: the same numbers wherever and whenever they are computed,
    but as good as independent of each other. With it, an algorithm that draws stays a pure function of columns.
    Source: Steele et al. 2014, *Fast splittable pseudorandom number generators*, OOPSLA.
    """
    xp = counts[0].__array_namespace__()
    state = xp.asarray(seed % 2**64, dtype=xp.uint64)
    for integers in counts:
        # From here on in place: the array is this function's own.
        state = state ^ xp.astype(integers, xp.uint64)
        state += xp.asarray(0x9E3779B97F4A7C15, dtype=xp.uint64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state ^= xp.bitwise_right_shift(state, xp.asarray(shift, dtype=xp.uint64))
            state *= xp.asarray(factor, dtype=xp.uint64)
        state ^= xp.bitwise_right_shift(state, xp.asarray(31, dtype=xp.uint64))
    top = xp.bitwise_right_shift(state, xp.asarray(12, dtype=xp.uint64))
    return (xp.astype(top, xp.float64) + 0.5) * 2.0**-52


def redrawn_uniform(seed: int, columns: Columns) -> Array:
    """A number in (0, 1) for each task, shape (capacity,), drawn anew with the hand-outs of the pool; inactive too."""
    moments = columns["last_scheduled"]
    xp = moments.__array_namespace__()
    moment = xp.max(xp.where(columns["is_active"], moments, 0), keepdims=True)
    return pseudo_uniform(seed, moment, columns["task_id"])
