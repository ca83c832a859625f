"""Definitions as files that come and go by HTTP.

Decides in which wrapping they come: as JSON, or as the form of a page. It must not know what is in them
(`definitions`, `definition_import`).
"""

import json
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

from broker.cluster.refusal import Refused
from broker.management import definitions, reply
from broker.management.definition_import import DefinitionImport
from broker.management.refusals import BadRequest, Refusal
from broker.management.reply import Reply

if TYPE_CHECKING:
    from broker.management.visit import Visit

UNREADABLE = "failed_to_parse_json"


def download(visit: "Visit") -> Reply:
    """All definitions, or those of one vhost; `download` names the file that a browser makes of them."""
    if visit.has_part("vhost") and not visit.has_vhost:
        raise BadRequest("vhost_not_found")
    found = definitions.export(visit.hall, visit.part("vhost") if visit.has_part("vhost") else None)
    wanted = visit.queries.get("download", "")
    name = "".join(letter for letter in wanted if letter.isascii() and (letter.isalnum() or letter in "-_. "))
    return Reply(200, found, {"content-disposition": f'attachment; filename="{name}"'} if name else {})


async def upload(visit: "Visit") -> Reply:
    """Set what the file names; the rest stays as it is."""
    vhost = visit.vhost if visit.has_part("vhost") else None
    kind = visit.headers.get("content-type", "")
    raw, form = visit.raw, dict[str, bytes]()
    if kind.startswith("multipart/form-data"):
        form = _form(kind, raw)
        raw = form.get("file", b"")
    try:
        await DefinitionImport(visit.hall, _parsed(raw), vhost).run()
    except Refused as refused:
        raise BadRequest(refused.why) from None
    if target := form.get("redirect"):
        return Reply(303, None, {"location": _own(target)})
    return reply.DONE


def _parsed(raw: bytes) -> Any:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest(UNREADABLE) from None
    if not isinstance(value, dict):
        raise BadRequest(UNREADABLE)
    return value


def _form(kind: str, raw: bytes) -> dict[str, bytes]:
    """The fields of a form with a file, by name."""
    head = f"content-type: {kind}\r\n\r\n".encode("latin-1", "replace")
    whole = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + raw)
    fields: dict[str, bytes] = {}
    for part in whole.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content
    return fields


def _own(target: bytes) -> str:
    """A place on this site: nobody is sent elsewhere."""
    path = target.decode("ascii", "ignore").strip()
    if not path.startswith("/") or path.startswith("//") or "\\" in path or any(ord(one) < 32 for one in path):
        raise Refusal(400, "bad_request", "redirect is a path on this site")
    return path
