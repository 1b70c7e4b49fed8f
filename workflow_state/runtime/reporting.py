"""Secrets that only who knows the actions and their inputs can tell: what parameters declare secret by type, and
what references bring under a secret name.

A report shows inputs and outputs, so these have to be found before it is made, also for actions that never ran.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue
from pydantic.errors import PydanticInvalidForJsonSchema

from workflow_state.actions import Action, ActionRegistry
from workflow_state.errors import ReferenceNotFoundError
from workflow_state.models import ExecutionState, Success
from workflow_state.program import Program, Step
from workflow_state.redaction import Redactor
from workflow_state.references import MISSING, Outcome, iter_strings
from workflow_state.runtime.attempt import resolve_inputs


def secrets_given_in(program: Program, state: ExecutionState, actions: ActionRegistry, redactor: Redactor) -> set[str]:
    """Every text that a run's actions are, or would have been, given as a ``SecretStr`` and the like, or that a
    reference brings under a secret name.

    Actions that are not registered in this process declare nothing here.
    """
    outcomes = {name: _outcome(state, name) for name in program.steps}
    found: set[str] = set()
    for step in program.steps.values():
        names = secret_parameters(actions.get(step.definition)) if step.definition in actions else set()
        by_name = any("${" in text for text in redactor.secrets_in(dict(step.inputs)))
        inputs = _inputs(program, step, outcomes) if names or by_name else {}
        if by_name:
            found |= redactor.secrets_in(dict(inputs))
        if names:
            found.update(text for name in names & inputs.keys() for _, text in iter_strings(inputs[name]))
    return found


def secret_parameters(action: Action) -> set[str]:
    """The parameters in whose types something is declared secret, at any depth."""
    try:
        schema = action.inputs.json_schema()
    except PydanticInvalidForJsonSchema:
        # A parameter that JSON cannot describe, such as a callable, cannot come from a plan.
        return set()
    definitions = schema.get("$defs", {})
    return {name for name, field in schema.get("properties", {}).items() if _is_secret(field, definitions)}


def _is_secret(schema: object, definitions: Mapping[str, Any]) -> bool:
    """Whether a JSON schema, or one that it refers to, is write-only: that is how pydantic describes its secrets."""
    seen: set[str] = set()
    stack = [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item.get("writeOnly") is True:
                return True
            reference = item.get("$ref")
            if isinstance(reference, str) and reference not in seen:
                seen.add(reference)
                stack.append(definitions.get(reference.rpartition("/")[2]))
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def _inputs(program: Program, step: Step, outcomes: Mapping[str, Outcome]) -> Mapping[str, JsonValue]:
    """The inputs of a step with references resolved, or as they are written where one finds nothing."""
    try:
        return resolve_inputs(program, step, outcomes)
    except ReferenceNotFoundError:
        return dict(_literal(step))


def _literal(step: Step) -> Iterator[tuple[str, JsonValue]]:
    """The inputs without references: a reference is no secret, and taking it out would hide how the plan works."""
    for name, value in step.inputs.items():
        yield name, [text for _, text in iter_strings(value) if "${" not in text]


def _outcome(state: ExecutionState, name: str) -> Outcome:
    action = state.action_states[name]
    output = action.result.output if isinstance(action.result, Success) else MISSING
    error = action.error.model_dump(mode="json") if action.error else None
    return Outcome(action.status.value, output, error)
