"""The test suite for task generators."""

import json
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel

from ..curriculum import Curriculum
from ..generators import (
    MutableTaskGenerator,
    TaskGenerator,
    copied,
    dump_task_generator,
    fingerprint,
    load_task_generator,
    single_task,
)
from ..params import Layout
from ..table import (
    MAX_LABEL_BYTES,
    MAX_LABELS,
)
from ..task import Axis, Span, num_params
from .play import play, quick


class GeneratorSuite:
    """Checks that a generator is a pure function of seed and params, whose tasks lie on its axes."""

    num_samples = 500
    """Maximum number of tasks that each test builds."""

    def make_generator(self) -> TaskGenerator[Any]:
        """Returns a new instance of the generator to test. Override this method."""
        raise NotImplementedError("make_generator: expected an override that returns a generator; write it")

    def is_same(self, first: Any, second: Any) -> bool:
        """Returns whether two configurations are equal. Override this method if ``==`` fails, as with arrays."""
        return bool(first == second)

    def make_seeds(self, generator: TaskGenerator[Any]) -> NDArray[np.int64]:
        """Returns the seeds to test, shape (n,), at most `num_samples` of them."""
        num_tasks = generator.num_tasks
        if num_tasks is not None:
            return np.arange(min(num_tasks, self.num_samples))
        return np.random.default_rng(0).integers(2**63 - 1, size=self.num_samples)

    def sample(self, generator: TaskGenerator[Any]) -> list[tuple[int, NDArray[np.float64]]]:
        """Returns pairs of a seed and its read-only params, shape (num_axes,)."""
        seeds = self.make_seeds(generator)
        params = np.asarray(generator.sample(seeds, np.random.default_rng(1)), np.float64)
        assert params.shape == (len(seeds), num_params(generator.axes)), (
            "sample: params of shape (len(seeds), number of columns of the axes)"
        )
        params.flags.writeable = False
        return list(zip(seeds.tolist(), params, strict=True))

    def assert_on_the_axes(self, generator: TaskGenerator[Any], tasks: list[NDArray[np.float64]]) -> None:
        """Each of `tasks`, shape (num_params,), has values that its axes have, and 0 in columns without an axis."""
        layout = Layout(generator.axes)
        for params in tasks:
            named: list[tuple[str, Any]] = []
            assert not self._after(generator.axes, params.tolist(), named), (
                "params: as many columns as the axes have, and 0 in the columns that a branch leaves unused"
            )
            decoded = layout.decode(params)
            assert list(decoded.values()) == [value for _, value in named], (
                "params: each decodes to the value of its axis"
            )
            assert all(key.startswith(name) for key, (name, _) in zip(decoded, named, strict=True)), (
                "axes: a name for each value"
            )

    def _after(self, axes: tuple[Axis, ...], params: list[float], named: list[tuple[str, Any]]) -> list[float]:
        """What of `params` is left after `axes`, whose names and values come first and are added to `named`."""
        for axis in axes:
            param, params = params[0], params[1:]
            if isinstance(axis.values, Span):
                low, high, is_whole = axis.values.bounds
                assert low <= param <= high, (
                    "params: a value of a span lies within its bounds (with log=True, their logarithms)"
                )
                assert not is_whole or param == round(param), (
                    "params: a whole number where both ends of a span are ints"
                )
            else:
                assert param in range(len(axis.values)), "params: a choice is stored as its index into Axis.values"
            value = axis.decode(param)
            if not isinstance(value, Span):  # a span among values: the branch has the value
                named.append((axis.name, value))
            if axis.branches:
                own, params = params[: axis.num_columns - 1], params[axis.num_columns - 1 :]
                assert not any(self._after(axis.branches[int(param)], own, named)), (
                    "params: 0 in the columns that a branch leaves unused"
                )
        return params

    def test_params_lie_on_the_axes(self) -> None:
        generator = self.make_generator()
        self.assert_on_the_axes(generator, [params for _, params in self.sample(generator)])

    def test_what_mutates_stays_on_the_axes(self) -> None:
        generator, again = self.make_generator(), self.make_generator()
        if generator.num_tasks is not None or not isinstance(generator, MutableTaskGenerator):
            pytest.skip("only an endless generator with a mutate can change tasks")
        seeds, params = self.make_seeds(generator), np.array([params for _, params in self.sample(generator)])
        seeds.flags.writeable = params.flags.writeable = False
        mutated = np.asarray(generator.mutate(seeds, params, np.random.default_rng(2)))
        assert mutated.shape == params.shape, "mutate: params of the same shape"
        self.assert_on_the_axes(generator, list(mutated))
        assert isinstance(again, MutableTaskGenerator), "make_generator: a new instance of the same class"
        assert np.array_equal(again.mutate(seeds, params, np.random.default_rng(2)), mutated), (
            "mutate: all chance comes from rng, so that the same stream gives the same params"
        )
        assert generator.mutate(seeds[:0], params[:0], np.random.default_rng(2)).shape == params[:0].shape, (
            "mutate: no tasks in, no tasks out"
        )
        for seed, row in zip(seeds.tolist(), mutated, strict=True):
            assert self.is_same(generator.build(seed, row), again.build(seed, row)), (
                "build: a function of seed and params alone, for mutated params too"
            )
            assert generator.label_of(seed, row) == again.label_of(seed, row), (
                "label_of: a function of seed and params alone, for mutated params too"
            )

    def test_sampling_is_a_function_of_seeds_and_stream(self) -> None:
        generator = self.make_generator()
        first, second = self.sample(generator), self.sample(self.make_generator())
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True)), (
            "sample: all chance comes from rng, so that the same seeds and stream give the same params"
        )
        none = generator.sample(np.empty(0, np.int64), np.random.default_rng(0))
        assert none.shape == (0, num_params(generator.axes)), "sample: no seeds in, no tasks out, with as many columns"
        if generator.num_tasks is not None:
            seeds = self.make_seeds(generator)
            other = generator.sample(seeds[::-1], np.random.default_rng(2))[::-1]
            assert all(np.array_equal(a[1], b) for a, b in zip(first, other, strict=True)), (
                "sample: params of a finite generator follow from the seed, not from rng or the other seeds"
            )

    def test_building_is_pure(self) -> None:
        generator = self.make_generator()
        again: TaskGenerator[Any] = pickle.loads(pickle.dumps(generator))  # noqa: S301  as in another process
        state = repr(np.random.get_state())  # noqa: NPY002  compared below
        built = []
        for seed, params in self.sample(generator):
            config = generator.build(seed, params)
            built.append((config, copied(config)))
            assert self.is_same(config, generator.build(seed, params)), (
                "build: pure, the same seed and params give the same configuration; the chance comes from the seed"
            )
            assert self.is_same(config, again.build(seed, params)), (
                "build: pure, another process gives the same configuration"
            )
        assert all(self.is_same(config, copy) for config, copy in built), (
            "build: a new configuration each time; no later call changes one that was built before"
        )
        is_untouched = repr(np.random.get_state()) == state  # noqa: NPY002
        assert is_untouched, "build: all chance comes from the seed, none from NumPy's global stream"
        assert fingerprint(again) == fingerprint(generator), "fingerprint: survives pickling"

    def test_labels_are_few_and_short(self) -> None:
        generator = self.make_generator()
        labels = {generator.label_of(seed, params) for seed, params in self.sample(generator)}
        assert all(isinstance(label, str) for label in labels), "label_of: a string"
        assert all(len(label.encode()) <= MAX_LABEL_BYTES for label in labels), (
            "label_of: a label is at most MAX_LABEL_BYTES long in UTF-8"
        )
        assert len(labels) < MAX_LABELS, (
            "label_of: few distinct labels, since only the first 63 have separate statistics"
        )

    def test_it_differs_from_other_generators(self) -> None:
        assert fingerprint(self.make_generator()) != fingerprint(single_task("another task")), (
            "fingerprint: differs from that of another generator"
        )

    def test_a_file_brings_it_back(self) -> None:
        generator = self.make_generator()
        if not isinstance(generator, BaseModel):
            pytest.skip("only a pydantic model can be written to a file")
        again = load_task_generator(json.loads(json.dumps(dump_task_generator(generator))))
        assert fingerprint(again) == fingerprint(generator), "fingerprint: survives a file"
        for seed, params in self.sample(generator):
            assert self.is_same(again.build(seed, params), generator.build(seed, params)), (
                "build: a generator from a file builds the same configurations"
            )
            assert again.label_of(seed, params) == generator.label_of(seed, params), (
                "label_of: a generator from a file gives the same labels"
            )

    def test_a_curriculum_runs_with_it(self) -> None:
        generator = self.make_generator()
        config = quick(8 if generator.num_tasks is None else min(8, generator.num_tasks))
        first, second = Curriculum(config, generator), Curriculum(config, self.make_generator())
        assert play(first, 250) == play(second, 250), "pure: two curricula with the same calls hand out the same tasks"
        second.load_state_dict(first.state_dict())
        assert play(first, 250) == play(second, 250), "pure: no memory that a saved state lacks"
        if generator.num_tasks is not None:
            states = first.task_states()
            assert len({state.seed for state in states}) == len(states), (
                "sample: a task of a finite generator is in the pool once"
            )
