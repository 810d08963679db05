"""The goals of hotshelf."""

from __future__ import annotations


def at_most(text: str, value: float, goal: float) -> None:
    _print(text, value, goal, value <= goal)


def at_least(text: str, value: float, goal: float) -> None:
    _print(text, value, goal, value >= goal)


def _print(text: str, value: float, goal: float, reached: bool) -> None:
    print(f"- {text}: {value:.2f}, goal {goal:g}: {'reached' if reached else 'missed'}")
