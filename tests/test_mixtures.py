"""Mixtures of Gaussians: they find the components of a sample, and fit as well as scikit-learn's."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from curricular.algorithms.alp_gmm import local_progress
from curricular.algorithms.mixtures import fit, fit_best


def clouds(sizes, centres, spread, seed=0):
    rng = np.random.default_rng(seed)
    parts = zip(sizes, centres, strict=True)
    return np.concatenate([centre + spread * rng.standard_normal((size, len(centre))) for size, centre in parts])


def test_three_clouds_are_found():
    points = clouds([100, 60, 40], [(0.2, 0.2), (0.8, 0.2), (0.5, 0.9)], 0.04)
    mixture = fit_best(points, range(2, 11), np.random.default_rng(0))
    assert len(mixture.weights) >= 3
    for centre in [(0.2, 0.2), (0.8, 0.2), (0.5, 0.9)]:
        assert np.abs(mixture.means - centre).sum(axis=1).min() < 0.05


@pytest.mark.parametrize("num_components", [2, 4, 7])
def test_it_fits_as_well_as_the_reference(num_components):
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.random((150, 3)), clouds([100], [(0.3, 0.7, 0.1)], 0.05)])
    mixture, likelihood = max(
        (fit(points, num_components, np.random.default_rng(i)) for i in range(5)), key=lambda x: x[1]
    )
    reference = GaussianMixture(num_components, n_init=5, init_params="k-means++", random_state=0, max_iter=50).fit(
        points
    )
    assert likelihood / len(points) > reference.score(points) - 0.05
    reference.weights_, reference.means_ = mixture.weights, mixture.means
    inverse = np.linalg.inv(mixture.roots)
    reference.precisions_cholesky_ = inverse.transpose(0, 2, 1)
    assert likelihood / len(points) == pytest.approx(reference.score(points))
    reference.n_features_in_ = 3
    assert mixture.num_parameters == reference._n_parameters()


def test_samples_have_the_mean_and_the_covariance():
    points = clouds([400], [(0.5, 0.5)], 0.1) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    mixture, _ = fit(points, 1, np.random.default_rng(0))
    drawn = mixture.sample(np.zeros(20000, np.int64), np.random.default_rng(1))
    assert drawn.mean(axis=0) == pytest.approx(points.mean(axis=0), abs=0.005)
    assert np.cov(drawn.T) == pytest.approx(np.cov(points.T), abs=0.001)


@pytest.mark.parametrize("points", [np.zeros((30, 2)), np.tile([[0.0, 1.0], [1.0, 0.0]], (10, 1)), np.eye(12)])
def test_points_that_are_equal_or_few_do_no_harm(points):
    mixture = fit_best(points, range(2, 11), np.random.default_rng(0))
    for part in mixture:
        assert np.isfinite(part).all()
    assert mixture.weights.sum() == pytest.approx(1.0)


def test_progress_is_where_newer_neighbours_score_otherwise():
    rng = np.random.default_rng(2)
    points = rng.random((500, 2))
    rises = points[:, 0] < 0.3
    p = np.where(rises, np.linspace(0.0, 1.0, 500), 0.5)
    found = local_progress(points, (rng.random(500) < p).astype(float), 250, 10)
    assert found.shape == (250,)
    assert (found >= 0.0).all()
    assert found[points[-250:, 0] < 0.25].mean() > 4 * found[points[-250:, 0] > 0.4].mean()
    assert local_progress(points, np.ones(500), 250, 10).max() == 0.0
    assert len(local_progress(points[:40], np.ones(40), 250, 10)) == 40
