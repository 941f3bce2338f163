"""State machines whose many examples are run as several tests, so that each stays far below the limit of one test.

Each part draws examples of its own: Hypothesis takes its seed from the name.
"""

from typing import Any

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine


def in_parts(machine: type[RuleBasedStateMachine], parts: int, *, examples: int, steps: int) -> list[Any]:
    """Return test cases that run so many examples together, each of so many steps."""
    share = settings(max_examples=-(-examples // parts), stateful_step_count=steps)
    made = []
    for number in range(parts):
        part: type[RuleBasedStateMachine] = type(f"{machine.__name__}{number}", (machine,), {})
        part.TestCase.settings = share
        made.append(part.TestCase)
    return made
