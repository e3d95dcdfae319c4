"""Mixtures of Gaussians, fitted by expectation-maximisation. Pure.

Source: Dempster, Laird and Rubin 1977; number of components: Akaike 1974. Written in NumPy, because new tasks are made
while the session is locked: a fit must be quick, the same in every process, and safe in a forked one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats


class Mixture(NamedTuple):
    """A mixture of k Gaussians in d dimensions."""

    weights: Floats
    """Weight of each component, shape (k,), sum 1."""
    means: Floats
    """Mean of each component, shape (k, d)."""
    roots: Floats
    """Cholesky factors L of the covariances L Lᵀ, shape (k, d, d)."""

    def log_densities(self, points: Floats) -> Floats:
        """Returns the logarithm of weight times density of each component at each point, shape (k, n).

        Args:
            points: Shape (n, d).
        """
        inverse = np.linalg.inv(self.roots)
        scaled = (points[None] - self.means[:, None]) @ inverse.transpose(0, 2, 1)
        heights = np.log(self.weights) + np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum(axis=1)
        squares = (scaled * scaled).sum(axis=2) + points.shape[1] * np.log(2.0 * np.pi)
        result: Floats = heights[:, None] - 0.5 * squares
        return result

    def sample(self, components: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Draws a point from each of `components`, shape (n,); returns shape (n, d)."""
        noise = rng.standard_normal((len(components), self.means.shape[1], 1))
        result: Floats = self.means[components] + (self.roots[components] @ noise)[:, :, 0]
        return result

    @property
    def num_parameters(self) -> int:
        """Number of free parameters of means, covariances and weights."""
        k, d = len(self.means), len(self.means[0])
        return k * (d + d * (d + 1) // 2) + k - 1


REGULARISATION = 1e-5
"""Variance added to each dimension of points scaled to about 1, so that a component of equal points is a small ball."""

MAX_STEPS = 50
"""Maximum number of steps of expectation and maximisation."""

TOLERANCE = 1e-3
"""Gain in mean log-likelihood below which a fit stops."""


def fit(points: Floats, num_components: int, rng: np.random.Generator) -> tuple[Mixture, float]:
    """Fits a mixture to `points` and returns it with its log-likelihood.

    The first components are the points nearest to each centre that k-means++ draws (Arthur and Vassilvitskii 2007).

    Args:
        points: Shape (n, d), n ≥ `num_components`.
        num_components: Number of components.
        rng: Draws the centres.
    """
    centres = _distant_points(points, num_components, rng)
    nearest = _square_distances(points, centres).argmin(axis=1)
    shares = np.eye(num_components)[nearest].T
    mixture, mean = _maximise(points, shares), -np.inf
    for _ in range(MAX_STEPS):
        logs = mixture.log_densities(points)
        top = logs.max(axis=0)
        shares = np.exp(logs - top)
        total = shares.sum(axis=0)
        mean_before, mean = mean, float((top + np.log(total)).mean())
        if mean - mean_before < TOLERANCE:
            break
        mixture = _maximise(points, shares / total)
    return mixture, mean * len(points)


def fit_best(points: Floats, numbers: range, rng: np.random.Generator) -> Mixture:
    """Fits mixtures to `points` and returns the one with the lowest Akaike information criterion.

    Args:
        points: Shape (n, d).
        numbers: Numbers of components to try, as far as there are as many points.
        rng: Draws the first components.
    """
    fits = [fit(points, number, rng) for number in numbers if number <= len(points)]
    return min(fits, key=lambda found: 2.0 * found[0].num_parameters - 2.0 * found[1])[0]


def _maximise(points: Floats, shares: Floats) -> Mixture:
    """Returns the mixture of highest likelihood if the components own `shares` of the points, shape (k, n)."""
    sizes = shares.sum(axis=1) + 1e-12
    means = shares @ points / sizes[:, None]
    offsets = points[None] - means[:, None]
    covariances = (offsets * shares[:, :, None]).transpose(0, 2, 1) @ offsets / sizes[:, None, None]
    covariances += REGULARISATION * np.eye(points.shape[1])
    return Mixture(sizes / sizes.sum(), means, np.linalg.cholesky(covariances))


def _distant_points(points: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Draws `n` points, each in proportion to its squared distance from the nearest point drawn before."""
    centres = points[rng.integers(len(points), size=1)]
    nearest = _square_distances(points, centres)[:, 0]
    for _ in range(n - 1):
        sums = np.cumsum(nearest + 1e-12)
        centre = points[[np.searchsorted(sums, rng.random() * sums[-1], side="right")]]
        centres = np.concatenate([centres, centre])
        nearest = np.minimum(nearest, _square_distances(points, centre)[:, 0])
    return centres


def _square_distances(points: Floats, centres: Floats) -> Floats:
    """Returns the squared distance of each of n points from each of k centres, shape (n, k)."""
    offsets = points[:, None] - centres[None]
    result: Floats = (offsets * offsets).sum(axis=2)
    return result
