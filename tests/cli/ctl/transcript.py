"""What rabbitmqctl 3.10.8 printed, command by command, and the same words as `warren ctl` has to say them.

`rabbitmqctl.txt` was recorded with the real one on a fresh broker: `$` the command, `|` what it wrote to stdout, `!` to
stderr, `=` its exit code. What differs on purpose is changed here, and nowhere else.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

RECORDED = Path(__file__).with_name("rabbitmqctl.txt")


class Step(NamedTuple):
    command: str
    out: str
    err: str
    code: int

    @property
    def arguments(self):
        return shlex.split(self.command)


def recorded():
    """Every step; the order of a list's rows is anybody's, so they are sorted on both sides."""
    steps, out, err = [], [], []
    command = ""
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        kind, text = line[0], line[2:]
        match kind:
            case "$":
                command, out, err = text, [], []
            case "|":
                out.append(text)
            case "!":
                err.append(text)
            case "=":
                steps.append(comparable(Step(command, ours("\n".join(out)), ours("\n".join(err)), int(text))))
    return steps


def ours(text):
    """Names and usage of this command instead of rabbitmqctl's."""
    text = text.replace("rabbitmqctl help", "warren ctl help").replace("wf@localhost", "rabbit@n1")
    return re.sub(r"\x1b\[\d*m", "", text)


def comparable(step):
    """Without the help that follows a complaint, and with a list's rows in one order."""
    complaint = step.err.partition("\nArguments given:")[0].strip()
    if step.code == 64 and "not found." in complaint:
        complaint = complaint.partition("\n\n")[0]
    lines = re.sub(r"rabbitmq-cluster-id-[\w-]+", "rabbitmq-cluster-id", step.out).strip().splitlines()
    is_list = " list_" in f" {step.command}"
    if is_list and "json" in step.command and lines:
        lines = sorted(line.lstrip(",") for line in lines)
    elif is_list:
        head = [line for line in lines if line.startswith("Listing") or line in HEADERS]
        lines = head + sorted(line for line in lines if line not in head)
    return Step(step.command, "\n".join(lines), complaint, step.code)


HEADERS = {
    "user\ttags",
    '"user","tags"',
    "name",
    "name\tdescription\tdefault_queue_type\ttracing",
    "name\tdescription",
    "user\tconfigure\twrite\tread",
    "vhost\tconfigure\twrite\tread",
    "user\texchange\twrite\tread",
    "vhost\tlimits",
    "user\tlimits",
    "component\tname\tvalue",
    "name\tvalue",
    "vhost\tname\tpattern\tapply-to\tdefinition\tpriority",
    '"vhost","name","pattern","apply-to","definition","priority"',
}
