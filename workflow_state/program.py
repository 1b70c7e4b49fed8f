"""The Program: a plan compiled to what the engine needs at run time, and nothing else.

It is stored once per execution as JSON and read by every worker, so its shape is versioned: a worker
that meets a newer version than it knows leaves the work to a newer worker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json

from workflow_state.collector import uncollected
from workflow_state.errors import NewerSchemaError
from workflow_state.models import Condition, ExpectedOutcome, RetryPolicy, UserConfirmation

#: Raised whenever a change makes older workers unable to run a stored program.
SCHEMA_VERSION = 2
#: What a worker must know at least to run a program of each schedule: one of an older version goes on with the others.
SCHEMA_OF = {"levels": 1, "dataflow": 2}
#: Of an action that says nothing of it.
USUAL_RETRY = RetryPolicy()


class ProgramModel(BaseModel):
    """Base of the compiled form: frozen, short JSON."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True, slots=True)
class Step:
    """One action, ready to run. A plan may have a hundred thousand of them: slots, and only what is read is checked.

    ``needs`` is whom it waits for (its dependencies, and edges that alternatives add); ``sources`` whose
    results its inputs and condition read, stand-ins included; ``fallback`` a one-element tuple when a
    fallback value was given. ``timeout``: milliseconds. ``on_failure``: whether its final failure halts
    the execution, ``on_skip``: whether it does to skip it when it is called for as an alternative; the plan's
    flags are weighed once, when it is compiled. ``level``: the level that it waits for; None where only its own
    needs are waited for.
    """

    id: str
    definition: str
    level: int | None
    inputs: dict[str, JsonValue] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    successors: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    condition: Condition | None = None
    alternative: str | None = None
    stands_in_for: tuple[str, ...] = ()
    fallback: tuple[JsonValue] | None = None
    on_failure: Literal["halt", "continue"] = "halt"
    on_skip: Literal["halt", "continue"] = "continue"
    retry: RetryPolicy = USUAL_RETRY
    timeout: int | None = None
    confirmation: UserConfirmation | None = None
    queue: str | None = None
    priority: int | None = None
    batch_size: int = 1


_STEPS = TypeAdapter(dict[str, Step])
#: How many steps of a program are read at once whose text is as long as this.
_SLICE, _LARGE = 1000, 1_000_000


class Outline(ProgramModel):
    """What readers of states need of a program: the steps of a large one take their time to read."""

    schema_version: int
    plan_id: str
    title: str
    schedule: Literal["levels", "dataflow"] = "levels"
    levels: tuple[tuple[str, ...], ...]

    @classmethod
    @uncollected
    def from_json(cls, text: str | bytes) -> Self:
        """Read the stored form back, all of it or the outline.

        Raises:
            NewerSchemaError: a newer version of the library compiled it.
        """
        try:
            program = cls._parsed(text)
        except ValidationError:
            # A newer shape may not even parse; its version says why.
            _check_version(int(json.loads(text)["schema_version"]))
            raise
        _check_version(program.schema_version)
        return program

    @classmethod
    def _parsed(cls, text: str | bytes) -> Self:
        return cls.model_validate_json(text)


class Program(Outline):
    """All steps by action id, and the levels in which they run, or could; ``schedule`` says when they start."""

    steps: dict[str, Step]
    expected_outcome: ExpectedOutcome | None = None

    @classmethod
    def _parsed(cls, text: str | bytes) -> Self:
        if len(text) < _LARGE:
            return cls.model_validate_json(text)
        # Half of the memory in twice the time: most words are held once, and what was read is let go of bit by bit.
        given = from_json(text)
        if isinstance(steps := given.get("steps"), dict):
            names = list(steps)
            for start in range(0, len(names), _SLICE):
                steps |= _STEPS.validate_python({name: steps[name] for name in names[start : start + _SLICE]})
        return cls.model_validate(given)

    @cached_property
    def plain(self) -> frozenset[str]:
        """The actions that run whenever all before them completed: no condition, and they stand in for nobody."""
        return frozenset(name for name, step in self.steps.items() if not (step.condition or step.stands_in_for))

    def waiting_for(self, action_id: str) -> list[tuple[str, int]]:
        """Whose turn may come when an action ends, each with the number of its needs; nobody's in levels."""
        if self.schedule == "levels":
            return []
        return [(name, len(self.steps[name].needs)) for name in self.steps[action_id].successors]

    def level_after(self, action_id: str, widest: int) -> tuple[int, int] | None:
        """Number and size of the level after an action's own, if it may be opened without a look at what was before.

        That is so when all went well before, and all of its actions run then, unasked. None of a level that is wider
        than given, of the last one, and where levels are not waited for.
        """
        level = self.steps[action_id].level
        if level is None or level + 1 >= len(self.levels):
            return None
        size = self._plain_sizes[level + 1]
        return (level + 1, size) if 0 < size <= widest else None

    @cached_property
    def _plain_sizes(self) -> tuple[int, ...]:
        """The size of each level whose actions all run, unasked, when all before them completed; 0 of the others."""
        asked = {name for name, step in self.steps.items() if step.confirmation}
        free = self.plain - asked
        return tuple(len(level) if free.issuperset(level) else 0 for level in self.levels)

    def seeded_with(self, given: Mapping[str, str]) -> Program:
        """The program of a run in which some actions have ended before the start; ``given``: their statuses.

        An alternative that was skipped never stands in: the failure that would call for it is treated as where it is
        called for and skipped. And as a data flow, who reads what has still to run waits for it itself: whoever is
        between them may have ended.
        """
        if not given:
            return self
        steps = dict(self.steps)
        for name, step in self.steps.items():
            if step.alternative is not None and given.get(step.alternative) == "skipped":
                steps[name] = replace(step, on_failure=self.steps[step.alternative].on_skip)
        if self.schedule == "dataflow":
            depth = {name: number for number, level in enumerate(self.levels) for name in level}
            for name, step in self.steps.items():
                # Among the sources of an alternative may be itself, and what comes after it.
                before = [other for other in step.sources if other not in given and depth[other] < depth[name]]
                for other in before if name not in given else ():
                    if other not in step.needs:
                        steps[name] = replace(steps[name], needs=(*steps[name].needs, other))
                        steps[other] = replace(steps[other], successors=(*steps[other].successors, name))
        return self.model_copy(update={"steps": steps})

    @uncollected
    def to_json(self) -> str:
        """The stored form; fields at their default are left out."""
        return self.model_dump_json(exclude_defaults=True, by_alias=True)

    def describe(self) -> str:
        """The program as text, one line a step, for people and golden tests."""
        flow = ", as a data flow" if self.schedule == "dataflow" else ""
        lines = [f"plan {self.title!r}: {len(self.steps)} actions in {len(self.levels)} levels{flow}"]
        for number, level in enumerate(self.levels):
            lines.append(f"level {number}")
            for action_id in level:
                step = self.steps[action_id]
                notes = [f"needs {', '.join(step.needs)}"] if step.needs else []
                notes += [f"reads {', '.join(step.sources)}"] if step.sources else []
                notes += [f"if {step.condition.if_} else {step.condition.else_}"] if step.condition else []
                notes += [f"stands in for {', '.join(step.stands_in_for)}"] if step.stands_in_for else []
                notes += ["has a fallback"] if step.fallback else []
                notes += ["asks for confirmation"] if step.confirmation else []
                notes += [f"in batches of {step.batch_size}"] if step.batch_size > 1 else []
                notes += [f"on failure {step.on_failure}"]
                lines.append(f"  {action_id} = {step.definition}: {'; '.join(notes)}")
        return "\n".join(lines)


def _check_version(found: int) -> None:
    if found > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"The execution was compiled with schema {found}; this worker knows up to {SCHEMA_VERSION} "
            "and leaves it to a newer worker: upgrade workflow-state here"
        )
