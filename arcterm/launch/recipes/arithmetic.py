"""Expressions of literals and arithmetic, worked out without running them."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

UNREAD = "it is worked out by more than arithmetic"
_LARGEST = 1e18

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Unread(Exception):  # noqa: N818  no error of the program
    """An expression that can't be worked out without running it; the message says why."""


def work_out(node: ast.expr, named: Callable[[ast.expr], Any]) -> Any:
    """The value of an expression; `named` gives that of a name, an attribute, a call. Raises `Unread`.

    Tuples become lists. Powers are left out, since a short one takes all memory.
    """
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [work_out(part, named) for part in parts]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {work_out(key, named): work_out(value, named) for key, value in pairs if key}
        case ast.UnaryOp(op=op, operand=operand):
            return _apply(op, work_out(operand, named))
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return _apply(op, work_out(left, named), work_out(right, named))
    return named(node)


def _apply(op: ast.AST, *operands: Any) -> Any:
    """Arithmetic on numbers, and whether two values are equal."""
    work = _OPERATORS.get(type(op))
    numbers = all(isinstance(one, int | float) for one in operands)
    if work is None or not (numbers or isinstance(op, ast.Eq | ast.NotEq)):
        raise Unread(UNREAD)
    result = work(*operands)
    if isinstance(result, int | float) and abs(result) > _LARGEST:
        raise Unread("it is too large for any setting")
    return result
