"""A figure is found out anew when it may be another, and not in each turn."""

from broker.queues.gauge import COUNT_MIN, TURNS_MAX, Gauge


class Counted:
    def __init__(self) -> None:
        self.value = self.looks = 0
        self.gauge = Gauge(self.look)

    def look(self) -> int:
        self.looks += 1
        return self.value


def test_few_messages_are_measured_whenever_their_number_is_another() -> None:
    counted = Counted()
    for count in (1, 2, 5, COUNT_MIN, 3):
        counted.value = 10 * count
        assert counted.gauge.read(count) == 10 * count
        assert counted.gauge.read(count) == 10 * count
    assert counted.looks == 5


def test_many_are_measured_when_an_eighth_has_come_or_gone() -> None:
    counted = Counted()
    counted.gauge.read(1000)
    counted.value = 7
    assert (counted.gauge.read(1100), counted.gauge.read(900), counted.looks) == (0, 0, 1)
    assert (counted.gauge.read(1126), counted.looks) == (7, 2)


def test_after_some_turns_it_is_measured_in_any_case() -> None:
    counted = Counted()
    counted.gauge.read(1000)
    counted.value = 7
    assert [counted.gauge.read(1000) for _ in range(TURNS_MAX)] == [0] * (TURNS_MAX - 1) + [7]
    assert counted.looks == 2
