"""What an agent may call: a tool, and a Python function as one."""

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, Self

import msgspec

__all__ = ["BUILT_IN", "ArgumentsWrong", "PythonTool", "Tool", "ToolUnusable", "as_tools"]

# What every agent may do in a call without any function of its own.
BUILT_IN = frozenset({"end_call", "send_digits", "transfer_call"})

# What hosted voices take for a name (OpenAI API reference, function calling).
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_Field = tuple[str, Any] | tuple[str, Any, Any]


class ToolUnusable(Exception):
    """A function cannot be imported or described as a tool; the text says why and what would be right."""


class ArgumentsWrong(Exception):
    """The model gave arguments that the function does not take; the text is for the model."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the voice may call. `parameters`: a JSON schema of type object.

    Tools are equal when the voice is told the same of them, whatever carries them out.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tool):
            return NotImplemented
        return msgspec.structs.astuple(self) == msgspec.structs.astuple(other)

    __hash__ = None  # type: ignore[assignment]  # a schema is a dict


class PythonTool(Tool, frozen=True, kw_only=True, dict=True):
    """A typed function and what the voice is told about it. JSON has only the latter; made by `of`."""

    # Beside the fields, in the dict of each tool: neither encoded nor compared.
    function: ClassVar[Callable[..., Any]]
    _arguments: ClassVar[type[msgspec.Struct]]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Self:
        """The tool that a function is, plain or `async`: its name, its docstring, its parameters as a schema.

        A parameter is described by `Annotated[str, msgspec.Meta(description="…")]`. Raises `ToolUnusable`.
        """
        name = _name(function)
        arguments = _struct(name, _fields(name, function))
        (reference,), schemas = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
        parameters = schemas.pop(reference["$ref"].removeprefix("#/$defs/"))
        parameters.pop("title")
        if schemas:
            parameters["$defs"] = schemas
        tool = cls(name=name, description=inspect.getdoc(function) or "", parameters=parameters)
        msgspec.structs.force_setattr(tool, "function", function)
        msgspec.structs.force_setattr(tool, "_arguments", arguments)
        return tool

    async def run(self, arguments: str, run_blocking: Callable[..., Awaitable[Any]]) -> str:
        """What the function answers, as text: a string as it is, anything else as JSON.

        `arguments`: JSON as the model wrote it. A plain function runs in `run_blocking`, a coroutine function
        here. Raises `ArgumentsWrong`, and whatever the function raises.
        """
        try:
            given = msgspec.json.decode(arguments or "{}", type=self._arguments)
        except msgspec.DecodeError as error:
            raise ArgumentsWrong(f"wrong arguments for {self.name}: {error}") from None
        named = {field: getattr(given, field) for field in self._arguments.__struct_fields__}
        if inspect.iscoroutinefunction(self.function):
            answer = await self.function(**named)
        else:
            answer = await run_blocking(lambda: self.function(**named))
            if inspect.isawaitable(
                answer
            ):  # a plain function around a coroutine function, as decorators make it
                answer = await answer
        return answer if isinstance(answer, str) else msgspec.json.encode(answer).decode()


def as_tools(tools: Iterable[Tool | Callable[..., Any]]) -> tuple[Tool, ...]:
    """Tools as they are and functions as tools. Raises `ToolUnusable`, also for two of the same name."""
    named: dict[str, Tool] = {}
    for each in tools:
        tool = each if isinstance(each, Tool) else PythonTool.of(each)
        if tool.name in named:  # a voice asks for a tool by its name alone
            raise ToolUnusable(f"two tools are named {tool.name}: rename one")
        named[tool.name] = tool
    return tuple(named.values())


def _name(function: Callable[..., Any]) -> str:
    if not inspect.isfunction(function) and not inspect.ismethod(function):
        raise ToolUnusable(f"{function!r} is no function: write one with def")
    name = function.__name__
    if not _NAME.fullmatch(name):
        raise ToolUnusable(
            f"{name}() cannot be called so: a tool's name has up to 64 of a-z, A-Z, 0-9, _ and -"
        )
    if name in BUILT_IN:
        raise ToolUnusable(f"every agent has {name} already: rename the function")
    return name


def _fields(name: str, function: Callable[..., Any]) -> list[_Field]:
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (AttributeError, NameError, SyntaxError, TypeError) as error:
        raise ToolUnusable(f"{name}() has a type that cannot be found: {error}") from None
    fields: list[_Field] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolUnusable(f"{name}() takes {parameter}: every parameter must have a name and a type")
        if parameter.name not in hints:
            raise ToolUnusable(
                f"{name}() has no type for {parameter.name}: write {parameter.name}: str, or what it is"
            )
        is_required = parameter.default is parameter.empty
        field = (parameter.name, hints[parameter.name])
        fields.append(field if is_required else (*field, parameter.default))
        try:
            msgspec.json.schema(_struct(name, fields[-1:]))
        except (NameError, RuntimeError, TypeError, ValueError) as error:
            why = str(error).splitlines()[-1]
            raise ToolUnusable(
                f"{name}() has a parameter {parameter.name} that cannot stand in JSON: {why}"
            ) from None
    return fields


def _struct(name: str, fields: list[_Field]) -> type[msgspec.Struct]:
    # The name is no class's: a parameter's type may be called as the function is.
    return msgspec.defstruct(f"{name}()", fields, kw_only=True, forbid_unknown_fields=True)
