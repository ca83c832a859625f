"""What the nodes of a cluster say of themselves, without a road to them."""

from broker.cli.ctl.call import Call
from broker.cli.ctl.failures import CtlFailure, Exit

DOORS = {"amqp": "127.0.0.1:5672", "amqps": None, "http": "0.0.0.0:15672", "https": None, "link": "[::1]:25672"}


class FakeMembers:
    """All serve, and nothing is wrong; `says` changes that."""

    def __init__(self, monkeypatch, *names):
        self.answers = {}
        for name in names:
            self.says(name)
        monkeypatch.setattr(Call, "survey", lambda call: self.in_order())
        monkeypatch.setattr(Call, "look_at", lambda call, node: self.look_at(node))

    def says(self, name, **facts):
        known = {"state": "running", "reason": None, "alarms": [], "version": "3.10.8", "pid": 42}
        quorum = {"partition_handling": "pause_minority", "majority": 2}
        answer = {**known, **quorum, **DOORS, **facts}
        self.answers[name] = answer
        members = {other: {"running": one["state"] == "running"} for other, one in self.answers.items()}
        for one in self.answers.values():
            one["members"] = members

    def in_order(self):
        return dict(sorted(self.answers.items(), key=lambda item: item[1]["state"] != "running"))

    def look_at(self, node):
        name = node.removeprefix("rabbit@")
        if name not in self.answers:
            raise CtlFailure(Exit.UNAVAILABLE, "Error: unable to perform an operation", bare=True)
        return self.answers[name]
