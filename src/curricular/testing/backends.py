"""The test suite for backends."""

from contextlib import closing
from typing import Any

import numpy as np
import pytest

from ..algorithms.uniform import UniformConfig
from ..backends.local import LocalMemoryBackend
from ..backends.protocol import LOG_SIZE, Backend, LogFullError, Transaction
from ..config import CurriculumConfig
from ..curriculum import Curriculum
from ..generators import dataset
from ..mutex import ReentrantCallError
from ..probabilities import cumulative
from ..results import estimator
from ..table import EVENT, OTHER, SCHEDULED, TOLD, Patch, admit, choose, record
from .play import play, quick

_ESTIMATOR = estimator(CurriculumConfig())


def _admit(backend: Backend, slots: list[int], seeds: list[int]) -> None:
    def fn(transaction: Transaction) -> None:
        num_axes = transaction.table.rows.num_axes
        params = np.arange(len(slots) * num_axes, dtype=np.float64).reshape(len(slots), num_axes)
        names = [f"label {seed % 3}" for seed in seeds]
        patch = admit(transaction.table, np.array(slots), np.array(seeds), params, names, 0.0, _ESTIMATOR)
        transaction.commit(patch)

    backend.apply(fn)


class BackendSuite:
    """Checks that a backend keeps one table and one log, and does not change the choices of a curriculum."""

    def make_backend(self, capacity: int, num_axes: int) -> Backend:
        """Returns a new, empty backend with `capacity` rows of `num_axes` params. Override this method."""
        raise NotImplementedError("make_backend: expected an override that returns a new backend; write it")

    def test_it_starts_empty(self) -> None:
        with closing(self.make_backend(5, 2)) as backend:
            table = backend.snapshot()
            assert backend.capacity == len(table.rows) == 5
            assert table.rows.num_axes == 2
            assert not table.rows["is_active"].any()
            assert table.counters.num_created == 0
            assert backend.num_free == LOG_SIZE
            assert backend.apply(lambda transaction: len(transaction.events)) == 0

    def test_a_commit_is_what_is_read(self) -> None:
        with closing(self.make_backend(4, 2)) as backend:
            _admit(backend, [0, 1, 2, 3], [10, 11, 12, 13])
            _admit(backend, [2], [99])
            assert [backend.newest_id(slot) for slot in range(4)] == [0, 1, 6, 3]
            assert backend.newest_ids(np.array([[2, 0]])).tolist() == [[6, 0]]
            rows = backend.read(np.array([2, 1]))
            assert rows["seed"].tolist() == [99, 11]
            assert rows["params"].tolist() == [[0.0, 1.0], [2.0, 3.0]]
            assert backend.snapshot().rows["seed"].tolist() == [10, 11, 99, 13]

    def test_copies_share_nothing_with_the_table(self) -> None:
        with closing(self.make_backend(3, 1)) as backend:
            _admit(backend, [0, 1, 2], [10, 11, 12])
            table, rows = backend.snapshot(), backend.read(np.array([0]))
            table.rows["seed"], rows["seed"] = 0, 0
            table.labels["name"], table.cumulated[...] = b"changed", 0.0
            again = backend.snapshot()
            assert again.rows["seed"].tolist() == [10, 11, 12]
            assert again.labels["name"][0] == OTHER
            assert again.cumulated[-1] == 1.0

    def test_a_patch_is_copied_in(self) -> None:
        with closing(self.make_backend(2, 1)) as backend:
            _admit(backend, [0, 1], [10, 11])
            table = backend.snapshot()
            patch = Patch(np.array([0, 1]), table.rows, table.labels, table.counters, table.cumulated)
            backend.apply(lambda transaction: transaction.commit(patch))
            table.rows["seed"] = 0
            assert backend.snapshot().rows["seed"].tolist() == [10, 11]

    def test_events_wait_in_order_until_they_are_flushed(self) -> None:
        with closing(self.make_backend(4, 0)) as backend:
            _admit(backend, [0, 1, 2, 3], [0, 1, 2, 3])
            assert not backend.append(SCHEDULED, 1, 0.0, 0.0)
            assert not backend.extend(np.array([(1, TOLD, 0.5, 0.0), (2, TOLD, 0.25, 0.0)], EVENT))
            assert backend.num_free == LOG_SIZE - 3
            _admit(backend, [3], [9])
            events = backend.apply(lambda transaction: transaction.events.copy())
            assert events.tolist() == [(1, SCHEDULED, 0.0, 0.0), (1, TOLD, 0.5, 0.0), (2, TOLD, 0.25, 0.0)]
            assert backend.snapshot().counters.num_completed == 0

            def flush(transaction: Transaction) -> None:
                transaction.commit(record(transaction.table, transaction.events, _ESTIMATOR), flushes=True)
                assert len(transaction.events) == 0

            backend.apply(flush)
            assert backend.num_free == LOG_SIZE
            assert backend.snapshot().counters.num_completed == 2
            assert backend.read(np.array([1, 2]))["slow_ema"].tolist() == pytest.approx([0.5, 0.25])

    def test_a_full_log_says_so(self) -> None:
        with closing(self.make_backend(1, 0)) as backend:
            _admit(backend, [0], [0])
            events = np.zeros(LOG_SIZE, EVENT)
            assert not backend.extend(events[1:])
            assert backend.num_free == 1
            assert backend.append(TOLD, 0, 0.0, 0.0)
            assert backend.num_free == 0

    def test_apply_returns_what_the_function_returns_and_lets_its_error_through(self) -> None:
        def fail(_: Transaction) -> None:
            raise KeyError("on purpose")

        with closing(self.make_backend(2, 0)) as backend:
            backend.append(TOLD, 0, 0.5, 0.0)
            with pytest.raises(KeyError, match="on purpose"):
                backend.apply(fail)
            assert backend.apply(lambda transaction: len(transaction.events)) == 1

    def test_a_transaction_ends_with_its_call(self) -> None:
        with closing(self.make_backend(2, 0)) as backend:
            _admit(backend, [0, 1], [0, 1])
            kept: list[Transaction] = []
            backend.apply(kept.append)
            table = backend.snapshot()
            for use in (
                lambda: kept[0].table,
                lambda: kept[0].events,
                lambda: kept[0].commit(choose(table, table.cumulated)),
            ):
                with pytest.raises(RuntimeError, match="transaction: expected one that is under way"):
                    use()

    def test_a_change_within_a_change_is_refused(self) -> None:
        with closing(self.make_backend(2, 0)) as backend:
            with pytest.raises(ReentrantCallError, match="one change of the table at a time"):
                backend.apply(lambda _: backend.apply(lambda inner: len(inner.events)))
            assert backend.apply(lambda transaction: len(transaction.events)) == 0

    def test_events_are_appended_all_or_none(self) -> None:
        with closing(self.make_backend(1, 0)) as backend:
            _admit(backend, [0], [0])
            with pytest.raises(LogFullError):
                backend.extend(np.zeros(LOG_SIZE + 1, EVENT))
            assert backend.num_free == LOG_SIZE

    def test_two_holders_draw_different_tasks(self) -> None:
        with closing(self.make_backend(64, 0)) as backend:
            first: Curriculum[int] = Curriculum(quick(64), backend=backend)
            second: Curriculum[int] = Curriculum(quick(64), backend=backend)
            state = first.state_dict()

            def ids(curriculum: Curriculum[int]) -> list[int]:
                return [task.task_id % 64 for task in curriculum.ask(50)]

            assert ids(first) != ids(second)
            second.load_state_dict(state)
            assert ids(first) != ids(second)

    def test_draws_follow_the_distribution_in_use(self) -> None:
        with closing(self.make_backend(4, 0)) as backend:
            _admit(backend, [0, 1, 2, 3], [0, 1, 2, 3])
            _admit(backend, [3], [7])
            cumulated = cumulative(np.array([0.0, 0.25, 0.0, 0.75]))
            backend.apply(lambda transaction: transaction.commit(choose(transaction.table, cumulated)))
            ids, epoch = backend.draw(np.array([0.0, 0.2, 0.25, 1 - 2**-53]))
            assert ids.tolist() == [1, 1, 7, 7]
            assert epoch == backend.epoch
            assert backend.snapshot().cumulated.tolist() == cumulated.tolist()

    def test_the_epoch_moves_with_every_refresh_and_load(self) -> None:
        with closing(self.make_backend(8, 0)) as backend:
            curriculum: Curriculum[int] = Curriculum(quick(8), backend=backend)
            state = curriculum.state_dict()
            epochs = [backend.epoch]
            backend.apply(lambda transaction: transaction.commit(choose(transaction.table, cumulative(np.ones(8)))))
            epochs.append(backend.epoch)
            for _ in range(2):
                curriculum.load_state_dict(state)
                epochs.append(backend.epoch)
            assert len(set(epochs)) == 4

    def test_params_that_one_curriculum_writes_are_in_the_tasks_of_all(self) -> None:
        rows = [{"name": "low", "rate": 0.0}, {"name": "high", "rate": 1.0}]
        with closing(self.make_backend(2, 1)) as backend:
            first, second = (
                Curriculum(dataset(rows, key="name", columns=["rate"]), UniformConfig(), backend=backend)
                for _ in range(2)
            )

            def rates(curriculum: Curriculum[Any]) -> set[float]:
                ids = curriculum.tasks()["task_id"].tolist()
                asked = [curriculum.peek(), curriculum.get_task(), *curriculum.ask(20)]
                seen = {curriculum.task(task_id).params["rate"] for task_id in ids}
                return seen | {task.params["rate"] for task in asked}

            state = first.state_dict()
            assert rates(first) == rates(second) == {0.0, 1.0}
            first.set_params([0, 1], "rate", [0.5, 0.5])
            assert rates(first) == rates(second) == {0.5}
            second.load_state_dict(state)
            assert rates(first) == rates(second) == {0.0, 1.0}

    def test_a_walk_over_the_pool_hands_out_every_task_and_resumes_after_a_load(self) -> None:
        config = UniformConfig(num_active_tasks=12, cover_share=1.0)
        with closing(self.make_backend(12, 0)) as backend:
            curriculum: Curriculum[int] = Curriculum(config, backend=backend)
            ids = [task.task_id for task in curriculum.ask(5)]
            batch = curriculum.ask_batch(4)
            curriculum.cancel_batch(batch.tickets[:2], "lost")
            told = [*ids, *batch.task_ids[2:].tolist()]
            curriculum.tell_batch(batch.tickets[2:], [1.0, 0.0])
            curriculum.tell(ids, np.ones(5))
            curriculum.load_state_dict(curriculum.state_dict())
            told += [task.task_id for task in curriculum.ask(5)]
            assert sorted(task_id % 12 for task_id in told) == list(range(12))

    def test_closing_twice_is_no_error(self) -> None:
        backend = self.make_backend(2, 0)
        backend.close()
        backend.close()

    def test_a_curriculum_chooses_as_on_the_local_backend(self) -> None:
        config = quick(16)
        with closing(self.make_backend(16, 0)) as backend:
            there: Curriculum[int] = Curriculum(config, backend=backend)
            here: Curriculum[int] = Curriculum(config, backend=LocalMemoryBackend(16))
            assert play(there, 3000) == play(here, 3000)
            assert there.stats() == here.stats()
            assert here.stats()["num_evicted"] > 0
            here.load_state_dict(there.state_dict())
            assert play(there, 1000) == play(here, 1000)

    def test_every_hand_out_is_accounted_for(self) -> None:
        with closing(self.make_backend(4, 0)) as backend:
            curriculum: Curriculum[int] = Curriculum(quick(4), backend=backend)
            late = curriculum.ask(50)
            play(curriculum, 1000)
            curriculum.tell([task.task_id for task in late[:30]], np.full(30, 0.5))
            stats, rows = curriculum.stats(), backend.snapshot().rows
            assert stats["num_stale"] > 0
            assert stats["num_pending"] == rows["num_pending"].sum() + rows["num_orphans"].sum() == 20
            came = stats["num_completed"] + stats["num_cancelled"] + stats["num_stale"] + stats["num_pending"]
            assert stats["num_scheduled"] + stats["num_unsolicited"] == came
