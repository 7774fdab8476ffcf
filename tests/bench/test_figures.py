from __future__ import annotations

import pytest

from benchmarks.figures import exponent, figure, percentile, ratio


def test_a_figure_is_the_median_with_its_spread() -> None:
    found = figure([float(n) for n in range(101)][::-1])
    assert found is not None
    assert (found.median, found.low, found.high, found.p95, found.count) == (50, 10, 90, 95, 101)


def test_of_nothing_there_is_no_figure() -> None:
    assert figure([]) is None


def test_one_value_is_all_of_its_percentiles() -> None:
    assert [percentile([7.0], p) for p in (0, 50, 95, 100)] == [7.0] * 4


def test_a_percentile_lies_between_two_neighbours() -> None:
    assert percentile([40.0, 0.0, 10.0], 75) == 25.0


def test_an_outlier_moves_the_p95_and_not_the_median() -> None:
    found = figure([1.0, 1.0, 1.0, 1.0, 100.0])
    assert found is not None
    assert found.median == 1.0
    assert found.p95 > 50


def test_no_ratio_to_nothing() -> None:
    assert ratio(3.0, 0.0) is None
    assert ratio(3.0, 2.0) == 1.5


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_exponent_of_a_power_is_the_power(power: float) -> None:
    points = [(float(n), 5.0 * float(n) ** power) for n in (100, 1000, 3000)]
    assert exponent(points) == pytest.approx(power)


def test_no_exponent_of_one_number_of_services() -> None:
    assert exponent([(100.0, 1.0), (100.0, 2.0)]) is None
    assert exponent([(10.0, 0.0), (100.0, 2.0)]) is None
