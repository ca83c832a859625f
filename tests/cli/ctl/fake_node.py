"""A node that answers `warren ctl` without a road to it: what it was asked, and what it says."""

from broker.cli.ctl import call
from broker.cli.entry import run
from tests.cli.conftest import Done


class FakeNode:
    """`rows` by kind of facts, `answers` by what is to be done; a list of answers is given out one by one."""

    def __init__(self, monkeypatch, capsys, name="n1"):
        self.rows = {}
        self.silent = []
        self.answers = {}
        self.asked = []
        self._name = name
        self._capsys = capsys
        monkeypatch.setattr(call, "_asked", self._asked)

    def _asked(self, settings, command, request):
        self.asked.append(request)
        return {**self._answer(request), "answered_by": (settings.node or self._name).removeprefix("rabbit@")}

    def _answer(self, request):
        if request["do"] != "facts":
            answer = self.answers[request["do"]]
            return answer.pop(0) if isinstance(answer, list) else answer
        vhost = request.get("vhost")
        if vhost == "nope":
            return {"error": "Virtual host 'nope' does not exist", "code": "not_found"}
        return {"rows": self.rows[request["kind"]], "silent": self.silent}

    def ctl(self, *arguments):
        """Run one command."""
        code = run(["ctl", *arguments])
        out, err = self._capsys.readouterr()
        return Done(code, out, err)
