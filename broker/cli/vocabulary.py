"""What commands and nodes say to each other over the admin road: every request with its fields and its answer.

A request is a JSON object `{"do": NAME, …}`, an answer a JSON object; a refusal is `{"error": TEXT}`, with a `code`
(those of cluster/refusal.py; `invalid` for a malformed request) where a program may want to know. Requests marked
(local) are answered by each node from what it knows itself, and the command merges the answers; any node that runs
answers the others for the whole cluster. `vhost` may be left out and, unless it says otherwise, means "/".

To a node, at its link address:

    status        (local) {queues: bool = true}                     -> NodeStatus
    apply         {vhosts: [name], users: [{name, password, tags, permissions: {vhost: [configure, write, read]}}],
                   policies: [policy], operator_policies: [policy], definitions: optional}
                                                                    -> {set: [text]}; only adds and changes
    close_connections {pids: [pid], reason, delay_ms: int}          -> {closed: int}; of clients, one after the other
    purge_queue   {vhost, queue}                                    -> {messages: int}
    delete_queue  {vhost, queue, if_unused: bool, if_empty: bool}   -> {messages: int}
    pause_queue   {vhost, queue, paused: bool}                      -> {changed: bool}; false: it was so already
    sync          {vhost, queue}                                    -> {state: "syncing" | "synchronised"}
    sync_state    {vhost, queue}                    -> {state: "syncing" | "synchronised" | "not_syncing"}
    cancel_sync   {vhost, queue}                                    -> {state: "cancelled" | "not_syncing"}
    promote       {vhost, queue, node}                              -> {from: node, to: node, missing: int | null};
                  null: nobody can say; of a queue that runs: as transfer
    transfer      {vhost, queue, node}                              -> {from: node, to: node, missing: 0}; answered when
                  the mirror there holds everything and is the master
    rebalance     {type: "all" | "classic" | "quorum", vhost_pattern, queue_pattern}, each optional
                  -> {rows: [{node, quorum: int, classic: int}], moved: [{vhost, queue, from, to}], failed: [the same,
                  and why]}; answered when all is done; refused `rebalance_in_progress`
    drain, revive {node: by default who is asked}                   -> {node, changed: bool}; drained: staying: [queue]
    publish       {vhost, exchange, key, bodies: [Body], persistent: bool, declare: bool}
                                                                    -> {published, unroutable, refused: int}; answered
                  when everything is confirmed; `declare` makes the durable queue `key` first if there is none
    facts         {kind, vhost: name, or left out for all; fields: [name], or left out for all}
                                                                    -> {rows: [row], silent: [node]}; kinds: those of
                  node/facts.py; a row has the field names of RabbitMQ's HTTP API; `silent` nodes have not told theirs
    describe      {}                                                -> the facts of node/description.py
    get           {vhost, queue, count: int, keep: bool} -> {messages: [Message], remaining: int, paused: bool}
    top           {sort: "messages" | "ready" | "unacked" | "in" | "out" | "name", limit: int, filter: text}
                  -> {rows: [QueueRow with in_rate, out_rate], waiting: [QueueRow], waiting_count: int, nodes: {name:
                  {queues, messages, matching: int, in_rate, out_rate}}, silent: [node]}; each may be left out; the
                  first few queues of all; rates per second since a look before, null without one; `waiting`: no master
    browse        {vhost, queue, after, offset, limit, body_bytes: int, search, state: "all" | "ready" | "unacked"}
                  -> {messages: [Sight], scanned: int, next: int | null, messages_ready, messages_unacknowledged: int};
                  behind position `after`, without the first `offset` of those; one answer passes over a bounded number
                  of messages: the next request goes on behind `next`, unless that is null
    replay        {vhost, queue, after, upto, limit: int, search, reason, original, to, exchange, key, user: text,
                  again, dry_run: bool}; all but `queue` may be left out
                  -> {scanned, matched, replayed: int, kept: {why: int}, ways: [{exchange, keys, queues: [name],
                  messages: int}], next: int | null, upto: int}; `ways` of a dry run only; after a while the answer
                  comes with `next`: the following request goes on `after` that, with the same `upto`, behind which
                  letters came later than the first request; `user`: with the rights of that one
    recovered_list   {}                                             -> {files: [{node, file, vhost, queue, queue_id,
                  messages, why, stamp_ms}], silent: [node]}; `silent` nodes do not run or have not told theirs
    recovered_show   {file, after: int = 0, count: int = 10}        -> {messages: [Recovered], remaining: int}; those of
                  node/recovery_line.py, fewer than `count` if they are large
    recovered_replay {file, queue: optional}                        -> {confirmed, kept: int, why: {reason: int},
                  silent: [node]}; `silent` nodes may have kept the same messages, and were not told
    recovered_drop   {file}                                         -> {messages: int}
    change        {request: {do: PROCEDURE, …}}                     -> the procedure's answer; users, rights, limits,
                  virtual hosts, policies, parameters and members only, with what `broker/cluster/procedures` says
    authenticate  {user, password}                                  -> {authenticated: bool, why: text if not}
    export_definitions  {vhost: optional}                           -> {definitions: RabbitMQ's object}
    import_definitions  {definitions, vhost: optional}              -> {}; answered when all is done
    events        (local) {after_ms: int = 0}                       -> {events: [Event]}, later ones, oldest first
    block         (local) {peers: {node: "both" | "in" | "out"}}    -> {}; drops what comes in or goes out; adds
    unblock       (local) {}                                        -> {}
    stop_app, start_app   (local) {}                                -> {}; at once: `status` tells when it is done
    shutdown      (local) {}                                        -> {}; at once: the process ends, orderly
    reset, force_reset, force_boot   (local) {}                     -> {}; these and the next ones only while the
                  broker is stopped, else `running`
    join_cluster, update_cluster_nodes   (local) {target, address: optional}   -> {already: bool} or {members: [name]}
    forget_offline   (local) {node}                                 -> {}; done by the next life, which is forced

A policy is RabbitMQ's object: {vhost, name, pattern, apply-to, priority, definition}.

To the supervisor, at its own loopback port (run.json); `at_ms` is when the signal was sent:

    processes     {}                                                -> {nodes: {name: Process}}
    kill, stop, freeze, thaw   {node}                               -> {node, pid, at_ms, majority: text}
    start, restart             {node}                               -> {node, pid, majority}; once it says `ready`,
                  or at once while too few nodes run for any to be ready
    block         {blocks: {node: {peer: "both" | "in" | "out"}}}   -> {}; handed to nodes that start later; adds
    unblock       {}                                                -> {}
    adopt         {cluster: the file, resolved}                     -> {links: {node: address}, started, outdated:
                  [node]}; links of the nodes of this machine, of which those that are new in the file are started;
                  `outdated` ones run with settings that are others in the file now
    release       {node}                                            -> {}; of a node that does not run, and has left
    down          {}                                                -> {stopping: [name]}
"""

from typing import Any, Literal, NotRequired, TypedDict

NodeState = Literal["starting", "running", "paused", "failed", "frozen", "stopped", "killed", "unreachable"]
ProcessState = Literal["starting", "running", "frozen", "stopped", "killed"]
QueueState = Literal["running", "syncing", "waiting", "unavailable", "paused"]


class QueueRow(TypedDict):
    """One queue. The node with its master knows the counts; elsewhere `messages` and what follows it are null."""

    vhost: str
    name: str
    type: str
    """`classic`, or `quorum`: then policies do not say where its copies are."""
    master: str | None
    mirrors: list[str] | None
    """Without the master; null for a queue without mirroring policy."""
    in_sync: list[str] | None
    """Those of the mirrors that hold everything; without the master."""
    term: int
    state: QueueState
    reason: str | None
    policy: str | None
    operator_policy: str | None
    durable: bool
    exclusive: bool
    """It ends with its connection."""
    unsynchronised: dict[str, int]
    """Mirror -> messages that it lacks, as far as its master knows."""
    sync_messages: int | None
    """While mirrors are filled (state `syncing`): how many messages the one has that lacks most."""
    sync_percent: int | None
    promotion: "Promotion | None"
    """How it got its present master; null for the first, or if its node does not remember."""
    messages: int | None
    messages_ready: int | None
    messages_unacknowledged: int | None
    message_bytes: int | None
    consumers: int | None


class Promotion(TypedDict):
    """A change of master, as the time line tells it (see Event), of this `term` of the queue."""

    stamp_ms: int
    cause: str
    ms: int
    in_sync: bool
    missing: int | None
    kinds: list[str]
    term: int


class Member(TypedDict):
    """One member of the cluster."""

    link: str
    """Where it is dialled; empty if nobody knows."""
    running: bool
    voter: bool
    """Whether it counts when there must be a majority: not before it holds everything."""
    leaving: bool
    drained: bool


class NodeStatus(TypedDict):
    """One node's answer to `status`."""

    node: str
    cluster: str
    state: Literal["starting", "running", "paused", "failed"]
    """`running` when clients are served; a `failed` node has a disk that must be mended before it is restarted."""
    reason: str | None
    """For a node that does not run: why, how many nodes are missing, which setting would let it go on."""
    members: dict[str, Member]
    """Who belongs to the cluster, as this node knows it."""
    cluster_name: str
    """What clients are told."""
    version: str
    platform: str
    cpu_cores: int
    waiting_for: list[str]
    pid: int
    life: int
    role: Literal["leader", "follower", "looking"] | None
    epoch: int
    amqp: str
    amqps: str | None
    http: str
    https: str | None
    link: str
    uptime_s: float
    memory_bytes: int
    alarms: list[str]
    """What it runs short of: memory, disk."""
    fsync: Literal["always", "interval", "never"] | None
    """Unless `always`, confirmed messages may be lost with the machine; null with `data: memory`, which keeps none."""
    cut_from: list[str]
    """Living nodes that this one cannot hear or must not hear."""
    parted_from: list[str]
    """Nodes that went on without this one, as it did without them."""
    view: list[str]
    """Nodes of whom all have to agree; [] where a majority decides."""
    partition_handling: str
    """The mode; `auto` is resolved."""
    majority: int
    """How many of those who have a vote are one."""
    queues: NotRequired[list[QueueRow]]


class NodeRow(TypedDict):
    """One node in `warren status`."""

    name: str
    state: NodeState
    reason: str | None
    pid: int | None
    life: int | None
    role: str | None
    epoch: int | None
    amqp: str
    amqps: str | None
    http: str
    https: str | None
    link: str
    uptime_s: float | None
    memory_bytes: int | None
    alarms: list[str]
    fsync: str | None
    maintenance: bool
    """It was drained: it serves no clients, and has no masters that could be elsewhere."""


class Partition(TypedDict):
    """A node, the living ones that it cannot hear, and those that went on without it, as it did without them."""

    node: str
    cut_from: list[str]
    parted_from: list[str]


class Status(TypedDict):
    """`warren status --json`."""

    cluster: str
    members: list[str]
    """Who belongs to the cluster, as it has committed it; the file's nodes if nobody answers."""
    partition_handling: str
    """The mode; `auto` is resolved."""
    majority: int
    """How many of those who have a vote are one."""
    nodes: list[NodeRow]
    queues: list[QueueRow]
    partitions: list[Partition]


class Doors(TypedDict):
    """Where a node listens, each `host:port`."""

    amqp: str
    amqps: str | None
    http: str
    https: str | None
    link: str


class Process(Doors):
    """What the supervisor knows of a node that it started."""

    state: ProcessState
    reason: str | None
    pid: int | None


class Event(TypedDict):
    """One line of the time line; kinds may add fields of their own.

    A `promotion` has vhost, queue, cause (kill, stop, silence, policy, maintenance, operator), from, to, ms (from the
    loss of the old master), in_sync (whether the new one held everything), missing (messages; null if nobody can say)
    and kinds (which may be missing: persistent, transient).
    """

    id: str
    """Equal on every node that tells of the same thing."""
    stamp_ms: int
    node: str
    kind: str
    text: str
    """For people, one line."""


class Body(TypedDict):
    """A message's body: text, or base64 of what is not UTF-8."""

    body: str
    encoding: Literal["utf8", "base64"]


class Message(Body):
    """A message that `get` returns."""

    exchange: str
    key: str
    redelivered: bool
    properties: dict[str, Any]


class Holder(TypedDict):
    """Who has not acknowledged a message; channel, connection and user are null if nobody can say."""

    node: str
    consumer_tag: str | None
    """Null for what was fetched by basic.get."""
    channel: str | None
    connection: str | None
    user: str | None


class Sight(Message):
    """A message that `browse` shows: its body as far as that was wanted."""

    position: int
    state: Literal["ready", "unacked"]
    holder: Holder | None
    stamp_ms: int
    """When its queue took it."""
    body_bytes: int
    """Of the whole body."""
    truncated: bool
