"""The actions of the demo: a night's work of a small shop, with pauses where a real one waits for others."""

from __future__ import annotations

import time
from typing import Any

from pydantic import BaseModel

from workflow_state.actions import ActionContext, action
from workflow_state.errors import ActionError


class Order(BaseModel):
    """What a customer bought; ``amount`` is in ``currency``, ``days`` since it was ordered."""

    number: int
    customer: int
    country: str
    amount: float
    currency: str = "EUR"
    days: int = 1


class Customer(BaseModel):
    """Who bought it."""

    id: int
    name: str


class Totals(BaseModel):
    """What was sold, in the currency of the report."""

    orders: int
    amount: float
    by_country: dict[str, float]


@action("demo.sleep")
def sleep(seconds: float = 0.5, **inputs: Any) -> dict[str, Any]:
    """Take some time and give back all inputs: stands for any work in a plan of your own."""
    time.sleep(seconds)
    return {"seconds": seconds, **inputs}


@action("demo.fetch_orders")
def fetch_orders(day: str) -> dict[str, Any]:
    """Ask the shop for the orders of a day."""
    time.sleep(0.5)
    rows = [
        (1, "DE", 120.0, "EUR", 1),
        (2, "US", 80.0, "USD", 1),
        (1, "DE", 45.5, "EUR", 4),
        (3, "GB", 210.0, "GBP", 2),
        (2, "US", 19.9, "USD", 6),
    ]
    orders = [
        Order(number=1001 + i, customer=who, country=country, amount=amount, currency=currency, days=days)
        for i, (who, country, amount, currency, days) in enumerate(rows)
    ]
    return {"day": day, "orders": orders}


@action("demo.fetch_customers")
async def fetch_customers() -> list[Customer]:
    """Ask the customer service for names; an ``async`` function is an action like any other."""
    time.sleep(0.4)
    return [Customer(id=i, name=name) for i, name in enumerate(["Ada Byron", "Grace Hopper", "Mary Ward"], 1)]


@action("demo.fetch_rates")
def fetch_rates(base: str, context: ActionContext) -> dict[str, Any]:
    """Ask a bank for exchange rates; it is busy the first time, as banks are."""
    time.sleep(0.25)
    if context.attempt == 1:
        raise ActionError(
            "the bank answered 503 Service Unavailable", category="api_unexpected_status", status_code=503
        )
    return {"base": base, "rates": {"EUR": 1.0, "USD": 0.92, "GBP": 1.17}}


@action("demo.convert")
def convert(orders: list[Order], rates: dict[str, float]) -> list[Order]:
    """Express all amounts in one currency."""
    time.sleep(0.4)
    return [
        order.model_copy(update={"amount": round(order.amount * rates[order.currency], 2), "currency": "EUR"})
        for order in orders
    ]


@action("demo.find_late")
def find_late(orders: list[Order], days: int) -> dict[str, Any]:
    """Which orders wait longer than they should."""
    time.sleep(0.6)
    late = [order.number for order in orders if order.days > days]
    return {"count": len(late), "numbers": late}


@action("demo.alert_support")
def alert_support(text: str) -> str:
    """Wake somebody."""
    return f"alerted: {text}"


@action("demo.add_up")
def add_up(orders: list[Order]) -> Totals:
    """Totals, and totals by country."""
    time.sleep(0.5)
    sums: dict[str, float] = {}
    for order in orders:
        sums[order.country] = round(sums.get(order.country, 0) + order.amount, 2)
    return Totals(orders=len(orders), amount=round(sum(sums.values()), 2), by_country=sums)


@action("demo.rank_customers")
def rank_customers(orders: list[Order], customers: list[Customer]) -> list[dict[str, Any]]:
    """Who spent most."""
    time.sleep(0.7)
    spent = {c.name: sum(o.amount for o in orders if o.customer == c.id) for c in customers}
    ranked = sorted(spent.items(), key=lambda item: -item[1])
    return [{"name": name, "amount": round(amount, 2)} for name, amount in ranked]


@action("demo.render")
def render(title: str, lines: list[str]) -> str:
    """The report as text."""
    time.sleep(0.4)
    return "\n".join([title, "=" * len(title), *lines])


@action("demo.send_mail")
def send_mail(to: list[str], text: str, context: ActionContext) -> dict[str, Any]:
    """Send the report; the key lets a mail service drop a repeated one."""
    time.sleep(0.5)
    return {"accepted": to, "bytes": len(text.encode()), "message_id": context.idempotency_key}


@action("demo.archive")
def archive(name: str, text: str) -> str:
    """Keep the report."""
    time.sleep(0.3)
    return f"{name} ({len(text.splitlines())} lines)"
