"""The base classes of other libraries without types, as far as type checkers have to know them."""

from typing import Any


class Trainer:
    """A trainer of TRL."""

    _get_dataloader: Any
    _get_train_sampler: Any
    _calculate_rewards: Any
    _save_checkpoint: Any
    _load_optimizer_and_scheduler: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __getattr__(self, name: str) -> Any: ...


class DataSource:
    """A data source of slime."""

    __len__: Any
    save: Any
    load: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __getattr__(self, name: str) -> Any: ...


class PromptDataset:
    """A data set of verl."""

    prompt_key: str
    dataframe: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __len__(self) -> int: ...  # type: ignore[empty-body]  # pyright: ignore[reportReturnType]

    def __getitem__(self, row: int) -> dict[str, Any]: ...  # type: ignore[empty-body]  # pyright: ignore[reportReturnType]


class Buffer:
    """A replay buffer of verl. It has no methods, so that a class may inherit them from a sibling."""

    trainer_mode: str
    refill_fn: Any
    sample: Any
    _evict_terminal_groups: Any
