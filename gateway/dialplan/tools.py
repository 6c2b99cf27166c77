"""Python functions that an agent may call, and what the voice is told about them."""

import importlib
import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.config.shape import no_such
from gateway.contracts import RunBlocking, Tool

# What every agent may do without any function of the plan's.
BUILT_IN = frozenset({"end_call", "transfer_call"})


class ToolUnusable(Exception):
    """A plan names a function that cannot be imported or described; the text says why and what would be right."""


class ArgumentsWrong(Exception):
    """The model gave arguments that the function does not take; the text is for the model."""


class PythonTool:
    """A typed function and its description. `schema`: what the voice is told."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises `ToolUnusable`."""
        name = getattr(function, "__name__", type(function).__name__)
        self.function = function
        if name in BUILT_IN:
            raise ToolUnusable(f"every agent has {name} already: rename the function")
        parameters = _parameters(function)
        try:
            self._arguments = msgspec.defstruct(name, parameters, kw_only=True, forbid_unknown_fields=True)
            _, components = msgspec.json.schema_components([self._arguments], ref_template="#/$defs/{name}")
        except TypeError as error:
            raise ToolUnusable(f"{name}() has a parameter that cannot stand in JSON: {error}") from None
        schema = components.pop(name)
        schema.pop("title")
        if components:
            schema["$defs"] = components
        self.schema = Tool(name=name, description=inspect.getdoc(function) or "", parameters=schema)

    async def run(self, arguments: str, run_blocking: RunBlocking) -> str:
        """What the function answers, as text: a string as it is, anything else as JSON.

        `arguments`: JSON as the model wrote it. A plain function runs in `run_blocking`, a coroutine function
        here. Raises `ArgumentsWrong`, and whatever the function raises.
        """
        try:
            given = msgspec.json.decode(arguments or "{}", type=self._arguments)
        except msgspec.DecodeError as error:
            raise ArgumentsWrong(f"wrong arguments for {self.schema.name}: {error}") from None
        named = {field: getattr(given, field) for field in self._arguments.__struct_fields__}
        if inspect.iscoroutinefunction(self.function):
            answer = await self.function(**named)
        else:
            answer = await run_blocking(lambda: self.function(**named))
        return answer if isinstance(answer, str) else msgspec.json.encode(answer).decode()


def load_tool(reference: str) -> PythonTool:
    """The tool that `"module:function"` names. Raises `ToolUnusable`; what the module raises itself passes through."""
    module_name, _, function_name = reference.partition(":")
    if not module_name or not function_name:
        raise ToolUnusable('expected "module:function"')
    try:
        module = importlib.import_module(module_name)
    except (ImportError, SyntaxError) as error:
        raise ToolUnusable(
            f"module {module_name} cannot be imported: {error}; is it on PYTHONPATH?"
        ) from None
    function = getattr(module, function_name, None)
    if not inspect.isfunction(function):
        known = [
            name for name, _ in inspect.getmembers(module, inspect.isfunction) if not name.startswith("_")
        ]
        raise ToolUnusable(no_such(f"function in {module_name}", function_name, known))
    return PythonTool(function)


def _parameters(function: Callable[..., Any]) -> list[tuple[str, Any] | tuple[str, Any, Any]]:
    name = getattr(function, "__name__", "the function")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ToolUnusable(f"{name}() has a type that cannot be found: {error}") from None
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolUnusable(f"{name}() takes {parameter}: every parameter must have a name and a type")
        if parameter.name not in hints:
            raise ToolUnusable(
                f"{name}() has no type for {parameter.name}: write {parameter.name}: str, or what it is"
            )
        field = (parameter.name, hints[parameter.name])
        fields.append(field if parameter.default is parameter.empty else (*field, parameter.default))
    return fields
