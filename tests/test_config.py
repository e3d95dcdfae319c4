"""Configurations are frozen data: presets are checked, and one error says what is wrong."""

import pickle

import numpy as np
import pytest
from pydantic import ValidationError

from curricular import Curriculum, LearningProgressConfig, MeanOfFirst, UniformConfig
from curricular.config import changed

NAN, INF = float("nan"), float("inf")


def test_presets_are_those_of_the_reference():
    presets = (
        LearningProgressConfig.default(),
        LearningProgressConfig.stable(),
        LearningProgressConfig.fast_learning(),
    )
    table = [(c.ema_timescale, c.exploration_bonus, c.min_samples_for_lp) for c in presets]
    assert table == [(0.1, 0.1, 10), (0.01, 0.15, 20), (0.2, 0.05, 5)]
    assert all(config.pool_size == 256 and config.slow_timescale_factor == 0.2 for config in presets)


def test_without_a_preset_the_settings_are_those_of_the_default():
    assert LearningProgressConfig() == LearningProgressConfig.default()


@pytest.mark.parametrize("preset", ["default", "stable", "fast_learning"])
def test_a_preset_takes_overrides_through_the_constructor(preset):
    make = getattr(LearningProgressConfig, preset)
    assert make(num_active_tasks=512, ema_timescale=0.05).ema_timescale == 0.05
    with pytest.raises(ValidationError, match="ema_timescale"):
        make(ema_timescale="fast")
    with pytest.raises(ValidationError, match=r"ema_timescael: expected a field .* did you mean 'ema_timescale'\?"):
        make(ema_timescael=0.05)


def test_a_changed_copy_is_checked_and_keeps_unset_what_the_user_did_not_set():
    config = UniformConfig(seed=3, session_id="run")
    copy = changed(config, session_id=None, use_shared_memory=False)
    assert (type(copy), copy.seed) == (UniformConfig, 3)
    assert copy.model_fields_set == {"seed", "session_id", "use_shared_memory"}
    assert config.session_id == "run"
    with pytest.raises(ValidationError, match="session_id: expected None with use_shared_memory=False, got 'run'"):
        changed(config, use_shared_memory=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_active_tasks", 0),
        ("num_active_tasks", -3),
        ("num_active_tasks", 2.5),
        ("num_active_tasks", 10**12),
        ("num_active_tasks", 10**30),
        ("seed", -1),
        ("seed", None),
        ("score_range", (1.0, 0.0)),
        ("score_range", (0.5, 0.5)),
        ("score_range", (0.0, NAN)),
        ("score_range", (0.0, INF)),
        ("score_range", (-1e308, 1e308)),
        ("score_range", (0.0, 1.1e100)),
        ("score_range", (-1.1e100, 0.0)),
        ("score_range", (0.0, 1e-100)),
        ("score_range", (0.0, 1.0, 2.0)),
        ("success_threshold", 1.5),
        ("success_threshold", NAN),
        ("random_baseline", 0.8),
        ("random_baseline", -0.1),
        ("random_baseline", NAN),
        ("random_baseline", {"num_completions": 0}),
        ("ema_timescale", 0.0),
        ("ema_timescale", 1e-17),
        ("ema_timescale", 1.1),
        ("ema_timescale", NAN),
        ("slow_timescale_factor", 0.0),
        ("slow_timescale_factor", 2.0),
        ("theta", 0.0),
        ("theta", 0.6),
        ("temperature", 0.0),
        ("temperature", 1e-310),
        ("temperature", INF),
        ("exploration_bonus", -0.1),
        ("rand_task_rate", 1.1),
        ("min_samples_for_lp", 0),
        ("min_presentations_for_eviction", 0),
        ("eviction_threshold_percentile", 1.5),
        ("eviction_rate", -0.1),
        ("session_id", ""),
        ("session_id", "../elsewhere"),
        ("session_id", "x" * 101),
        ("progress", "sideways"),
        ("algorithm", "uniform"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(ValidationError, match=name):
        LearningProgressConfig.default(**{name: value})


def test_eviction_waits_for_an_estimate():
    with pytest.raises(
        ValidationError, match=r"min_presentations_for_eviction: expected at least .*=40, got 30; .*raise"
    ):
        LearningProgressConfig.default(min_samples_for_lp=40)


def test_a_session_needs_shared_memory():
    with pytest.raises(ValidationError, match="session_id: expected None with use_shared_memory=False"):
        LearningProgressConfig.default(session_id="mine", use_shared_memory=False)


@pytest.mark.parametrize(
    "config",
    [
        LearningProgressConfig.stable(
            random_baseline=MeanOfFirst(num_completions=5), score_range=(-1, 1), session_id="mine", seed=2**62
        ),
        UniformConfig(num_active_tasks=3, success_threshold=0.2),
    ],
)
def test_a_config_is_frozen_data(config):
    assert type(config).model_validate_json(config.model_dump_json()) == config
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1


@pytest.mark.parametrize("score_range", [(0.0, 1.1e-100), (-1e100, 1e100), (1e100 - 1e85, 1e100)])
def test_the_widest_and_the_narrowest_range_work(score_range):
    low, high = score_range
    curriculum = Curriculum(["a", "b"], UniformConfig(use_shared_memory=False, score_range=score_range))
    curriculum.tell([0, 1], [[low, high, high], [high, high, low]])
    curriculum.load_state_dict(curriculum.state_dict())
    assert np.isfinite(list(curriculum.stats().values())).all()
    assert low <= curriculum.stats()["score/mean"] <= high


def test_the_threshold_is_the_middle_unless_said():
    assert UniformConfig(score_range=(-1.0, 3.0)).threshold == 1.0
    assert UniformConfig(score_range=(-1.0, 3.0), success_threshold=0.0).threshold == 0.0
