"""docs/statistics.md lists every key of `Curriculum.stats`, and no other."""

import re
from pathlib import Path

import pytest

from curricular import Curriculum, LearningProgressConfig, UniformConfig, merge, single_task
from curricular.table import BUILT_IN_REASONS, MAX_REASONS

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
LABELS = ("reach", "grasp")


def documented_keys() -> set[str]:
    """The first cells of the page's tables: those of one key each."""
    keys = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys)), "a key is documented twice"
    return set(keys)


def given_keys(curriculum: Curriculum) -> set[str]:
    """The keys of `stats`, with the names of labels and reasons replaced by the patterns of the page."""
    keys = {re.sub(rf"^label/({'|'.join(LABELS)})/", "label/<name>/", key) for key in curriculum.stats()}
    return {re.sub(r"^cancelled/.*", "cancelled/<reason>", key) for key in keys}


@pytest.fixture(params=[LearningProgressConfig, UniformConfig])
def curriculum(request):
    generator = merge([single_task(label, label=label) for label in LABELS])
    return Curriculum(request.param(num_active_tasks=2), generator)


def test_every_key_is_documented_and_every_documented_key_is_given(curriculum):
    curriculum.tell([task.task_id for task in curriculum.ask(20)], [1.0] * 20)
    curriculum.cancel([curriculum.get_task().task_id], "the robot fell over")
    assert given_keys(curriculum) == documented_keys()


def test_before_the_first_result_only_averages_are_missing(curriculum):
    missing = documented_keys() - given_keys(curriculum)
    assert given_keys(curriculum) < documented_keys()
    assert {key.split("/")[0] for key in missing} == {"score", "success", "learning_progress", "label", "cancelled"}
    assert {key for key in missing if key.startswith("label/")} == {
        "label/<name>/success",
        "label/<name>/learning_progress",
    }


def test_tasks_without_a_label_have_no_label_keys():
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=4))
    curriculum.tell([task.task_id for task in curriculum.ask(20)], [1.0] * 20)
    assert given_keys(curriculum) == {key for key in documented_keys() if not key.startswith(("label/", "cancelled/"))}


def test_the_numbers_of_reasons_are_those_of_the_table():
    built_in, own = len(BUILT_IN_REASONS), MAX_REASONS - len(BUILT_IN_REASONS)
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"At most {MAX_REASONS} reasons, {words[built_in]} of them built in," in page
    assert f"for the first {own} reasons besides the built-in ones" in " ".join(Curriculum.cancel.__doc__.split())


def test_the_number_of_keys_is_bounded_whatever_the_number_of_labels():
    generator = merge([single_task(number, label=f"label {number}") for number in range(200)])
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=200), generator)
    curriculum.tell(range(200), [1.0] * 200)
    names = {key.split("/")[1] for key in curriculum.stats() if key.startswith("label/")}
    assert len(names) == 64
    assert "(other)" in names
