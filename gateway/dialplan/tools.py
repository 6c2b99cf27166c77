"""The functions that a plan names as tools."""

import importlib
import inspect

from gateway.config.shape import no_such
from gateway.tools import PythonTool, ToolUnusable

__all__ = ["load_tool"]


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
    return PythonTool.of(function)
