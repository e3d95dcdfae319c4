"""Numbers as users have them are taken where the meaning is plain, and refused with one clear error otherwise."""

from decimal import Decimal

import numpy as np
import pytest

from curricular import Curriculum, UniformConfig
from curricular.inputs import MAX_ASKED


@pytest.fixture
def curriculum():
    curriculum = Curriculum(UniformConfig(num_active_tasks=4, use_shared_memory=False))
    curriculum.ask(4)
    return curriculum


def last_scores(curriculum):
    return [state.last_score for state in curriculum.task_states()]


def tensors(*values):
    torch = pytest.importorskip("torch")
    return torch.tensor(values, requires_grad=True)


ONE_SCORE = {
    "an array of shape (1,)": lambda: np.array([0.25]),
    "an array of shape ()": lambda: np.array(0.25),
    "a list of one": lambda: [0.25],
    "a decimal": lambda: Decimal("0.25"),
    "a masked array without masked entries": lambda: np.ma.array([0.25], mask=[False]),
    "a tensor that requires gradients": lambda: tensors(0.25)[0],
    "a tensor of shape (1,)": lambda: tensors(0.25),
    "a tensor of 16 bits": lambda: tensors(0.25).bfloat16(),
}


@pytest.mark.parametrize("make", ONE_SCORE.values(), ids=ONE_SCORE.keys())
def test_one_score(curriculum, make):
    curriculum.update_task_performance(0, make())
    assert last_scores(curriculum)[0] == 0.25


SCORES = {
    "a tensor that requires gradients": lambda: tensors(0.25, 0.5),
    "a list of such tensors": lambda: list(tensors(0.25, 0.5)),
    "a tensor of 16 bits": lambda: tensors(0.25, 0.5).bfloat16(),
    "a masked array without masked entries": lambda: np.ma.array([0.25, 0.5]),
    "truth values and numbers": lambda: [0.25, np.float32(0.5)],
}


@pytest.mark.parametrize("make", SCORES.values(), ids=SCORES.keys())
def test_several_scores(curriculum, make):
    curriculum.tell([0, 1], make())
    assert last_scores(curriculum)[:2] == [0.25, 0.5]


def test_tensors_of_groups_and_regrets_and_ids(curriculum):
    torch = pytest.importorskip("torch")
    curriculum.tell(torch.tensor([0, 1]), tensors([0.25, 0.75], [0.5, 0.5]), regrets=tensors(1.0, 2.0))
    assert [state.last_regret for state in curriculum.task_states()[:2]] == [1.0, 2.0]
    assert curriculum.stats()["num_completed"] == 2


class OnDevice:
    """A tensor on another device: NumPy cannot look into it, but it has a list of its numbers."""

    def __init__(self, values):
        self.values = values

    def __array__(self, *args, **kwargs):
        raise TypeError("can't convert a tensor on a device to numpy")

    def tolist(self):
        return self.values


def test_ids_and_tickets_on_another_device_are_told_and_cancelled(curriculum):
    curriculum.tell(OnDevice([0, 1]), OnDevice([0.25, 0.5]))
    curriculum.cancel(OnDevice([2, 3]), "it hung")
    tickets = curriculum.ask_batch(4).tickets.tolist()
    assert curriculum.tell_batch(OnDevice(tickets[:2]), OnDevice([0.25, 0.5])) == 2
    assert curriculum.cancel_batch(OnDevice(tickets[2:]), "it hung") == 2
    stats = curriculum.stats()
    assert (stats["num_completed"], stats["num_cancelled"]) == (4, 4)


REFUSED = {
    "a masked score": (np.ma.masked, "got masked"),
    "an array with a masked entry": (np.ma.array([0.25], mask=[True]), "one number, got masked"),
    "a complex number": (0.25 + 0j, r"got \(0.25\+0j\)"),
    "a complex number of NumPy": (np.complex64(0.25), "got np.complex64"),
    "an array of complex numbers": (np.array([0.25 + 0j]), "got array"),
    "two scores": ([0.25, 0.5], r"got \[0.25, 0.5\]"),
    "an array of shape (1, 1)": (np.array([[0.25]]), "got array"),
    "text": ("0.25", "got '0.25'"),
}


@pytest.mark.parametrize(("score", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_score_is_refused_and_changes_nothing(curriculum, score, message):
    with pytest.raises(TypeError, match=f"score: expected one number, {message}|expected one number, got masked"):
        curriculum.update_task_performance(0, score)
    assert curriculum.stats()["num_completed"] == 0


@pytest.mark.parametrize(
    ("scores", "error", "message"),
    [
        (np.ma.array([0.25, 0.5], mask=[True, False]), ValueError, "scores: expected numbers, got a masked array"),
        (np.array([0.25 + 0j, 0.5]), TypeError, "scores: expected numbers, got dtype complex128"),
        ([[0.25 + 0j], [0.5]], TypeError, "scores: expected numbers, got dtype complex128"),
    ],
)
def test_what_are_no_scores_is_refused_and_changes_nothing(curriculum, scores, error, message):
    with pytest.raises(error, match=message):
        curriculum.tell([0, 1], scores)
    assert curriculum.stats()["num_completed"] == 0


def test_more_tasks_than_fit_into_memory_are_refused_at_once(curriculum):
    with pytest.raises(ValueError, match=rf"n: expected 0 to {MAX_ASKED} tasks, got {10**12}; pass a number"):
        curriculum.ask(10**12)
