"""Every number that a config accepts gives a valid distribution, up to the ends of its range."""

import math
import typing

import annotated_types
import numpy as np
import pytest
from pydantic import ValidationError

from curricular import Curriculum, MeanOfFirst, Span, bucketed
from curricular.algorithms.registry import load_config, variants

TASKS = bucketed({"size": 0.0, "kind": "a"}, {"size": Span(0.0, 1.0), "kind": ["a", "b", "c"]})
SETTINGS = [
    *({"random_baseline": MeanOfFirst(num_completions=number)} for number in (1, 10**9)),
    *({"algorithm": "weighted", "weights": [weight] * 4} for weight in (0.0, 5e-324, 1.7e308)),
    *({"algorithm": "target_schedule", "stop": stop, "num_tasks": 100} for stop in (-1e100, [1e100])),
    *({"algorithm": "target_schedule", "stop": 1, "num_tasks": 9, "width": width} for width in (1e-50, 1e100)),
    *({"algorithm": "sequential", "stages": [{"success": 0.5, "min_completions": n}]} for n in (1, 10**30)),
    *({"algorithm": "sequential", "stages": [{"success": 0.5, "max_completions": n}]} for n in (20, 10**30)),
]

SIZES = {"num_active_tasks", "num_first_tasks", "max_open_handouts"}
"""Fields whose upper ends take more memory than a test has."""


def ends(field):
    """Returns the numbers at the ends of the range of a field; without an end, numbers that no field should need."""
    kinds = {field.annotation, *typing.get_args(field.annotation)} & {int, float}
    if not kinds:
        return []
    is_whole = kinds == {int}
    low, high = [-(10**30)] if is_whole else [-1.7e308], [10**30, 2**63 - 1] if is_whole else [1.7e308]
    for limit in field.metadata:
        match limit:
            case annotated_types.Ge(ge):
                low = [ge]
            case annotated_types.Gt(gt):
                low = [math.nextafter(gt, math.inf)]
            case annotated_types.Le(le):
                high = [le]
            case annotated_types.Lt(lt):
                high = [lt - 1 if is_whole else math.nextafter(lt, -math.inf)]
    return [*low, *high]


CASES = [
    (name, field, end)
    for name, factory in variants().items()
    for field, info in type(factory()).model_fields.items()
    if field not in SIZES and "axis" not in field
    for end in ends(info)
]


@pytest.mark.parametrize(("name", "field", "end"), CASES)
def test_a_distribution_follows_from_the_ends_of_every_range(name, field, end):
    try:
        config = variants()[name](**{"use_shared_memory": False, "num_active_tasks": 16, field: end})
    except ValidationError as error:
        assert field in str(error)  # noqa: PT017  only some of the numbers are refused
        return
    check(config)


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_distribution_follows_from_extreme_numbers_in_lists(settings):
    fields = {"algorithm": "uniform", "use_shared_memory": False, "num_active_tasks": 16, **settings}
    check(load_config(fields))


def check(config):
    with Curriculum(config, TASKS) as curriculum:
        for _ in range(4):
            ids = [task.task_id for task in curriculum.ask(40)]
            regrets = np.linspace(-1.0, 1.0, 40) if config.needs_regrets else None
            curriculum.tell(ids, np.arange(40) % 4 / 3, regrets=regrets)
        assert np.isfinite(list(curriculum.stats().values())).all()
        assert curriculum.probabilities().sum() == pytest.approx(1.0)
