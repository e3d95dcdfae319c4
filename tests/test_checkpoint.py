"""Checkpoints: whole or not at all, checked before anything changes, readable for ever."""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from curricular import (
    CheckpointError,
    Curriculum,
    LearningProgressConfig,
    MeanOfFirst,
    Span,
    UniformConfig,
    bucketed,
)
from curricular.checkpoint import read_checkpoint, write_checkpoint
from curricular.rows import VERSION
from curricular.table import columns_of

from .helpers import TIMEOUT, balance, python

CONFIG = LearningProgressConfig.default(num_active_tasks=64, seed=3)


def trained(config=CONFIG, *, num_rounds=40, generator=None):
    curriculum = Curriculum(config, generator)
    rng = np.random.default_rng(0)
    for _ in range(num_rounds):
        tasks = curriculum.ask(48)
        curriculum.tell([task.task_id for task in tasks], rng.random(48))
    return curriculum


@pytest.mark.parametrize("use_shared_memory", [True, False])
def test_a_loaded_curriculum_goes_on_with_the_same_tasks_in_a_new_process(tmp_path, use_shared_memory):
    config = LearningProgressConfig.default(num_active_tasks=64, seed=3, use_shared_memory=use_shared_memory)
    curriculum = trained(config)
    curriculum.save(tmp_path / "state.npz")
    code = f"""
import json
from curricular import Curriculum
curriculum = Curriculum.load({str(tmp_path / "state.npz")!r})
print(json.dumps([[task.task_id, task.config] for task in curriculum.ask(1000)]))
"""
    assert json.loads(python(code)) == [[task.task_id, task.config] for task in curriculum.ask(1000)]


def test_a_checkpoint_restores_statistics_and_accounts(tmp_path):
    curriculum = trained()
    curriculum.ask(7)
    curriculum.save(tmp_path / "state.npz")
    loaded = Curriculum.load(tmp_path / "state.npz")
    assert loaded.config == curriculum.config
    assert loaded.stats() == curriculum.stats()
    assert loaded.task_states() == curriculum.task_states()
    assert balance(loaded.stats()) == 0


def test_a_checkpoint_needs_the_generator_it_was_saved_with(tmp_path):
    generator = bucketed({"size": 5, "lit": True}, {"size": list(range(64))})
    trained(generator=generator).save(tmp_path / "state.npz")
    assert Curriculum.load(tmp_path / "state.npz", generator).get_task().config["lit"]
    for other, difference in [
        (bucketed({"size": 5, "lit": False}, {"size": list(range(64))}), "'[0-9a-f]{16}', got '[0-9a-f]{16}'"),
        (bucketed({"size": 5, "lit": True}, {"size": list(range(64, 129))}), "65 tasks, got 64 tasks"),
        (bucketed({"size": 5, "lit": True}, {"size": Span(0, 63)}), "any number of tasks, got 64 tasks"),
        (
            bucketed({"size": 5, "dim": True}, {"dim": list(range(64))}),
            "axis 'dim', .*, got axis 'size', the number of",
        ),
        (None, "SeedGenerator, got BucketedTaskGenerator; no generator was given: "),
    ]:
        with pytest.raises(ValueError, match=f"state: expected generator {difference}.*pass the generator"):
            Curriculum.load(tmp_path / "state.npz", other)


def test_shrinking_keeps_the_best_tasks_and_says_so(tmp_path, caplog):
    curriculum = trained()
    progress = {state.seed: abs(state.fast_ema - state.slow_ema) for state in curriculum.task_states()}
    scores = dict(
        zip(progress, curriculum.algorithm.priorities(columns_of(curriculum.tracker.snapshot())).tolist(), strict=True)
    )
    curriculum.save(tmp_path / "state.npz")
    loaded = Curriculum.load(tmp_path / "state.npz", config=LearningProgressConfig.default(num_active_tasks=16, seed=3))
    assert "kept 16" in caplog.text
    kept = {state.seed for state in loaded.task_states()}
    assert kept == set(sorted(scores, key=lambda seed: -scores[seed])[:16])
    assert balance(loaded.stats()) == 0
    assert loaded.probabilities().shape == (16,)
    assert len({task.task_id for task in loaded.ask(400)}) > 8


def test_growing_keeps_all_tasks_and_adds_new_ones(tmp_path, caplog):
    curriculum = trained()
    curriculum.save(tmp_path / "state.npz")
    before = {state.seed: state.num_completions for state in curriculum.task_states()}
    loaded = Curriculum.load(tmp_path / "state.npz", config=LearningProgressConfig.default(num_active_tasks=80, seed=3))
    assert "adding new ones" in caplog.text
    after = {state.seed: state.num_completions for state in loaded.task_states()}
    assert len(after) == 80
    assert before.items() <= after.items()
    assert balance(loaded.stats()) == 0


def test_a_result_from_before_a_resize_is_stale(tmp_path):
    curriculum = trained()
    late = curriculum.ask(20)
    curriculum.save(tmp_path / "state.npz")
    loaded = Curriculum.load(tmp_path / "state.npz", config=LearningProgressConfig.default(num_active_tasks=32, seed=3))
    told = loaded.stats()["num_completed"]
    loaded.tell([task.task_id for task in late], np.ones(20))
    stats = loaded.stats()
    assert stats["num_completed"] == told
    assert stats["num_stale"] >= 20
    assert balance(loaded.stats()) == 0


def test_another_algorithm_may_go_on_with_the_same_tasks(tmp_path):
    trained().save(tmp_path / "state.npz")
    loaded = Curriculum.load(tmp_path / "state.npz", config=UniformConfig(num_active_tasks=64))
    assert np.allclose(loaded.probabilities(), 1 / 64)


@pytest.mark.parametrize("keep", [0, 10, 3000, -1])
def test_a_cut_file_is_refused_by_name(tmp_path, keep):
    path = tmp_path / "state.npz"
    trained().save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"state\.npz"):
        Curriculum.load(path)


def test_a_flipped_byte_is_found(tmp_path):
    path = tmp_path / "state.npz"
    trained().save(path)
    intact, expected = path.read_bytes(), read_checkpoint(path)
    num_refused = 0
    for position in range(7, len(intact), 331):
        content = bytearray(intact)
        content[position] ^= 0xFF
        path.write_bytes(content)
        try:
            state = read_checkpoint(path)
        except CheckpointError:
            num_refused += 1
        else:  # the byte was of the archive's book-keeping, not of its content
            assert (state["rows"] == expected["rows"]).all()
            assert state["counters"] == expected["counters"]
    assert num_refused > 10


def test_a_foreign_file_is_refused_and_never_unpickled(tmp_path):
    np.savez(tmp_path / "foreign.npz", weights=np.zeros(3))
    np.save(tmp_path / "objects.npy", np.array([object()]), allow_pickle=True)
    for name in ("foreign.npz", "objects.npy"):
        with pytest.raises(CheckpointError, match=name):
            read_checkpoint(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "nothing.npz")


def test_a_later_version_is_refused(tmp_path):
    path = tmp_path / "state.npz"
    trained().save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    header["version"] = VERSION + 1
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(CheckpointError, match=f"version {VERSION + 1}"):
        Curriculum.load(path)


@pytest.mark.parametrize(
    ("field", "value"), [("eviction_rate", -1.0), ("algorithm", "of a later version"), ("of_a_later_version", 1)]
)
def test_a_config_that_cannot_be_read_is_refused_as_a_file(field, value, tmp_path):
    path = tmp_path / "state.npz"
    curriculum = trained()
    curriculum.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    header["state"]["config"][field] = value
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(CheckpointError, match=f"got a config that cannot be read(.|\n)*{field}"):
        Curriculum.load(path)
    assert Curriculum.load(path, config=curriculum.config).stats() == curriculum.stats()


def test_a_refused_file_changes_nothing_and_leaves_no_session(tmp_path):
    path = tmp_path / "state.npz"
    curriculum = trained()
    curriculum.save(path)
    before = curriculum.state_dict()
    with pytest.raises(ValueError, match="capacity"):
        curriculum.load_state_dict(trained(LearningProgressConfig.default(num_active_tasks=32)).state_dict())
    after = curriculum.state_dict()
    assert (before["rows"] == after["rows"]).all()
    assert before["counters"] == after["counters"]


def test_a_failed_save_leaves_the_previous_checkpoint_and_no_draft(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    curriculum = trained()
    curriculum.save(path)
    intact = path.read_bytes()
    curriculum.ask(5)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        curriculum.save(path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == intact
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", [None, 3, b"state", "a\0b"])
def test_what_is_no_path_is_named(path):
    error = ValueError if isinstance(path, str) else TypeError
    with pytest.raises(error, match="path: expected the path of a checkpoint, got"):
        trained(num_rounds=1).save(path)
    with pytest.raises(error, match="path: expected the path of a checkpoint, got"):
        Curriculum.load(path)


def test_a_place_where_no_file_can_be_is_named_at_once(tmp_path):
    curriculum = trained(num_rounds=1)
    with pytest.raises(FileNotFoundError, match=r"path: expected a file in a folder that exists, got '.*/no/state'"):
        curriculum.save(tmp_path / "no" / "state")
    with pytest.raises(IsADirectoryError, match="path: expected a file, got the folder"):
        curriculum.save(tmp_path)
    with pytest.raises(OSError, match="path: expected a place where a file can be written") as caught:
        curriculum.save(tmp_path / ("x" * 256))
    assert caught.value.filename == str(tmp_path / ("x" * 256))
    assert not list(tmp_path.iterdir())


def test_another_fixed_baseline_is_applied_to_all_that_was_told(tmp_path):
    config = CONFIG.model_dump(exclude={"random_baseline", "use_shared_memory"}) | {"use_shared_memory": False}
    first = trained(LearningProgressConfig(**config))
    other = trained(LearningProgressConfig(**config, random_baseline=0.3))
    first.save(tmp_path / "state.npz")
    loaded = Curriculum.load(tmp_path / "state.npz", config=other.config)
    assert {state.random_baseline for state in loaded.task_states()} == {0.3}
    loaded.load_state_dict(first.state_dict())
    assert {state.random_baseline for state in loaded.task_states()} == {0.3}
    small = LearningProgressConfig(**config | {"num_active_tasks": 16}, random_baseline=0.3)
    assert {state.random_baseline for state in Curriculum.load(tmp_path / "state.npz", config=small).task_states()} == {
        0.3
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"success_threshold": 0.9}, "expected success_threshold 0.9, got 0.5; use the success_threshold that it was"),
        (
            {"random_baseline": MeanOfFirst(num_completions=5)},
            r"expected random_baseline \{'num_completions': 5\}, got 0.0; use the random_baseline that it was",
        ),
    ],
)
def test_what_was_counted_otherwise_is_refused_by_name(tmp_path, settings, message):
    trained().save(tmp_path / "state.npz")
    config = LearningProgressConfig.default(num_active_tasks=64, seed=3, **settings)
    with pytest.raises(ValueError, match=f"state: {message}"):
        Curriculum.load(tmp_path / "state.npz", config=config)


def test_the_middle_of_the_range_is_the_threshold_that_is_not_given(tmp_path):
    trained().save(tmp_path / "state.npz")
    config = LearningProgressConfig.default(num_active_tasks=64, seed=3, success_threshold=0.5)
    assert Curriculum.load(tmp_path / "state.npz", config=config).config.threshold == 0.5


def save_for_ever(path, started):
    curriculum = trained(num_rounds=5)
    while True:
        curriculum.ask(1)
        curriculum.save(path)
        started.set()


def test_a_kill_during_saves_leaves_a_whole_checkpoint(tmp_path):
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "state.npz"
    for wait in (0.0, 0.003, 0.011):
        started = context.Event()
        process = context.Process(target=save_for_ever, args=(path, started))
        process.start()
        assert started.wait(TIMEOUT)
        process.join(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert balance(Curriculum.load(path).stats()) == 0


def test_arrays_written_are_arrays_read(tmp_path):
    state = trained().state_dict()
    write_checkpoint(tmp_path / "state.npz", state)
    read = read_checkpoint(tmp_path / "state.npz")
    assert read.keys() == state.keys()
    for name in ("rows", "labels", "cumulated"):
        assert read[name].dtype == state[name].dtype
        assert (read[name] == state[name]).all()


def test_a_save_removes_what_killed_saves_left_behind(tmp_path):
    curriculum = trained(num_rounds=1)
    old, recent = (tmp_path / f".state.npz.{number}.abcd" for number in (1, 2))
    foreign = tmp_path / ".other.npz.1.abcd"
    for path in (old, recent, foreign):
        path.write_bytes(b"half")
    for path in (old, foreign):
        os.utime(path, (0, 0))
    curriculum.save(tmp_path / "state.npz")
    assert sorted(tmp_path.iterdir()) == sorted([recent, foreign, tmp_path / "state.npz"])


def test_a_save_of_another_process_that_ends_meanwhile_is_no_error(tmp_path, monkeypatch):
    glob = Path.glob

    def found_late(folder, pattern):
        draft = folder / pattern.replace("*", "1.abcd")
        draft.write_bytes(b"half")
        found = list(glob(folder, pattern))
        draft.unlink()
        return found

    monkeypatch.setattr(Path, "glob", found_late)
    trained(num_rounds=1).save(tmp_path / "state.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_a_save_needs_no_system_that_opens_directories(tmp_path, monkeypatch):
    opened = os.open

    def open_file(path, *args, **kwargs):
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    curriculum = trained(num_rounds=1)
    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(sys, "platform", "win32")
    curriculum.save(tmp_path / "state.npz")
    monkeypatch.undo()
    assert Curriculum.load(tmp_path / "state.npz").stats() == curriculum.stats()


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127, "[n]*?"])
def test_any_name_that_a_file_can_have_is_saved_and_leaves_no_draft(name, tmp_path):
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=False))
    for _ in range(2):
        curriculum.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert Curriculum.load(tmp_path / name).stats() == curriculum.stats()


def test_a_save_to_a_link_replaces_the_file_and_not_the_link(tmp_path):
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=False))
    (tmp_path / "runs").mkdir()
    link, file = tmp_path / "latest", tmp_path / "runs" / "first"
    link.symlink_to(file)
    curriculum.save(link)  # to a file that is not there yet
    curriculum.tell([0], [1.0])
    curriculum.save(link)
    assert link.is_symlink()
    assert Curriculum.load(file).stats()["num_completed"] == 1
