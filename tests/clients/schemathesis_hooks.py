"""What Schemathesis asks for mostly exists, and it leaves alone who it has logged in as."""

import json

import schemathesis

THERE = {
    "/api/queues": {"name": "q"},
    "/api/exchanges": {"name": "x"},
    "/api/bindings": {"source": "amq.topic", "kind": "q", "destination": "q", "props": "~"},
    "/api/permissions": {"name": "somebody"},
    "/api/topic-permissions": {"name": "somebody"},
    "/api/user-limits": {"name": "somebody", "limit": "max-channels"},
    "/api/vhost-limits": {"limit": "max-queues"},
    "/api/parameters": {"component": "vhost-limits", "name": "limits"},
}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    path = context.operation.path
    if not path_parameters or path.startswith("/api/vhosts/"):
        return path_parameters
    known = {"vhost": "/", **next((names for start, names in THERE.items() if path.startswith(start)), {})}
    return {
        name: known[name] if name in known and len(str(value)) % 4 else value for name, value in path_parameters.items()
    }


@schemathesis.hook
def filter_case(context, case):
    body = case.body if isinstance(case.body, dict | list | str) else None
    return "guest" not in json.dumps([case.path_parameters, body], default=str)
