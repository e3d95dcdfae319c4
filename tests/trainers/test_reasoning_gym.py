"""Questions of the real Reasoning Gym as tasks."""

import numpy as np
import pytest

pytest.importorskip("reasoning_gym", reason="needs Reasoning Gym: make test-trl")

from curricular import Curriculum, NoiseAwareConfig
from curricular.testing import GeneratorSuite
from curricular.trainers.reasoning_gym import ReasoningGymGenerator, score

NAMES = ["chain_sum", "basic_arithmetic", "letter_counting"]


class TestGenerator(GeneratorSuite):
    def make_generator(self):
        return ReasoningGymGenerator(datasets=NAMES)


def test_higher_levels_ask_for_more():
    generator = ReasoningGymGenerator(datasets=["chain_sum"])
    low, high = (generator.build(3, np.array([0.0, level])) for level in (0.0, 8.0))
    assert high["metadata"]["num_terms"] > low["metadata"]["num_terms"]


@pytest.mark.parametrize("name", NAMES)
def test_the_right_answer_of_each_data_set_scores_one(name):
    generator = ReasoningGymGenerator(datasets=[name])
    entry = generator.build(5, np.array([0.0, 1.0]))
    assert score(entry, entry["answer"]) == 1.0
    assert score(entry, None) == 0.0


def test_a_curriculum_of_questions_has_data_set_and_level_as_params(tmp_path):
    config = NoiseAwareConfig.recommended(num_active_tasks=32, use_shared_memory=False)
    curriculum = Curriculum(config, ReasoningGymGenerator(datasets=NAMES))
    batch = curriculum.ask_batch(8)
    curriculum.save(tmp_path / "saved")
    resumed = Curriculum.load(tmp_path / "saved", ReasoningGymGenerator(datasets=NAMES))
    again = resumed.ask_batch(8)
    assert again.tickets.tolist() == batch.tickets.tolist()
    for task_id in again.task_ids.tolist():
        assert resumed.task(task_id).config == curriculum.task(task_id).config
        assert set(resumed.task(task_id).params) == {"dataset", "level"}


@pytest.mark.parametrize("names", [["no_such_set"], [], "chain_sum"])
def test_data_sets_without_levels_are_refused(names):
    with pytest.raises(ValueError, match="datasets: expected"):
        ReasoningGymGenerator(datasets=names)
