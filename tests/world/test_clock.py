"""Wall time is in milliseconds, and moves."""

import datetime

from broker.world.clock import RealClock


def test_the_stamp_is_the_time_of_day():
    before = datetime.datetime.now(datetime.UTC).timestamp() * 1000
    stamp_ms = RealClock().stamp_ms()
    assert before - 1 <= stamp_ms <= before + 60_000
