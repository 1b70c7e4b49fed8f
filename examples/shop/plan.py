"""An order as a plan, in Python objects; the same as JSON would do."""

from __future__ import annotations

from pydantic import JsonValue

from workflow_state import (
    Condition,
    ExecutionPlan,
    ExpectedOutcome,
    OutcomeValidation,
    PlannedAction,
    RetryPolicy,
)


def order_plan(order: dict[str, JsonValue]) -> ExecutionPlan:
    """Price and reserve, then charge, then write to the customer; and to the owner when it is a large order."""
    return ExecutionPlan(
        id=f"order-{order['number']}",
        name="order",
        actions=(
            PlannedAction(id="price", action_definition_id="shop.price", inputs={"order": order}),
            PlannedAction(
                id="reserve",
                action_definition_id="shop.reserve",
                inputs={"items": order["items"], "warehouse": "Hamburg"},
            ),
            PlannedAction(
                id="charge",
                action_definition_id="shop.charge",
                dependencies=("price", "reserve"),
                # One reference alone keeps its type: a number here.
                inputs={"customer": order["customer"], "amount": "${price.output}"},
                retry=RetryPolicy(max_attempts=5, min_timeout_in_ms=100),
                timeout=10_000,
            ),
            PlannedAction(
                id="confirm",
                action_definition_id="shop.send_mail",
                dependencies=("charge",),
                # Inside text it is rendered; `??` gives a default.
                inputs={
                    "to": order["customer"],
                    "text": "Paid ${charge.output.amount} EUR (${charge.output.discount ?? 'no discount'}), "
                    "reserved: ${reserve.output[0]}",
                },
            ),
            PlannedAction(
                id="tell-owner",
                action_definition_id="shop.send_mail",
                dependencies=("charge",),
                condition=Condition(if_="${price.output} > 1000"),
                inputs={"to": "owner@shop.example", "text": "a large order: ${price.output} EUR"},
            ),
        ),
        expected_outcome=ExpectedOutcome(
            description="the customer has paid",
            validations=(OutcomeValidation(name="receipt", reference="${charge.output.reference}"),),
        ),
    )
