"""Warns of versions of a trainer that its module was not tested with."""

import warnings
from importlib.metadata import version


def warn_if_untested(package: str, tested: tuple[str, ...], module: str) -> None:
    """Warns if the installed version of `package` starts with none of the prefixes in `tested`.

    Args:
        package: Name of the distribution.
        tested: Tested versions, as prefixes: "1.16" stands for 1.16.0, 1.16.1, ….
        module: The module that uses the package.
    """
    found = version(package)
    if not any(f"{found}.".startswith(f"{prefix}.") for prefix in tested):
        warnings.warn(
            f"{module}: tested with {package} {', '.join(tested)}, got {found}; if training fails, install a tested "
            f"version",
            stacklevel=3,
        )
