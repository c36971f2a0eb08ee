"""Loops and branches of the compiled code: in Python they are run, while tracing they become loops and branches.

Where a traced value that they go by is known, only the branch taken is traced, and a short loop is unrolled.
"""

from __future__ import annotations

from itertools import chain, islice

from llvmlite import ir

from fastnn.fused.lowering import Traced, all_traced, const

UNROLLED = 8  # rounds up to which a loop is unrolled, if it is known how many there are


def _is_open(x):
    """Whether only the compiled code will know what x is."""
    return isinstance(x, Traced) and x.known is None


def _known(x):
    return x.known if isinstance(x, Traced) else x


def at_most(x, most):
    """Whether x is known, and not larger: a Python bool."""
    return not _is_open(x) and _known(x) <= most


def each(n, *kept):
    """Iterate over range(n): ``for k in each(n, sums)`` is a loop of the compiled code where `n` is traced.

    The body is then traced once. What changes from round to round stands in the lists `kept`, and is assigned to them
    in place: ``sums[:] = ...`` or ``sums[0] = ...``. After the loop they hold the values of the last round. A loop ends
    where `n` says so: tracing refuses a ``break``.
    """
    if not isinstance(n, Traced) or (n.known is not None and n.known <= UNROLLED):
        yield from range(_known(n))
        return
    builder, start = n.builder, n.builder.block
    test, body, done = (builder.append_basic_block(name) for name in ("loop.test", "loop.body", "loop.done"))
    builder.branch(test)
    builder.position_at_end(test)
    first = [n.of(n.type, const(0)), *all_traced(n, chain(*kept))]
    phis = [builder.phi(x.value.type) for x in first]
    k, *now = (x.of(x.type, phi) for x, phi in zip(first, phis, strict=True))
    builder.cbranch(builder.icmp_signed("<", k.value, n.value), body, done)
    builder.position_at_end(body)
    _assign(kept, now)
    following = k + 1
    yield k
    for phi, x, y in zip(phis, first, [following, *all_traced(n, chain(*kept))], strict=True):
        phi.add_incoming(x.value, start)
        phi.add_incoming(y.value, builder.block)
    builder.branch(test).set_metadata("llvm.loop", _keep_rolled(builder.module))
    builder.position_at_end(done)
    _assign(kept, now)


def _assign(lists, values):
    """Assign the values to the lists, one list after the other, in place."""
    values = iter(values)
    for x in lists:
        x[:] = list(islice(values, len(x)))


def choose(condition, yes, no):
    """``yes() if condition else no()``, lists of values of the same kinds, kept as a branch where traced."""
    if _is_open(condition):
        return _choose_ir(condition, yes, no)
    return yes() if _known(condition) else no()


def when(condition, action):
    """``if condition: action()``, an action that returns nothing."""
    choose(condition, action, lambda: None)


def pick(condition, yes, no):
    """``yes if condition else no``, of two values that exist already: a selection, no branch."""
    if not _is_open(condition):
        return yes if _known(condition) else no
    yes, no = all_traced(condition, [yes, no])
    return yes.of(yes.type, condition.builder.select(_is_set(condition), yes.value, no.value))


def not_(condition):
    """``not condition``: 1 or 0 where traced. For `and` and `or` there are ``&`` and ``|``, which take conditions."""
    return condition == 0 if _is_open(condition) else not _known(condition)


def _choose_ir(condition, yes, no):
    builder, results = condition.builder, []
    blocks = [builder.append_basic_block(name) for name in ("choose.yes", "choose.no", "choose.done")]
    builder.cbranch(_is_set(condition), *blocks[:2])
    for block, values in zip(blocks, (yes, no), strict=False):
        builder.position_at_end(block)
        results.append((all_traced(condition, values() or ()), builder.block))
        builder.branch(blocks[2])
    builder.position_at_end(blocks[2])
    phis = [builder.phi(x.value.type) for x in results[0][0]]
    for values, block in results:
        for phi, x in zip(phis, values, strict=True):
            phi.add_incoming(x.value, block)
    return [x.of(x.type, phi) for x, phi in zip(results[0][0], phis, strict=True)]


def _is_set(condition):
    """A traced condition as LLVM's branches and selections take it: one bit."""
    return condition.builder.icmp_signed("!=", condition.value, const(0))


def smaller(x, y):
    """``min(x, y)``, of integers."""
    return pick(x < y, x, y)


def select(code, cases):
    """``cases[code]()``, which returns nothing; nothing is done where there is no such case."""
    if _is_open(code):
        builder = code.builder
        done = builder.append_basic_block("select.done")
        for key, case in cases.items():  # not LLVM's switch: its jump through a table costs more than some comparisons
            blocks = [builder.append_basic_block(name) for name in ("select.case", "select.next")]
            builder.cbranch(builder.icmp_signed("==", code.value, const(key)), *blocks)
            builder.position_at_end(blocks[0])
            case()
            builder.branch(done)
            builder.position_at_end(blocks[1])
        builder.branch(done)
        builder.position_at_end(done)
    elif _known(code) in cases:
        cases[_known(code)]()


def _keep_rolled(module):
    """Metadata of a loop that LLVM is not to unroll: the bodies are long already, and copies of them take time to
    compile.
    """
    option = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop_id = ir.MDValue(module, [option], name=str(len(module.metadata)))
    loop_id.operands = (loop_id, option)  # a loop's metadata names itself first
    return loop_id
