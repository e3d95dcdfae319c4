"""The account of hand-outs, of tasks and of tickets, over any calls in any order, crashes included, on each backend."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from curricular import Curriculum, LearningProgressConfig
from curricular.table import CANCELLED, SCHEDULED, TOLD, TOLD_WITH_REGRET, check_table
from curricular.table.ledger import MAX_TICKETS

from .reference import Model

SIZE = 3

picks = st.lists(st.integers(0, 99), max_size=5)


class Accounts(RuleBasedStateMachine):
    """Any calls in any order: the accounts balance, and the rows are those of the model, one event at a time."""

    use_shared_memory = False

    @initialize()
    def start(self):
        self.config = LearningProgressConfig.default(
            num_active_tasks=SIZE,
            min_samples_for_lp=1,
            min_presentations_for_eviction=2,
            eviction_rate=1.0,
            eviction_threshold_percentile=1.0,
            score_range=(-1.0, 1.0),
            max_open_handouts=32,
            use_shared_memory=self.use_shared_memory,
        )
        self.curriculum = Curriculum(self.config)
        self.model = Model.new(SIZE, self.curriculum.tracker.estimator)
        self.out = []
        self.issued = set(range(SIZE))
        self.open = {}  # ticket -> task id
        self.moments = {}  # ticket -> hand-outs of the pool before it was handed out last
        self.waiting = []  # tickets that were open at the load
        self.ended = []  # tickets that ended, or were lost in a crash
        self.num_refused = 0
        self.saved = None

    def teardown(self):
        if hasattr(self, "curriculum"):
            self.curriculum.close()

    def follow(self):
        """Takes evictions into the model."""
        for slot, state in enumerate(self.curriculum.task_states()):
            while self.model.rows[slot].task_id < state.task_id:
                self.model.replace(slot)
            self.issued.add(state.task_id)

    def age(self, ticket):
        """Sorts tickets from oldest to newest: the high bits are a random number of the life, so the count decides."""
        return self.moments[ticket], ticket % MAX_TICKETS

    def chosen(self, picks):
        """Ids to tell: some that are out, some that were told, cancelled or evicted before, or lost in a crash."""
        issued = sorted(self.issued)
        return [
            self.out.pop(pick % len(self.out)) if self.out and pick % 4 else issued[pick % len(issued)]
            for pick in picks
        ]

    def chosen_tickets(self, picks):
        """Tickets to end: some that are open, perhaps twice, and some that have ended or were lost."""
        open_tickets, closed = list(self.open), [*self.ended, 7]
        return [
            open_tickets[pick % len(open_tickets)] if open_tickets and pick % 4 else closed[pick % len(closed)]
            for pick in picks
        ]

    @rule(n=st.integers(0, 12), replace=st.booleans())
    def ask(self, n, replace):
        tasks = self.curriculum.ask(n if replace else min(n, SIZE), replace=replace)
        for task in tasks:
            self.model.event(task.task_id, SCHEDULED)
            self.out.append(task.task_id)

    @rule()
    def get_task(self):
        task = self.curriculum.get_task()
        self.model.event(task.task_id, SCHEDULED)
        self.out.append(task.task_id)

    @precondition(lambda self: len(self.open) < 20)
    @rule(n=st.integers(0, 12), replace=st.booleans())
    def ask_batch(self, n, replace):
        n = n if replace else min(n, SIZE)
        current, num_before = {row.task_id for row in self.model.rows}, self.model.num_scheduled
        gone = [ticket for ticket in self.waiting if self.open[ticket] not in current]
        self.waiting.sort(key=self.age)
        again = [ticket for ticket in self.waiting if self.open[ticket] in current]
        if not replace:  # no task twice: its other hand-outs wait for later batches
            again = list({self.open[ticket]: ticket for ticket in reversed(again)}.values())
            again.sort(key=self.age)
        again = again[:n]
        batch = self.curriculum.ask_batch(n, replace=replace)
        for ticket in gone:  # a task that left the pool cannot be built
            self.end(ticket, CANCELLED)
        assert batch.tickets[: len(again)].tolist() == again
        for ticket, task_id in zip(batch.tickets.tolist(), batch.task_ids.tolist(), strict=True):
            if ticket in again:
                assert self.open[ticket] == task_id
                self.waiting.remove(ticket)
                self.moments[ticket] = num_before
            else:
                assert ticket not in self.open
                assert ticket not in self.ended
                self.open[ticket], self.moments[ticket] = task_id, self.model.num_scheduled
                self.model.event(task_id, SCHEDULED)
        states = {state.task_id: state for state in self.curriculum.task_states()}
        assert batch.seeds.tolist() == [states[task_id].seed for task_id in batch.task_ids.tolist()]
        if not replace and not again:
            assert len(set(batch.task_ids.tolist())) == n

    @precondition(lambda self: len(self.open) < 20)
    @rule(picks=picks)
    def ask_for(self, picks):
        here, gone = [row.task_id for row in self.model.rows], sorted(self.issued)[:-SIZE]
        ids = [here[pick % SIZE] for pick in picks]
        if gone and gone[0] not in here:
            with pytest.raises(KeyError, match="task_ids: expected ids of tasks in the pool"):
                self.curriculum.ask_for([*ids, gone[0]])
        batch = self.curriculum.ask_for(ids)
        assert batch.task_ids.tolist() == ids
        for ticket, task_id in zip(batch.tickets.tolist(), ids, strict=True):
            assert ticket not in self.open
            assert ticket not in self.ended
            self.open[ticket], self.moments[ticket] = task_id, self.model.num_scheduled
            self.model.event(task_id, SCHEDULED)

    def end(self, ticket, kind, *event):
        self.model.event(self.open.pop(ticket), kind, *event)
        self.ended.append(ticket)
        self.waiting = [other for other in self.waiting if other != ticket]

    @rule(results=st.lists(st.tuples(st.integers(0, 99), st.floats(-1, 1), st.floats(-9, 9)), max_size=9))
    def tell_batch(self, results):
        tickets = self.chosen_tickets([pick for pick, _, _ in results])
        scores, regrets = [score for _, score, _ in results], [regret for _, _, regret in results]
        num_ended = self.curriculum.tell_batch(tickets, scores, regrets=regrets)
        for ticket, score, regret in zip(tickets, scores, regrets, strict=True):
            if ticket in self.open:
                self.end(ticket, TOLD_WITH_REGRET, score, regret)
                num_ended -= 1
            else:
                self.num_refused += 1
        assert num_ended == 0
        self.follow()

    @rule(picks=picks)
    def cancel_batch(self, picks):
        tickets = self.chosen_tickets(picks)
        num_ended = self.curriculum.cancel_batch(tickets, "for the test")
        for ticket in tickets:
            if ticket in self.open:
                self.end(ticket, CANCELLED)
                num_ended -= 1
            else:
                self.num_refused += 1
        assert num_ended == 0
        self.follow()

    @rule(age=st.integers(0, 40))
    def expire(self, age):
        before = self.curriculum.open_handouts().tickets.tolist()
        num_expired = self.curriculum.expire(older_than=age)
        left = self.curriculum.open_handouts().tickets.tolist()
        assert before[num_expired:] == left
        for ticket in before[:num_expired]:
            self.end(ticket, CANCELLED)
        self.follow()

    @rule(
        results=st.lists(st.tuples(st.integers(0, 99), st.floats(-1, 1), st.floats(-9, 9)), max_size=60),
        extra=st.booleans(),
    )
    def tell(self, results, extra):
        ids = self.chosen([pick for pick, _, _ in results])
        scores, regrets = [score for _, score, _ in results], [regret for _, _, regret in results]
        self.curriculum.tell(ids, scores, regrets=regrets if extra else None)
        for task_id, score, regret in zip(ids, scores, regrets, strict=True):
            self.model.event(task_id, TOLD_WITH_REGRET if extra else TOLD, score, regret)
        self.follow()

    @rule(pick=st.integers(0, 99), score=st.floats(-1, 1))
    def update(self, pick, score):
        (task_id,) = self.chosen([pick])
        self.curriculum.update_task_performance(task_id, score)
        self.model.event(task_id, TOLD, score)
        self.follow()

    @rule(picks=picks)
    def cancel(self, picks):
        ids = self.chosen(picks)
        self.curriculum.cancel(ids, "for the test")
        for task_id in ids:
            self.model.event(task_id, CANCELLED)
        self.follow()

    @rule()
    def save(self):
        state = self.curriculum.state_dict()
        self.saved = state, self.model.copy(), list(self.out), dict(self.open), dict(self.moments)

    def back_to(self, model, open_handouts):
        """What was open at the save of tasks in the pool is open again, and waits; all other tickets have ended."""
        self.model = model.copy()
        self.ended += [ticket for ticket in self.open if ticket not in open_handouts]
        self.ended = [ticket for ticket in self.ended if ticket not in open_handouts]
        self.open, self.waiting = dict(open_handouts), list(open_handouts)
        current = {row.task_id for row in self.model.rows}
        for ticket in [ticket for ticket, task_id in self.open.items() if task_id not in current]:
            self.end(ticket, CANCELLED)
        counters = self.curriculum.tracker.snapshot().counters
        self.model.first_generation = counters.first_generation
        self.num_refused = counters.num_repeated + counters.num_unknown
        assert counters.first_generation * SIZE > max(self.issued)

    @precondition(lambda self: self.saved)
    @rule()
    def crash_and_load_in_a_new_one(self):
        state, model, out, open_handouts, self.moments = deepcopy(self.saved)
        self.curriculum.close()
        self.curriculum = Curriculum(self.config)
        self.curriculum.load_state_dict(state)
        self.out = list(out)
        self.back_to(model, open_handouts)

    @precondition(lambda self: self.saved)
    @rule()
    def load(self):
        """Into a running one: if results are out, tasks get new ids, and these results come back as stale."""
        pending = self.model.num_pending
        state, model, out, open_handouts, self.moments = deepcopy(self.saved)
        before = {row.task_id for row in model.rows}
        self.curriculum.load_state_dict(state)
        self.back_to(model, open_handouts)
        if not pending:
            self.out = list(out)
            return
        for row, now in zip(self.model.rows, self.curriculum.task_states(), strict=True):
            assert now.task_id % SIZE == row.task_id % SIZE
            assert now.task_id > row.task_id
            held = [ticket for ticket, task_id in self.open.items() if task_id == row.task_id and task_id in before]
            self.open.update(dict.fromkeys(held, now.task_id))
            row.task_id = now.task_id
            kept = min(row.num_pending, len(held))
            row.num_orphans += row.num_pending - kept
            row.num_pending = kept
            self.issued.add(now.task_id)

    @invariant()
    def the_accounts_balance(self):
        table = self.curriculum.tracker.snapshot()
        check_table(table)
        self.model.check(table.rows, table.counters, lambda values: pytest.approx(values, rel=1e-9, abs=1e-9))
        assert table.rows["is_active"].all()
        assert self.curriculum.probabilities().sum() == pytest.approx(1)
        assert table.reasons["count"].sum() == table.counters.num_cancelled
        assert table.counters.num_repeated + table.counters.num_unknown == self.num_refused
        handouts = self.curriculum.open_handouts()
        assert dict(zip(handouts.tickets.tolist(), handouts.task_ids.tolist(), strict=True)) == self.open
        assert np.unique(handouts.tickets).size == table.counters.num_open


class SharedAccounts(Accounts):
    use_shared_memory = True


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)

TestSharedAccounts = SharedAccounts.TestCase
TestSharedAccounts.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
