"""The API's description of itself, made from its table of routes: /api/openapi.json.

Decides what can be said of every route: parameters, body, answers, who may. It must not know what a resource does.
Source: OpenAPI 3.1.
"""

import inspect
import re
from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from broker.management.bodies import Body, RawBody
from broker.management.route import Right, Route

Schema = dict[str, Any]

_JSON = "application/json"
_PARTS = re.compile(r"\{(\w+)\}")
_SCHEMAS = "#/components/schemas/"
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "reason": {}},
    "required": ["error", "reason"],
}
_FAILED = {
    "type": "object",
    "properties": {"status": {"const": "failed"}, "reason": {"type": "string"}},
    "required": ["status", "reason"],
}
ABOUT = (
    "Everything that can be seen and done. Paths, fields and answers are those of RabbitMQ 3.10's management plugin; "
    "what Warren adds is said where it stands. Components of a path are percent-encoded: the vhost / is %2F."
)


def described(routes: Iterable[Route], version: str) -> Schema:
    """The whole description."""
    routes = tuple(routes)
    paths: Schema = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Warren HTTP API", "version": version, "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": {**_models(routes), "Error": _ERROR, "Failed": _FAILED},
            "securitySchemes": {"password": {"type": "http", "scheme": "basic"}},
        },
    }


def says(route: Route) -> str:
    """What a route is for, in one line."""
    return " ".join((inspect.getdoc(route.answer) or "").split("\n\n")[0].split())


def _models(routes: tuple[Route, ...]) -> Schema:
    models = dict.fromkeys(route.body for route in routes if _has_model(route.body))
    wanted: list[tuple[type[Body], JsonSchemaMode]] = [(model, "validation") for model in models if model]
    _, found = models_json_schema(wanted, ref_template=_SCHEMAS + "{model}")
    defined: Schema = found.get("$defs", {})
    return defined


def _has_model(body: type[Body] | None) -> bool:
    return body is not None and body is not RawBody


def _operation(route: Route) -> Schema:
    operation: Schema = {
        "summary": says(route),
        "operationId": f"{route.method} {route.path}",
        "tags": [route.path.split("/")[2] if route.path.startswith("/api/") else "other"],
        "parameters": [*_path_parameters(route), *_queries(route)],
        "responses": _answers(route),
        "x-right": route.right.value,
    }
    if route.right is not Right.NOBODY:
        operation["security"] = [{"password": []}]
    if route.body is not None:
        operation["requestBody"] = _body(route.body)
    return operation


def _path_parameters(route: Route) -> list[Schema]:
    names = _PARTS.findall(route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _queries(route: Route) -> list[Schema]:
    return [
        {"name": query.name, "in": "query", "description": query.says, "schema": {"type": query.kind}}
        for query in route.queries
    ]


def _body(model: type[Body]) -> Schema:
    if not _has_model(model):
        return {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    required = any(field.is_required() for field in model.model_fields.values())
    return {"required": required, "content": {"application/json": {"schema": {"$ref": _SCHEMAS + model.__name__}}}}


def _answers(route: Route) -> Schema:
    refusal = _json({"$ref": f"{_SCHEMAS}Error"})
    answers: Schema = {code: {"description": text, "content": refusal} for code, text in _refusals(route).items()}
    match route.method:
        case "GET":
            found = _json(_value(route)) if route.media == _JSON else {route.media: {"schema": {"type": "string"}}}
            answers["200"] = {"description": "what was asked for", "content": found}
        case "PUT":
            answers |= {"201": {"description": "it is new"}, "204": {"description": "it was there, and is as asked"}}
        case "DELETE":
            answers["204"] = {"description": "it is gone"}
        case "POST":
            answers |= {
                "200": {"description": "what came of it", "content": _json(_value(route))},
                "201": {"description": "it is there, at `Location`"},
                "204": {"description": "it is done"},
                "303": {"description": "it is done; go on at `Location`"},
            }
    if "/health/" in route.path:
        answers["503"] = {"description": "the check failed", "content": _json({"$ref": f"{_SCHEMAS}Failed"})}
    return dict(sorted(answers.items()))


def _refusals(route: Route) -> dict[str, str]:
    found = {"400": "what was asked cannot be done"}
    if route.right is not Right.NOBODY:
        found["401"] = "nobody, or not who may"
    if "{" in route.path:
        found["404"] = "there is no such thing"
    if route.body is not None:
        found["413"] = "too much"
    if route.method != "GET":
        found["503"] = "there is no majority of the cluster"
    return found


def _value(route: Route) -> Schema:
    """A list or an object, as the annotation of who answers says."""
    shape = str(inspect.signature(route.answer).return_annotation)
    rows = {"type": "array", "items": {"type": "object"}}
    if any(query.name == "page" for query in route.queries):
        return {"anyOf": [rows, {"type": "object", "required": ["items", "page"]}]}
    if shape.removeprefix("Awaitable[").strip("'\"").startswith("list["):
        return rows
    return {"type": "object"} if "Reply" not in shape else {}


def _json(schema: Schema) -> Schema:
    return {_JSON: {"schema": schema}}
