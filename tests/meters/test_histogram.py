"""Buckets are closed at their upper end, as Prometheus has them."""

import pytest

from broker.meters.histogram import Histogram


@pytest.mark.parametrize(("value", "bucket"), [(0.0, 0), (1.0, 0), (1.1, 1), (2.0, 1), (2.5, 2)])
def test_each_value_is_in_the_first_bucket_that_reaches_it(value, bucket):
    histogram = Histogram((1.0, 2.0))
    histogram.observe(value, 3)
    assert histogram.counts == [3 if index == bucket else 0 for index in range(3)]
    assert (histogram.count, histogram.sum) == (3, 3 * value)
