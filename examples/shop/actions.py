"""What the shop can do: functions under the ids by which plans name them.

Inputs arrive as keyword arguments, validated by the type hints; outputs are JSON, models included.
"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, PositiveInt

from shop.app import app
from workflow_state import ActionContext, ActionError, action


class Item(BaseModel):
    """One line of an order."""

    article: str
    quantity: PositiveInt
    price: float


class Order(BaseModel):
    """What a customer wants."""

    number: int
    customer: str
    items: list[Item]


class Receipt(BaseModel):
    """What a payment left behind."""

    amount: float
    reference: str


@action("shop.price")
def price(order: Order) -> float:
    """A plain function; a plan's JSON becomes the model it asks for."""
    return round(sum(item.quantity * item.price for item in order.items), 2)


@action("shop.reserve")
async def reserve(items: list[Item], warehouse: str) -> list[str]:
    """An async function, for whatever waits for several others at once."""

    async def ask(item: Item) -> str:
        await asyncio.sleep(0.1)
        return f"{item.quantity} × {item.article} in {warehouse}"

    return await asyncio.gather(*(ask(item) for item in items))


@action("shop.charge")
def charge(customer: str, amount: float, context: ActionContext) -> Receipt:
    """Fails once, as payment services do; the key is the same in every attempt, so nobody pays twice."""
    if context.attempt == 1:
        raise ActionError("the payment service is busy", category="rate_limit_burst", retry_after=0.2)
    context.logger.info("charged", customer=customer, amount=amount)
    return Receipt(amount=amount, reference=context.idempotency_key)


@app.task
def send_mail(to: str, text: str) -> str:
    """A Celery task that the shop had before it had plans."""
    return f"to {to}: {text}"


action("shop.send_mail")(send_mail)
