"""The small application of test_celery.py: its tasks, and when run with BROKERS RESULTS QUEUE, a worker of it."""

import sys
import time
from pathlib import Path

from celery import Celery


def application(brokers: str, results: str, queue: str) -> Celery:
    """The application in one set-up: where its brokers are, where results go, and from which queue tasks come."""
    app = Celery("warren", broker=brokers, backend=results, set_as_current=False)
    app.conf.update(
        task_default_queue=queue,
        task_acks_late=True,  # whoever dies between receiving and answering must not take the task along
        worker_prefetch_multiplier=2,
        broker_transport_options={"confirm_publish": True},  # a task or a result is sent when the broker says so
        broker_connection_retry_on_startup=True,
        result_chord_retry_interval=0.2,
        result_persistent=True,
    )
    for task in (add, total, stamp):
        app.task(task, name=task.__name__)
    app.task(third_time_lucky, name="third_time_lucky", bind=True, default_retry_delay=0.5)
    return app


def add(one, other, gate=None):
    """Under way until the file `gate` exists, if it is named: so a test knows what a node's death interrupts."""
    while gate is not None and not Path(gate).exists():
        time.sleep(0.02)  # in a process of its own, where only a file can say that it is time
    return one + other


def total(numbers):
    return sum(numbers)


def stamp():
    """When it was carried out."""
    return time.time()


def third_time_lucky(self):
    """How often it had to be tried again."""
    if self.request.retries < 2:
        raise self.retry()
    return self.request.retries


if __name__ == "__main__":
    options = ["--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    application(*sys.argv[1:]).worker_main(["worker", *options, "--hostname", f"{sys.argv[3]}@warren"])
