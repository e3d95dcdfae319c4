"""What the tests of the wrappers have in common: curricula, and the books that must balance after every use of them."""

from curricular import Curriculum, UniformConfig, bucketed

from ..helpers import balance


def curriculum_of(values, *, score_range=(0.0, 1.0), use_shared_memory=False):
    """A curriculum of one task ``{"value": …}`` per value."""
    config = UniformConfig(
        num_active_tasks=len(values), score_range=score_range, use_shared_memory=use_shared_memory, eviction_rate=0
    )
    return Curriculum(config, bucketed({"value": values[0]}, {"value": values}))


def counts(curriculum):
    """All-time counts, after a look at the books: every hand-out was told, cancelled, or is open."""
    curriculum.flush()
    stats = curriculum.stats()
    assert balance(stats) == 0
    assert stats["num_unsolicited"] == stats["num_stale"] == 0
    assert sum(state.num_completions for state in curriculum.task_states()) == stats["num_completed"]
    return {name: int(stats[f"num_{name}"]) for name in ("scheduled", "completed", "cancelled", "pending")}


def told(monkeypatch, curriculum):
    """The list of (task_id, score) that `curriculum` is told from now on."""
    pairs, tell, update = [], curriculum.tell, curriculum.update_task_performance

    def note(task_ids, scores, *, regrets=None):
        tell(task_ids, scores, regrets=regrets)
        pairs.extend(zip(task_ids, scores, strict=True))

    def note_one(task_id, score):
        update(task_id, score)
        pairs.append((task_id, score))

    monkeypatch.setattr(curriculum, "tell", note)
    monkeypatch.setattr(curriculum, "update_task_performance", note_one)
    return pairs
