"""What a step of a plan may do: one file an action, one line here.

An action is a frozen struct whose tag `do` is its name in the plan and whose fields are its keys. It has

- `ends_call`: no step can follow it,
- `in_fallback`: it can stand in a plan's fallback, where the call is taken and no voice can be had,
- `begin(call)`: asks the call for what it does; the milestone that ends the step, or None if it is done at once,
- `check(scope)`: what is wrong with it in its place in a plan, or None.
"""

from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.hang_up import HangUp
from gateway.dialplan.actions.reject import Reject
from gateway.dialplan.actions.say import Say
from gateway.dialplan.actions.transfer import Transfer

Action = Answer | Converse | HangUp | Reject | Say | Transfer
