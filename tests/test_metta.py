"""`curricular.metta` and the import path of the reference document: names of Metta's API that mean the same here."""

import numpy as np
import pytest
from pydantic import BaseModel, model_validator

import curricular
import metta.cogworks.curriculum as cc
from curricular.generators import fingerprint

ARENA = {"label": "arena", "size": 10, "rewards": {}, "laser": 1}


def local(**kwargs):
    return cc.UniformConfig(use_shared_memory=False, **kwargs)


def test_buckets_are_added_one_by_one():
    tasks = cc.bucketed(ARENA)
    for item in ["iron", "armor"]:
        tasks.add_bucket(f"rewards.{item}", [0, 0.5, 1.0])
    assert tasks.add_bucket("laser", [1, 100]) is tasks
    curriculum = tasks.to_curriculum(num_active_tasks=18, algorithm_config=local()).make()
    configs = [task.config for task in curriculum.ask(200)]
    assert len({str(config) for config in configs}) == 18
    assert all(set(config["rewards"]) == {"iron", "armor"} and config["laser"] in {1, 100} for config in configs)
    assert ARENA["rewards"] == {}


def test_values_are_checked_as_often_as_those_of_curricular():
    class Arena(BaseModel):
        size: int = 10

        @model_validator(mode="after")
        def count(self):
            checked.append(self.size)
            return self

    checked = []
    curricular.bucketed(Arena(), {"size": [10, 20]})
    once, checked = checked, []
    tasks = cc.bucketed(Arena(), {"size": [10, 20]})
    assert checked == once
    cc.CurriculumConfig(tasks, 2, local()).make()
    assert checked == once
    assert dict(tasks).keys() >= {"child", "buckets", "label"}


def test_a_path_has_one_bucket():
    with pytest.raises(ValueError, match="path: expected one without a bucket, got 'laser' again"):
        cc.bucketed(ARENA).add_bucket("laser", [1]).add_bucket("laser", [2])


def test_the_configuration_is_copied_at_once():
    config = {"size": 5}
    tasks = cc.bucketed(config)
    config["size"] = 7
    assert tasks.create().build(0, np.zeros(0)) == {"size": 5}


@pytest.mark.parametrize(
    ("tasks", "labels"),
    [
        (cc.bucketed(ARENA), {"arena"}),
        (cc.bucketed(ARENA).add_bucket("size", [5, 10]), {"arena"}),
        (cc.bucketed(ARENA).add_bucket("label", ["a", "b"]), {"label=a", "label=b"}),
        (cc.single_task(ARENA), {"arena"}),
        (cc.bucketed({"size": 5}).add_bucket("size", [5, 10]), {"size=5", "size=10"}),
        (cc.merge([cc.bucketed(ARENA), cc.single_task({"label": "nav"})]), {"arena", "nav"}),
    ],
)
def test_labels_are_those_of_the_configurations(tasks, labels):
    curriculum = tasks.to_curriculum(algorithm_config=local()).make()
    assert {task.label for task in curriculum.ask(100)} == labels


def test_members_of_a_merged_set_have_equal_shares_of_the_new_tasks():
    dense = cc.bucketed(ARENA).add_bucket("size", [cc.Span(15, 50)])
    few = cc.bucketed(ARENA).add_bucket("size", [1, 2])
    merged = cc.merge([dense, few, cc.single_task(ARENA)])
    assert merged.shares.tolist() == pytest.approx([1 / 3] * 3)
    assert cc.merge([few, cc.bucketed(ARENA)]).shares.tolist() == [0.5, 0.5]


def test_scores_are_of_any_size_unless_a_range_is_set():
    curriculum = cc.env_curriculum(ARENA).make()
    task = curriculum.get_task()
    curriculum.update_task_performance(task._task_id, 170.0)
    assert curriculum.stats()["score/mean"] == 170.0
    assert cc.env_curriculum(ARENA).num_active_tasks is None
    config = cc.CurriculumConfig(cc.single_task(ARENA), algorithm_config=local(score_range=(0, 2)))
    assert config.make().config.score_range == (0, 2)


def test_a_size_of_the_pool_replaces_that_of_the_algorithm_and_all_else_stays():
    algorithm = cc.LearningProgressConfig.stable(num_active_tasks=4, use_shared_memory=False)
    tasks = cc.bucketed(ARENA).add_bucket("size", [cc.Span(1, 1000)])
    config = tasks.to_curriculum(num_active_tasks=9, algorithm_config=algorithm).make().config
    assert config == type(config)(**{**dict(algorithm), "num_active_tasks": 9, "score_range": "observed"})


def test_with_buckets_the_functions_are_those_of_the_library():
    sizes = {"size": [5, cc.Span(7, 9)]}
    assert dict(cc.bucketed(ARENA, sizes, "all")) == dict(curricular.bucketed(ARENA, sizes, "all"))
    assert isinstance(cc.bucketed(ARENA, sizes), curricular.BucketedTaskGenerator)
    assert isinstance(cc.merge([cc.bucketed(ARENA)], [2.0]), curricular.TaskGeneratorSet)
    assert cc.merge([[1, 2], [3]], [1, 9]).num_tasks == 3
    assert cc.Curriculum(local(), cc.single_task(ARENA)).get_task().config == ARENA


@pytest.mark.parametrize("weights", [None, [1.0, 1.0]])
def test_checkpoints_fit_the_generators_of_the_library(weights):
    upstream = cc.merge([cc.bucketed(ARENA).add_bucket("size", [1, 2]), cc.single_task(ARENA)], weights)
    curriculum = upstream.to_curriculum(algorithm_config=local()).make()
    ours = curricular.merge(
        [curricular.bucketed(ARENA, {"size": [1, 2]}, "arena"), curricular.single_task(ARENA, "arena")], [1.0, 1.0]
    )
    assert fingerprint(curriculum.generator) == fingerprint(ours)


def test_the_other_names_are_those_of_the_library():
    own = {"CurriculumConfig", "bucketed", "merge", "single_task"}
    assert set(cc.__all__) == set(curricular.__all__) | own | {"BucketedTasks", "env_curriculum"}
    assert all(getattr(cc, name) is getattr(curricular, name) for name in set(curricular.__all__) - own)
