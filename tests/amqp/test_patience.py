from broker.amqp.patience import Patience


def test_a_delivery_is_out_too_long_after_the_timeout_and_no_sooner():
    patience = Patience()
    looks = {now: patience.is_over(now, 10.0, 1, 2) for now in range(13)}
    assert looks == {now: now >= 10 for now in range(13)}


def test_answers_and_new_deliveries_begin_anew():
    patience = Patience()
    for now in range(100):
        # each delivery is answered after three seconds, the next are out already
        assert not patience.is_over(float(now), 10.0, max(1, now - 3), now + 1)
    assert not patience.is_over(100.0, 10.0, None, 101)
    assert not patience.is_over(101.0, 10.0, 101, 102)
    assert not patience.is_over(110.0, 10.0, 101, 102)
    assert patience.is_over(111.0, 10.0, 101, 102)


def test_the_oldest_one_counts_however_many_follow():
    patience = Patience()
    assert not any(patience.is_over(float(now), 10.0, 5, 6 + now) for now in range(10))
    assert patience.is_over(10.0, 10.0, 5, 16)
