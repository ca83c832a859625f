from broker.server.overdue import overdue


class FakeChannel:
    def __init__(self, number, *, late, state="open"):
        self.number = number
        self.state = state
        self.late = late

    def is_overdue(self, now, timeout_s):
        return now - self.late > timeout_s


def test_only_open_channels_that_are_late_are_named():
    channels = [FakeChannel(1, late=0), FakeChannel(2, late=9), FakeChannel(3, late=0, state="closing")]
    ((channel, error),) = overdue(channels, 10.0, 5000)
    assert channel.number == 1
    assert error.code == 406
    assert error.why.startswith("delivery acknowledgement on channel 1 timed out. Timeout value used: 5000 ms.")
