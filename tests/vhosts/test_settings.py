from broker.cluster.arguments import to_json
from broker.cluster.records import Life, QueueRecord
from broker.queues.settings import Settings
from broker.vhosts.settings import settings_of
from broker.wire.fields import Long


def record(arguments=None, definition=None):
    return QueueRecord(1, "/", "q", Life("n1", 1), 1, arguments=to_json(arguments or {}), definition=definition)


def test_without_anything_said_nothing_is_limited():
    assert settings_of(record()) == Settings()


def test_arguments_are_obeyed():
    arguments = {
        "x-message-ttl": Long(1000),
        "x-expires": 2000,
        "x-max-length": 3,
        "x-max-length-bytes": 4,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "dlx",
        "x-dead-letter-routing-key": "dead",
        "x-max-priority": 5,
        "x-single-active-consumer": True,
    }
    assert settings_of(record(arguments)) == Settings(
        message_ttl_ms=1000,
        expires_ms=2000,
        max_length=3,
        max_length_bytes=4,
        overflow="reject-publish",
        dead_letter_exchange="dlx",
        dead_letter_routing_key="dead",
        max_priority=5,
        single_active_consumer=True,
    )


def test_of_argument_and_policy_the_lower_number_counts_and_the_arguments_name():
    arguments = {"x-message-ttl": 100, "x-max-length": 10, "x-dead-letter-exchange": "mine"}
    definition = {"message-ttl": 50, "max-length": 20, "dead-letter-exchange": "theirs", "expires": 7}
    found = settings_of(record(arguments, definition))
    assert (found.message_ttl_ms, found.max_length, found.dead_letter_exchange, found.expires_ms) == (50, 10, "mine", 7)


def test_no_priority_is_no_priority_queue():
    assert settings_of(record({"x-max-priority": 0})).max_priority is None


def test_the_type_says_what_a_queue_counts_and_which_keys_it_knows():
    definition = {"delivery-limit": 5, "dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
    assert settings_of(record({}, definition)) == Settings(overflow="reject-publish")
    quorum = {"x-queue-type": "quorum"}
    found = settings_of(record(quorum, definition))
    assert found == Settings(
        overflow="reject-publish", counts_returns=True, delivery_limit=5, dead_letters_must_arrive=True
    )
    assert settings_of(record({**quorum, "x-delivery-limit": 2}, definition)).delivery_limit == 2
    assert settings_of(record({**quorum, "x-delivery-limit": 9}, definition)).delivery_limit == 5
    assert settings_of(record({**quorum, "x-delivery-limit": "nonsense"})).delivery_limit is None
    without_limit = {"dead-letter-strategy": "at-least-once"}
    assert not settings_of(record(quorum, without_limit)).dead_letters_must_arrive
