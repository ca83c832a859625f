"""The commands of `warren ctl`, by what they are about: where each is, and what it does in a line.

Decides which there are, and the order of the help page. Each is imported when it is called, from a function of its own
name.
"""

from typing import Final

Commands = dict[str, tuple[str, str]]


def _of(module: str, **commands: str) -> Commands:
    return {name: (f"{module}:{name}", text) for name, text in commands.items()}


SECTIONS: Final[dict[str, Commands]] = {
    "Help": {"help": ("broker.cli.ctl.help:help_command", "Show what a command does, and its arguments.")},
    "Users": _of(
        "broker.cli.ctl.users",
        add_user="Create a user; without permissions for any virtual host yet.",
        authenticate_user="Try a password; an exit code other than 0: wrong.",
        change_password="Change a user's password.",
        clear_password="Let no password fit.",
        delete_user="Remove a user and all permissions.",
        list_users="List users and their tags.",
        set_user_tags="Set a user's tags.",
    )
    | _of(
        "broker.cli.ctl.user_limits",
        clear_user_limits="Remove limits of a user.",
        list_user_limits="Show the limits of users.",
        set_user_limits="Limit connections and channels of a user.",
    ),
    "Access control": _of(
        "broker.cli.ctl.permissions",
        clear_permissions="Let a user do nothing in a virtual host.",
        list_permissions="List what users may do in a virtual host.",
        list_user_permissions="List what a user may do everywhere.",
        set_permissions="Say what a user may do in a virtual host.",
    )
    | _of(
        "broker.cli.ctl.topic_permissions",
        clear_topic_permissions="Let a user use every routing key.",
        list_topic_permissions="List topic permissions in a virtual host.",
        list_user_topic_permissions="List a user's topic permissions everywhere.",
        set_topic_permissions="Say which routing keys a user may use.",
    ),
    "Virtual hosts": _of(
        "broker.cli.ctl.vhosts",
        add_vhost="Create a virtual host.",
        clear_vhost_limits="Remove the limits of a virtual host.",
        delete_vhost="Remove a virtual host with everything in it.",
        list_vhost_limits="Show the limits of virtual hosts.",
        list_vhosts="List the virtual hosts.",
        set_vhost_limits="Limit connections and queues of a virtual host.",
        set_vhost_tags="Set the tags of a virtual host.",
    ),
    "Policies": _of(
        "broker.cli.ctl.policies",
        clear_operator_policy="Remove an operator policy.",
        clear_policy="Remove a policy.",
        list_operator_policies="List operator policies.",
        list_policies="List policies.",
        list_policies_that_match="List policies that match a queue or exchange.",
        set_operator_policy="Set an operator policy, or replace it.",
        set_policy="Set a policy, or replace it.",
    ),
    "Parameters": _of(
        "broker.cli.ctl.parameters",
        clear_global_parameter="Remove a global parameter.",
        clear_parameter="Remove a parameter of a component.",
        list_global_parameters="List global parameters.",
        list_parameters="List parameters of components.",
        set_global_parameter="Leave a value with the cluster.",
        set_parameter="Set a parameter of a component.",
    ),
    "Alarms": _of(
        "broker.cli.ctl.alarms",
        set_disk_free_limit="Keep so much room on a node's disk.",
        set_vm_memory_high_watermark="Let a node use so much memory.",
    ),
    "Definitions": _of(
        "broker.cli.ctl.definitions",
        export_definitions="Write everything that was declared and set to a file.",
        import_definitions="Set what a file names.",
    ),
    "Health checks": _of(
        "broker.cli.ctl.health",
        alarms="Show who runs short of memory or disk.",
        check_alarms="Fail if any node runs short.",
        check_local_alarms="Fail if this node runs short.",
        check_running="Fail unless a node serves clients.",
        check_virtual_hosts="Fail if a virtual host is not served.",
        is_booting="Say whether a node is starting.",
        is_running="Say whether a node serves clients.",
        ping="Fail unless a node answers.",
    )
    | _of(
        "broker.cli.ctl.redundancy",
        await_online_quorum_plus_one="Return when no quorum queue needs a node.",
        await_online_synchronized_mirror="Return when no mirrored queue needs a node.",
        check_if_node_is_mirror_sync_critical="Fail if a mirrored queue needs a node.",
        check_if_node_is_quorum_critical="Fail if a quorum queue needs a node.",
    )
    | _of(
        "broker.cli.ctl.listeners",
        check_certificate_expiration="Fail if a certificate expires soon.",
        check_port_connectivity="Fail unless every port can be reached.",
        check_port_listener="Fail unless a node listens on a port.",
        check_protocol_listener="Fail unless a node speaks a protocol.",
        listeners="Show what a node listens on.",
    ),
    "Observation": _of(
        "broker.cli.ctl.status",
        environment="Show the settings of a node.",
        log_location="Show where a node's log is.",
        log_tail="Show the end of a node's log.",
        memory_breakdown="Show what a node's memory is used for.",
        server_version="Show the version that clients are told.",
        status="Show one node closely.",
    )
    | _of("broker.cli.ctl.report", report="Show everything about one node and all virtual hosts."),
    "Feature flags": _of(
        "broker.cli.ctl.feature_flags",
        enable_feature_flag="Check that a feature is there.",
        list_feature_flags="List features of RabbitMQ that are there.",
    ),
    "Nodes": _of(
        "broker.cli.ctl.application",
        await_startup="Return when a node serves.",
        change_cluster_node_type="Every node is a disc node.",
        force_boot="Let a stopped node start without the others.",
        force_reset="Have a node forget everything.",
        join_cluster="Make a node a member of another's cluster.",
        reset="Have a node leave its cluster and forget everything.",
        start_app="Start the broker of a node.",
        stop_app="Stop the broker of a node, not its process.",
        update_cluster_nodes="Have a node learn who the members are.",
    )
    | _of(
        "broker.cli.ctl.shutdown",
        shutdown="End a node's process, and say how it goes.",
        stop="End a node's process.",
    ),
    "Cluster": _of(
        "broker.cli.ctl.cluster",
        await_online_nodes="Return when so many nodes serve.",
        cluster_status="Show the members, and how they are.",
        forget_cluster_node="Remove a member that does not run.",
        rename_cluster_node="Give stopped members other names.",
        set_cluster_name="Say what clients are told of the cluster.",
    ),
    "Maintenance": _of(
        "broker.cli.ctl.maintenance",
        drain="Take a node out of service: no clients, no masters.",
        rebalance="Spread the masters of mirrored queues over the nodes.",
        revive="Put a drained node back into service.",
    ),
    "Queues and clients": _of(
        "broker.cli.ctl.queues",
        cancel_sync_queue="Stop filling the mirrors of a queue.",
        delete_queue="Delete a queue.",
        purge_queue="Remove the ready messages of a queue.",
        sync_queue="Fill the mirrors of a queue.",
    )
    | _of(
        "broker.cli.ctl.clients",
        close_all_connections="Close the connections to a vhost or node.",
        close_connection="Close a client's connection.",
    )
    | _of(
        "broker.cli.ctl.lists",
        list_bindings="List bindings.",
        list_channels="List channels.",
        list_connections="List connections.",
        list_consumers="List consumers.",
        list_exchanges="List exchanges.",
        list_queues="List queues.",
        list_unresponsive_queues="List queues that do not answer.",
    ),
}
COMMANDS: Final[Commands] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
