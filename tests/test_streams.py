"""Streams and permutations: every integer counts, nothing comes twice."""

import re
from pathlib import Path

import numpy as np
import pytest

import curricular
from curricular.streams import Purpose, permuted, stream_key


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 1000, 4097])
def test_a_permutation_hits_everything_once(size):
    image = permuted(stream_key(1), np.arange(size), size)
    assert sorted(image.tolist()) == list(range(size))


def test_permutations_differ_by_key_and_look_random():
    first, second = (permuted(stream_key(seed), np.arange(10_000), 10_000) for seed in (1, 2))
    assert (first == second).mean() < 0.01
    assert abs(np.corrcoef(first, np.arange(10_000))[0, 1]) < 0.05
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.05
    starts = np.bincount([permuted(stream_key(seed), np.arange(1), 8)[0] for seed in range(4000)], minlength=8)
    assert ((starts - 500) ** 2 / 500).sum() < 24.3  # chi-square, 7 degrees of freedom, p = 0.001


def test_keys_differ_by_every_integer_and_by_their_number():
    tuples = [(3,), (3, 0), (0, 3), (3, 0, 0), (3, 1, 0), (3 + 2**32, 0), (3, 2**32)]
    assert len({stream_key(*numbers).tobytes() for numbers in tuples}) == len(tuples)


def test_each_purpose_has_a_number_of_its_own_under_which_no_stream_is_that_of_another():
    assert {name: member.value for name, member in Purpose.__members__.items()} == {
        "SELECTION": 0,
        "GENERATION": 1,
        "ORDER": 2,
        "WALK": 3,
        "EVALUATION": 4,
    }
    keys = {stream_key(seed, purpose, count).tobytes() for seed in (0, 1) for purpose in Purpose for count in (0, 1)}
    assert len(keys) == 2 * len(Purpose) * 2


def test_no_other_module_numbers_a_stream():
    """A key is (seed, purpose, …): where a module made up the number itself, two could make up the same."""
    sources = {path: path.read_text(encoding="utf-8") for path in Path(curricular.__file__).parent.rglob("*.py")}
    keyed = re.compile(r"(?:stream_key|default_rng|Turn)\((?:\()?\w*(?:self\.)?_?seed, (\w+)")
    found = {(path.stem, word) for path, text in sources.items() for word in keyed.findall(text)}
    assert found == {
        ("admission", "Purpose"),
        ("coverage", "Purpose"),
        ("draws", "Purpose"),
        ("evaluation", "Purpose"),
    }
