"""What to do about a problem of a configuration, by its type."""

from typing import Final

from vconflow.config.sections import SECTIONS
from vconflow.errors import Problem

__all__ = ["hint_for"]

_HINTS: Final = {
    "bad_name": "Take a name of letters, digits, dots, hyphens and underscores.",
    "duplicate": "Keep one of the two.",
    "duplicate_key": "Give everybody a key of their own.",
    "empty": "Write a value, or leave the whole entry out.",
    "held": "It starts by itself when the server starts with what is missing. To run without, take"
    " it out of the chain; to accept nothing meanwhile, set `enabled: false`.",
    "ignored": "Nothing uses it: take it out, or put it into a section that begins with `x-` if it"
    " is a note.",
    "loop": "Give the chain another egress list.",
    "masked_secret": "Write the secret itself, or `${NAME}` of a variable.",
    "missing": "Add it; `vconflow reference` says what it means.",
    "missing_env": "Set the variable, or write `${NAME:-default}`.",
    "no_ingress": "Name a list under `ingress_lists`, or set `enabled: false`.",
    "not_built": "The configuration loads all the same, and an enabled chain that uses it is held:"
    " it accepts vCons and keeps them in its lists.",
    "not_installed": "Install it, see that PYTHONPATH leads to it, or take it out.",
    "syntax": "Everything after this place is unread: repair it first.",
    "unknown_key": "Correct the name or take it out.",
    "unknown_link": "Name a link of the section `links`, or add it there.",
    "unknown_list": "Name a list under `ingress_lists` of an enabled chain, or take this out.",
    "unknown_module": "`vconflow reference` lists all modules; one of your own is written"
    " `package.module:Class`.",
    "unknown_option": "`vconflow reference` lists the options of every component; correct the name"
    " or take it out.",
    "unknown_section": f"The sections are {', '.join(SECTIONS)}; notes go into sections that begin"
    " with `x-`.",
    "unknown_storage": "Name a storage of the section `storages`, or add it there.",
    "unknown_tracer": "Name a tracer of the section `tracers`, or add it there.",
    "unnameable": "Rename the list.",
    "unusable_module": "Install the package, see that PYTHONPATH leads to it, or take it out.",
    "wrong_type": "`vconflow reference` says what is expected.",
}


def hint_for(problem: Problem) -> str:
    """One line on what to do, empty when the problem says it all."""
    return _HINTS.get(problem.type, "")
