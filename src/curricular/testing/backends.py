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
from ..generators import bucketed, dataset
from ..mutex import ReentrantCallError
from ..probabilities import cumulative
from ..results import estimator
from ..table import EVENT, OTHER, SCHEDULED, TOLD, Patch, Table, admit, choose, record
from ..task import Span
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
            assert backend.capacity == len(table.rows) == 5, "snapshot: as many rows as make_backend was asked for"
            assert table.rows.num_axes == 2, "snapshot: as many params as make_backend was asked for"
            assert not table.rows["is_active"].any(), "a new backend: no active row"
            assert table.counters.num_created == 0, "a new backend: no task was created"
            assert backend.num_free == LOG_SIZE, "num_free: a new log takes LOG_SIZE events"
            assert backend.apply(lambda transaction: len(transaction.events)) == 0, "a new backend: no event waits"

    def test_a_commit_is_what_is_read(self) -> None:
        with closing(self.make_backend(4, 2)) as backend:
            _admit(backend, [0, 1, 2, 3], [10, 11, 12, 13])
            _admit(backend, [2], [99])
            assert [backend.newest_id(slot) for slot in range(4)] == [0, 1, 6, 3], (
                "newest_id: the newest task of each slot"
            )
            assert backend.newest_ids(np.array([[2, 0]])).tolist() == [[6, 0]], (
                "newest_ids: the newest task of each slot, in the shape of the argument"
            )
            rows = backend.read(np.array([2, 1]))
            assert rows["seed"].tolist() == [99, 11], "read: the committed rows, in the order of the slots"
            assert rows["params"].tolist() == [[0.0, 1.0], [2.0, 3.0]], "read: the committed params"
            assert backend.snapshot().rows["seed"].tolist() == [10, 11, 99, 13], "snapshot: what was committed"

    def test_copies_share_nothing_with_the_table(self) -> None:
        with closing(self.make_backend(3, 1)) as backend:
            _admit(backend, [0, 1, 2], [10, 11, 12])
            table, rows = backend.snapshot(), backend.read(np.array([0]))
            table.rows["seed"], rows["seed"] = 0, 0
            table.labels["name"], table.cumulated[...] = b"changed", 0.0
            again = backend.snapshot()
            assert again.rows["seed"].tolist() == [10, 11, 12], (
                "copies: writing into a snapshot or into read rows changes nothing"
            )
            assert again.labels["name"][0] == OTHER, "copies: writing into the labels of a snapshot changes nothing"
            assert again.cumulated[-1] == 1.0, "copies: writing into the distribution of a snapshot changes nothing"

    def test_a_patch_is_copied_in(self) -> None:
        with closing(self.make_backend(2, 1)) as backend:
            _admit(backend, [0, 1], [10, 11])
            table = backend.snapshot()
            patch = Patch(np.array([0, 1]), table.rows, table.labels, table.counters, table.cumulated)
            backend.apply(lambda transaction: transaction.commit(patch))
            table.rows["seed"] = 0
            assert backend.snapshot().rows["seed"].tolist() == [10, 11], (
                "commit: copies the patch, so that writing into its arrays later changes nothing"
            )

    def test_events_wait_in_order_until_they_are_flushed(self) -> None:
        with closing(self.make_backend(4, 0)) as backend:
            _admit(backend, [0, 1, 2, 3], [0, 1, 2, 3])
            assert not backend.append(SCHEDULED, 1, 0.0, 0.0), "append: returns False while the log is not full"
            assert not backend.extend(np.array([(1, TOLD, 0.5, 0.0), (2, TOLD, 0.25, 0.0)], EVENT)), (
                "extend: returns False while the log is not full"
            )
            assert backend.num_free == LOG_SIZE - 3, "num_free: LOG_SIZE less the events that wait"
            _admit(backend, [3], [9])
            events = backend.apply(lambda transaction: transaction.events.copy())
            assert events.tolist() == [(1, SCHEDULED, 0.0, 0.0), (1, TOLD, 0.5, 0.0), (2, TOLD, 0.25, 0.0)], (
                "events: wait in the order of the calls, over commits without flushes=True"
            )
            assert backend.snapshot().counters.num_completed == 0, "append and extend: change no row before the flush"

            def flush(transaction: Transaction) -> None:
                transaction.commit(record(transaction.table, transaction.events, _ESTIMATOR), flushes=True)
                assert len(transaction.events) == 0, (
                    "commit: with flushes=True, removes the events within the transaction"
                )

            backend.apply(flush)
            assert backend.num_free == LOG_SIZE, "num_free: after a flush, the log is empty"
            assert backend.snapshot().counters.num_completed == 2, (
                "commit: with flushes=True, the recorded results count"
            )
            assert backend.read(np.array([1, 2]))["slow_ema"].tolist() == pytest.approx([0.5, 0.25]), (
                "commit: with flushes=True, the rows have the recorded results"
            )

    def test_a_full_log_says_so(self) -> None:
        with closing(self.make_backend(1, 0)) as backend:
            _admit(backend, [0], [0])
            events = np.zeros(LOG_SIZE, EVENT)
            assert not backend.extend(events[1:]), "extend: returns False while the log is not full"
            assert backend.num_free == 1, "num_free: one place is left"
            assert backend.append(TOLD, 0, 0.0, 0.0), "append: returns True when the log is full"
            assert backend.num_free == 0, "num_free: 0 when the log is full"

    def test_apply_returns_what_the_function_returns_and_lets_its_error_through(self) -> None:
        def fail(_: Transaction) -> None:
            raise KeyError("on purpose")

        with closing(self.make_backend(2, 0)) as backend:
            backend.append(TOLD, 0, 0.5, 0.0)
            with pytest.raises(KeyError, match="on purpose"):
                backend.apply(fail)
            assert backend.apply(lambda transaction: len(transaction.events)) == 1, (
                "apply: an error in the function costs no event"
            )

    def test_a_look_is_at_the_current_table_and_lets_an_error_through(self) -> None:
        def fail(_: Table) -> None:
            raise KeyError("on purpose")

        with closing(self.make_backend(3, 1)) as backend:
            _admit(backend, [0, 1, 2], [10, 11, 12])
            backend.append(TOLD, 0, 0.5, 0.0)
            with pytest.raises(KeyError, match="on purpose"):
                backend.look(fail)
            _admit(backend, [1], [99])
            assert backend.look(lambda table: table.rows["seed"].tolist()) == [10, 99, 12], "look: the rows as they are"
            there = backend.current()
            assert backend.look(lambda table: table.counters) == there.counters, "look: the table that `current` copies"
            assert backend.apply(lambda transaction: len(transaction.events)) == 1, "look: leaves the log as it is"

    def test_a_transaction_ends_with_its_call(self) -> None:
        with closing(self.make_backend(2, 0)) as backend:
            _admit(backend, [0, 1], [0, 1])
            kept: list[Transaction] = []
            backend.apply(kept.append)
            table = backend.snapshot()
            for use in (
                lambda: kept[0].table,
                lambda: kept[0].events,
                lambda: kept[0].commit(choose(table, table.cumulated, table.cumulated)),
            ):
                with pytest.raises(RuntimeError, match="transaction: expected one that is under way"):
                    use()

    def test_a_change_within_a_change_is_refused(self) -> None:
        with closing(self.make_backend(2, 0)) as backend:
            with pytest.raises(ReentrantCallError, match="one change of the table at a time"):
                backend.apply(lambda _: backend.apply(lambda inner: len(inner.events)))
            assert backend.apply(lambda transaction: len(transaction.events)) == 0, (
                "apply: works after a refused change within a change"
            )

    def test_events_are_appended_all_or_none(self) -> None:
        with closing(self.make_backend(1, 0)) as backend:
            _admit(backend, [0], [0])
            with pytest.raises(LogFullError):
                backend.extend(np.zeros(LOG_SIZE + 1, EVENT))
            assert backend.num_free == LOG_SIZE, "extend: takes all events or none"

    def test_two_holders_draw_different_tasks(self) -> None:
        with closing(self.make_backend(64, 0)) as backend:
            first: Curriculum[int] = Curriculum(quick(64), backend=backend)
            second: Curriculum[int] = Curriculum(quick(64), backend=backend)
            state = first.state_dict()

            def ids(curriculum: Curriculum[int]) -> list[int]:
                return [task.task_id % 64 for task in curriculum.ask(50)]

            assert ids(first) != ids(second), "two holders: each draws tasks of its own"
            second.load_state_dict(state)
            assert ids(first) != ids(second), "two holders: each draws tasks of its own after a load"

    def test_draws_follow_the_distribution_in_use(self) -> None:
        with closing(self.make_backend(4, 0)) as backend:
            _admit(backend, [0, 1, 2, 3], [0, 1, 2, 3])
            _admit(backend, [3], [7])
            cumulated = cumulative(np.array([0.0, 0.25, 0.0, 0.75]))
            backend.apply(lambda transaction: transaction.commit(choose(transaction.table, cumulated, np.ones(4))))
            ids, epoch = backend.draw(np.array([0.0, 0.2, 0.25, 1 - 2**-53]))
            assert ids.tolist() == [1, 1, 7, 7], "draw: follows the distribution in use, and returns the newest ids"
            assert epoch == backend.epoch, "draw: returns the epoch of the distribution"
            assert backend.snapshot().cumulated.tolist() == cumulated.tolist(), "snapshot: the distribution in use"

    def test_the_epoch_moves_with_every_refresh_and_load(self) -> None:
        with closing(self.make_backend(8, 0)) as backend:
            curriculum: Curriculum[int] = Curriculum(quick(8), backend=backend)
            state = curriculum.state_dict()
            epochs = [backend.epoch]
            backend.apply(
                lambda transaction: transaction.commit(choose(transaction.table, cumulative(np.ones(8)), np.ones(8)))
            )
            epochs.append(backend.epoch)
            for _ in range(2):
                curriculum.load_state_dict(state)
                epochs.append(backend.epoch)
            assert len(set(epochs)) == 4, "epoch: another one after each refresh and each load"

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

            state, batch = first.state_dict(), first.ask_batch(2, replace=False)
            assert rates(first) == rates(second) == {0.0, 1.0}, "params: those of the rows"
            first.set_params([0, 1], "rate", [0.5, 0.5])
            for curriculum in (first, second):
                curriculum.ask_batch(1)
                assert {row["rate"] for row in curriculum.configs(batch)} == {0.0, 1.0}, "configs: the rows as they are"
            assert rates(first) == rates(second) == {0.5}, (
                "set_params: other curricula see what one has written, and a batch from before it brings nothing back"
            )
            second.load_state_dict(state)
            assert rates(first) == rates(second) == {0.0, 1.0}, "load: other curricula see what one has loaded"

    def test_a_walk_over_the_pool_hands_out_every_task_and_resumes_after_a_load(self) -> None:
        config = UniformConfig(num_active_tasks=12, cover_share=1.0)
        with closing(self.make_backend(12, 0)) as backend:
            curriculum: Curriculum[int] = Curriculum(config, backend=backend)
            ids = [task.task_id for task in curriculum.ask(5)]
            batch = curriculum.ask_batch(4)
            curriculum.cancel_batch(batch.tickets[:2], "lost")
            told = [*ids, *batch.task_ids[2:].tolist()]
            assert curriculum.stats()["cover/progress"] == 7 / 12, "stats: cancelled tasks are still to come"
            curriculum.tell_batch(batch.tickets[2:], [1.0, 0.0])
            curriculum.tell(ids, np.ones(5))
            curriculum.load_state_dict(curriculum.state_dict())
            told += [task.task_id for task in curriculum.ask(5)]
            assert sorted(task_id % 12 for task_id in told) == list(range(12)), (
                "cover_share=1: a walk hands out every task once, over cancellations and a load"
            )
            stats = curriculum.stats()
            assert (stats["cover/num_walks"], stats["cover/progress"]) == (0, 1), "stats: the walk is done"
            curriculum.get_task()
            stats = curriculum.stats()
            assert (stats["cover/num_walks"], stats["cover/progress"]) == (1, 1 / 12), "stats: the next walk has begun"

    def test_a_batch_is_built_after_its_tasks_were_evicted(self) -> None:
        """A loop that asks, lets others tell their results, and only then builds; also after a load."""
        generator = bucketed({"size": 5, "speed": 0.0}, {"size": Span(5, 25), "speed": Span(0.0, 1.0)})
        with closing(self.make_backend(16, 2)) as backend:
            curriculum = Curriculum(generator, quick(16), backend=backend)
            batch = curriculum.ask_batch(16)
            configs = [curriculum.task(task_id).config for task_id in batch.task_ids.tolist()]
            play(curriculum, 4000)
            left = np.isin(batch.task_ids, curriculum.tasks()["task_id"])
            assert not left.all(), "the test: a task with an open ticket is evicted"
            assert curriculum.configs(batch) == configs, "configs: those of the tasks handed out, evicted or not"
            built = [generator.build(*task) for task in zip(batch.seeds, batch.params, strict=True)]
            assert built == configs, "a batch: seeds and params from which another process builds the tasks"
            curriculum.load_state_dict(curriculum.state_dict())
            waiting = [config for config, stays in zip(configs, left, strict=True) if stays]
            found = curriculum.configs(curriculum.open_handouts())
            assert found == waiting, "load: open hand-outs of tasks in the pool can be built, the others have ended"
            assert curriculum.configs(curriculum.ask_batch(len(waiting))) == waiting, "load: hands out again what waits"
            assert curriculum.stats()["num_open"] == len(waiting), "load: cancels open hand-outs of evicted tasks"

    def test_a_batch_is_built_after_another_state_was_loaded(self) -> None:
        """The ids of the tasks of two runs may be the same."""
        generator = bucketed({"size": 0.0}, {"size": Span(0.0, 1.0)})
        with closing(self.make_backend(4, 1)) as backend, closing(self.make_backend(4, 1)) as there:
            here, other = (
                Curriculum(generator, UniformConfig(num_active_tasks=4, seed=seed), backend=found)
                for seed, found in enumerate((backend, there))
            )
            first = here.ask_batch(4)
            lost = here.configs(first)
            here.tell_batch(first.tickets, np.ones(4))
            expected = other.configs(other.ask_batch(4))
            here.load_state_dict(other.state_dict())
            assert here.configs(here.open_handouts()) == expected, "configs: of the tasks of the state that was loaded"
            assert here.configs(first) == lost, "configs: those of the batch, also of a run that is lost"
            assert here.configs(here.ask_batch(4)) == expected, "configs: a batch of a lost run changes no other task"

    def test_closing_twice_is_no_error(self) -> None:
        backend = self.make_backend(2, 0)
        backend.close()
        backend.close()

    def test_a_curriculum_chooses_as_on_the_local_backend(self) -> None:
        config = quick(16)
        with closing(self.make_backend(16, 0)) as backend:
            there: Curriculum[int] = Curriculum(config, backend=backend)
            here: Curriculum[int] = Curriculum(config, backend=LocalMemoryBackend(16))
            assert play(there, 3000) == play(here, 3000), "the same calls: the same tasks as on the local backend"
            assert there.stats() == here.stats(), "the same calls: the same statistics as on the local backend"
            assert here.stats()["num_evicted"] > 0, "the suite: tasks were evicted"
            here.load_state_dict(there.state_dict())
            assert play(there, 1000) == play(here, 1000), "load_state_dict: the same tasks as on the local backend"

    def test_every_hand_out_is_accounted_for(self) -> None:
        with closing(self.make_backend(4, 0)) as backend:
            curriculum: Curriculum[int] = Curriculum(quick(4), backend=backend)
            late = curriculum.ask(50)
            play(curriculum, 1000)
            curriculum.tell([task.task_id for task in late[:30]], np.full(30, 0.5))
            stats, rows = curriculum.stats(), backend.snapshot().rows
            assert stats["num_stale"] > 0, "the account: a result for an evicted task is stale"
            assert stats["num_pending"] == rows["num_pending"].sum() + rows["num_orphans"].sum() == 20, (
                "the account: pending hand-outs are those of the rows and of evicted tasks"
            )
            came = stats["num_completed"] + stats["num_cancelled"] + stats["num_stale"] + stats["num_pending"]
            assert stats["num_scheduled"] + stats["num_unsolicited"] == came, (
                "the account: every hand-out is completed, cancelled, stale or pending"
            )
