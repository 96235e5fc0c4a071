"""The OpenAPI document of the served routes, and the pages made from it."""

import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import msgspec
from litestar import Litestar
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from kindred import __version__
from kindred.api.problems import Problem
from kindred.core.errors import KindredError

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{background:#f4f4f5;padding:.8rem;overflow:auto}"
    "summary{cursor:pointer;padding:.3rem 0}b{display:inline-block;min-width:4.5rem}"
)


@dataclass(frozen=True, slots=True)
class Documents:
    """What is served about the interface, made once."""

    openapi: bytes
    page: bytes
    errors: bytes


@cache
def build(handlers: tuple[ControllerRouterHandler, ...]) -> Documents:
    """Describe route handlers."""
    config = OpenAPIConfig(
        title="Kindred",
        version=__version__,
        description="Live, explained recommendations.",
        use_handler_docstrings=True,
        components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
    )
    described = Litestar(list(handlers), openapi_config=config, logging_config=None, dependencies=_injected())
    document = msgspec.to_builtins(described.openapi_schema.to_schema())
    document["paths"] = {path: item for path, item in document["paths"].items() if not path.startswith("/schema")}
    document["components"]["schemas"].update(_schemas(described))
    _close_bodies(document)
    return Documents(msgspec.json.encode(document), _page(document).encode(), _errors_page().encode())


def _injected() -> dict[str, Provide]:
    # What the server injects is no parameter of a call.
    return {name: Provide(lambda: None, sync_to_thread=False) for name in ("platform", "tracker")}


def _schemas(app: Litestar) -> dict[str, Any]:
    """Describe every struct by msgspec, which enforces it too; the framework's own schemas lose some bounds."""
    signatures = [
        handler.parsed_fn_signature
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
    ]
    fields = [each.return_type for each in signatures]
    fields += [each.parameters["data"] for each in signatures if "data" in each.parameters]
    kinds = {kind for field in fields for kind in (field.annotation, *get_args(field.annotation))}
    structs = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    _, found = msgspec.json.schema_components([Problem, *structs], ref_template="#/components/schemas/{name}")
    return found


def _close_bodies(document: dict[str, Any]) -> None:
    """Say of every schema that a body is made of that it refuses unknown fields."""
    schemas = document["components"]["schemas"]
    bodies = [
        call["requestBody"] for item in document["paths"].values() for call in item.values() if "requestBody" in call
    ]
    waiting, closed = [*_references(bodies)], set()
    while waiting:
        name = waiting.pop()
        if name not in closed:
            closed.add(name)
            schemas[name]["additionalProperties"] = False
            waiting.extend(_references(schemas[name]))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _kinds(error: type[KindredError]) -> Iterator[type[KindredError]]:
    yield error
    for kind in error.__subclasses__():
        yield from _kinds(kind)


def _html(title: str, body: Iterable[str]) -> str:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f"{head}<h1>{title}</h1>{''.join(body)}</html>"


def _errors_page() -> str:
    kinds = {kind.code: kind for kind in _kinds(KindredError)}
    rows = (
        f'<h2 id="{code}"><code>{code}</code> · {kind.status}</h2><p>{html.escape(kind.__doc__ or kind.title)}</p>'
        for code, kind in sorted(kinds.items())
    )
    return _html("Kindred: problems", rows)


def _page(document: dict[str, Any]) -> str:
    calls = (_call(path, method, call) for path, item in document["paths"].items() for method, call in item.items())
    schemas = (_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    links = '<p>The same as <a href="/openapi.json">OpenAPI</a>; <a href="/docs/errors">problems explained</a>.</p>'
    return _html("Kindred: HTTP interface", [links, "<h2>Calls</h2>", *calls, "<h2>Bodies and answers</h2>", *schemas])


def _call(path: str, method: str, call: dict[str, Any]) -> str:
    scopes = [scope for each in call.get("security", []) for scope in each.get("bearer", [])]
    needs = f"needs the scope <code>{scopes[0]}</code>" if scopes else "no token"
    about = html.escape(call.get("description", ""))
    title = f"<b>{method.upper()}</b> <code>{html.escape(path)}</code> – {about} ({needs})"
    shown = {key: call[key] for key in ("parameters", "requestBody", "responses") if key in call}
    return f"<details><summary>{title}</summary>{_pre(shown)}</details>"


def _schema(name: str, schema: dict[str, Any]) -> str:
    about = html.escape(schema.get("description", ""))
    title = f"<code>{html.escape(name)}</code> {about}"
    return f'<details id="{html.escape(name)}"><summary>{title}</summary>{_pre(schema)}</details>'


def _pre(value: Any) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return f"<pre>{html.escape(text)}</pre>"
