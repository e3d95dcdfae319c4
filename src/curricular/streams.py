"""Random numbers as functions of (key, position): the state of a stream or permutation is one integer. Pure."""

from enum import IntEnum, unique

import numpy as np
from numpy.typing import NDArray

from .arrays import Array, Columns

UNIFORM_BLOCK = 4096
"""Number of uniforms in a block of a stream; a multiple of the four words of one Philox step."""


@unique
class Purpose(IntEnum):
    """The use of a stream or permutation: with the seed in the key, it makes those of one seed independent."""

    SELECTION = 0
    """The draws of tasks from a pool."""
    GENERATION = 1
    """The samples of the generator, and the choices of the proposer."""
    ORDER = 2
    """The order in which the tasks of a finite generator enter a pool."""
    WALK = 3
    """The order of the walks over a pool."""
    EVALUATION = 4
    """The choice of evaluation tasks."""


def stream_key(*entropy: int) -> NDArray[np.uint64]:
    """Returns the key of a stream of uniforms, shape (2,).

    Args:
        entropy: Integers in [0, 2**64). Different tuples give independent streams.
    """
    words = [word for number in entropy for word in (number & 0xFFFFFFFF, number >> 32)]
    return np.random.SeedSequence([len(words), *words]).generate_state(2, np.uint64).astype(np.uint64, copy=False)


def permuted(key: NDArray[np.uint64], positions: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Returns the images of `positions` under a fixed random permutation of 0 … size − 1, shape (n,).

    The cost per position does not depend on `size`: a Feistel network over the next power of four is applied until
    the result is below `size`. Source: Black and Rogaway 2002, *Ciphers with arbitrary finite domains*, CT-RSA.

    Args:
        key: Key of the permutation, as from `stream_key`, shape (2,).
        positions: In 0 … size − 1, shape (n,).
        size: 1 … 2**62.
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
    """Returns block `index` ≥ 0 of the stream `key`: uniforms in [0, 1), shape (UNIFORM_BLOCK,).

    A counter-based generator (Philox: Salmon et al. 2011) computes any block from the key and the index alone.
    """
    bits = np.random.Philox(key=key, counter=index * (UNIFORM_BLOCK // 4))
    return np.random.Generator(bits).random(UNIFORM_BLOCK)


def pseudo_uniform(seed: int, *counts: Array) -> Array:
    """Returns a hash in (0, 1) of `seed` and `counts` for each entry, shape (n,).

    Applies the finaliser of SplitMix64 to the seed and each count in turn. The hashes are the same in every process
    and pass for independent uniforms, so an algorithm that draws stays a pure function of columns.
    Source: Steele et al. 2014, *Fast splittable pseudorandom number generators*, OOPSLA.

    Args:
        seed: Any integer.
        counts: Integers ≥ 0, shape (n,) or (1,).
    """
    xp = counts[0].__array_namespace__()
    state = xp.asarray(seed % 2**64, dtype=xp.uint64)
    for integers in counts:
        # The xor makes a new array, which may be changed in place.
        state = state ^ xp.astype(integers, xp.uint64)
        state += xp.asarray(0x9E3779B97F4A7C15, dtype=xp.uint64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state ^= xp.bitwise_right_shift(state, xp.asarray(shift, dtype=xp.uint64))
            state *= xp.asarray(factor, dtype=xp.uint64)
        state ^= xp.bitwise_right_shift(state, xp.asarray(31, dtype=xp.uint64))
    top = xp.bitwise_right_shift(state, xp.asarray(12, dtype=xp.uint64))
    return (xp.astype(top, xp.float64) + 0.5) * 2.0**-52


def redrawn_uniform(seed: int, columns: Columns) -> Array:
    """Returns a uniform in (0, 1) for each task, active or not, shape (capacity,).

    Hashes of the seed, the slot and the number of hand-outs so far: they change as the pool hands out tasks. Ids would
    differ after a load.
    """
    last_scheduled = columns["last_scheduled"]
    xp = last_scheduled.__array_namespace__()
    num_scheduled = xp.max(xp.where(columns["is_active"], last_scheduled, 0), keepdims=True)
    return pseudo_uniform(seed, num_scheduled, xp.arange(last_scheduled.shape[0]))
