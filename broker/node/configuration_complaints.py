"""Says in the words of cluster.yaml what pydantic found wrong: one line each, with what would be right.

Decides the texts. It must not know which keys there are: it asks the models.
"""

from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from broker.node.configuration_file import Document, Place

_TEXTS = {
    "missing": "is missing",
    "string_type": "is not a text: put it in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} characters",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of names to values",
    "model_type": "must be a mapping of names to values",
    "model_attributes_type": "must be a mapping of names to values",
    "too_short": "has {actual_length}, must have at least {min_length}",
    "too_long": "has {actual_length}, must have at most {max_length}",
    "literal_error": "must be {expected}",
}
_WITHOUT_VALUE = ("missing", "too_short", "too_long")
_SECRETS = ("password", "cookie")


def complain_of(document: Document, error: ValidationError, model: type[BaseModel], above: Place = ()) -> None:
    """Notes every finding of pydantic in the document; `above` is the place where the model stands."""
    for detail in error.errors(include_url=False):
        place = detail["loc"]
        document.complain((*above, *place), _text(detail, place, model))


def _text(detail: ErrorDetails, place: Place, model: type[BaseModel]) -> str:
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, place[:-1])
        near = get_close_matches(str(place[-1]), known, n=1)
        return "unknown key: " + (f"did you mean {near[0]}? " if near else "") + f"(known: {', '.join(known)})"
    context = detail.get("ctx", {})
    if "error" in context:
        text = str(context["error"])
    else:
        text = _TEXTS.get(detail["type"], detail["msg"]).format(**context).replace("'", "")
    if detail["type"] in _WITHOUT_VALUE or any(step in _SECRETS for step in place):
        return text
    return f"{_shown(detail['input'])}: {text}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys_at(model: type[BaseModel], place: Place) -> list[str]:
    """The keys that the section at this place of the model has."""
    here: Any = model
    for step in place:
        if isinstance(step, str) and isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[step].annotation
        while not (isinstance(here, type) and issubclass(here, BaseModel)):
            models = [part for part in get_args(here) if part is not type(None)]
            if not models:
                return []
            here = models[0]
    return [field.alias or name for name, field in here.model_fields.items()]
