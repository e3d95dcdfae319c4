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
