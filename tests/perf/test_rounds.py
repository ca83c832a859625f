import pytest

from broker.perf.rounds import _span


@pytest.mark.parametrize(("figures", "said"), [([57.0], "57"), ([57.1, 57.2], "57"), ([40.0, 57.2], "40 to 57")])
def test_a_span_of_one_figure_is_that_figure(figures, said):
    assert _span(figures) == said
