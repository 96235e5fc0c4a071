"""`kindred config`: what is set, where it comes from, and what it means."""

from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from kindred.cli.output import Json, emit_json, note, show, table
from kindred.cli.session import read_settings
from kindred.core.config import without_secrets

if TYPE_CHECKING:
    from kindred.settings.load import Settings
    from kindred.settings.schema import Leaf

config = App(name="config", help="Show, check and explain the settings.")


@config.command(name="show")
def show_settings(
    section: str | None = None,
    /,
    *,
    changed: Annotated[bool, Parameter(negative="", help="Leave out what is at its default.")] = False,
    toml: Annotated[bool, Parameter(negative="", help="Print the commented file, ready to be saved.")] = False,
    as_json: Json = False,
) -> None:
    """Show every setting with its value and where it comes from, or those of one section.

    Passwords in the URLs of stores are left out, but not with --toml, which is there to be saved.
    """
    settings = read_settings()
    if toml:
        from kindred.settings.dump import dump

        print(dump(settings), end="")
        return
    leaves = [leaf for leaf in settings.leaves() if section is None or leaf.path[0] == section]
    if section is not None and not leaves:
        settings.get(section)
    if changed:
        leaves = [leaf for leaf in leaves if settings.origin(leaf).layer != "default"]
    if as_json:
        emit_json([_described(settings, leaf) for leaf in leaves])
        return
    rows = [(leaf.key, _value(settings, leaf), str(settings.origin(leaf))) for leaf in leaves]
    show(table(["setting|cyan", "value", "from|dim"], rows, title=f"Settings of {settings.home}"))
    exists = "" if settings.file.exists() else " (not there: all defaults and variables)"
    note(f"file: {settings.file}{exists}", style="dim")


@config.command(name="check")
def check_settings(*, as_json: Json = False) -> None:
    """Read file and variables and say whether they can be used."""
    settings = read_settings()
    changed = [leaf for leaf in settings.leaves() if settings.origin(leaf).layer != "default"]
    if as_json:
        emit_json({"ok": True, "home": str(settings.home), "changed": [leaf.key for leaf in changed]})
        return
    count = f"{len(changed)} setting{'' if len(changed) == 1 else 's'} of your own"
    show(f"The settings of {settings.home} can be used: {count}.", style="green")


@config.command(name="explain")
def explain_setting(key: str, /, *, as_json: Json = False) -> None:
    """Explain a setting, such as `recommend.exploration`, or a section."""
    settings = read_settings()
    if key in settings.sections or key in settings.tables:
        _explain_section(settings, key, as_json)
        return
    leaf = settings.find(key)
    if as_json:
        emit_json(_described(settings, leaf))
        return
    from kindred.settings.dump import toml_value
    from kindred.settings.wording import expected

    heading = ".".join(leaf.path[:-1])
    rows = [
        ("meaning", leaf.doc),
        ("expects", expected(leaf.type)),
        ("value", f"{_value(settings, leaf)} (from {settings.origin(leaf)})"),
        ("default", toml_value(leaf.default)),
        ("in the file", f"[{heading}]\n{leaf.path[-1]} = {_value(settings, leaf)}"),
        ("variable", leaf.variable),
    ]
    show(table([leaf.key + "|cyan", ""], rows))


def _explain_section(settings: "Settings", name: str, as_json: bool) -> None:
    from kindred.settings.documentation import summary

    leaves = [leaf for leaf in settings.leaves() if leaf.path[0] == name]
    if as_json:
        emit_json([_described(settings, leaf) for leaf in leaves])
        return
    kind = settings.schema.sections.get(name) or settings.schema.tables[name].kind
    rows = [(leaf.key, _value(settings, leaf), leaf.doc) for leaf in leaves]
    show(table(["setting|cyan", "value", "meaning"], rows, title=summary(kind)))


def _value(settings: "Settings", leaf: "Leaf") -> str:
    from kindred.settings.dump import toml_value

    return toml_value(_public(settings.value(leaf)))


def _public(value: object) -> object:
    """Return a value as it may be shown: people paste what they see."""
    return without_secrets(value) if isinstance(value, str) else value


def _described(settings: "Settings", leaf: "Leaf") -> dict[str, object]:
    from kindred.settings.wording import expected

    origin = settings.origin(leaf)
    return {
        "key": leaf.key,
        "value": msgspec.to_builtins(_public(settings.value(leaf))),
        "default": msgspec.to_builtins(leaf.default),
        "origin": origin.layer,
        "place": origin.place,
        "expects": expected(leaf.type),
        "meaning": leaf.doc,
        "variable": leaf.variable,
    }
