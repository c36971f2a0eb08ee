"""Loops and branches of the kernel's language: in plain Python they run, in traced code they are
compiled.

A condition is an integer, 0 or not. Where it is a constant, only the branch taken is traced; a
short loop with a constant number of rounds is unrolled. Only what `is_dynamic` needs blocks of
instructions and jumps between them.
"""

from __future__ import annotations

import functools
from itertools import chain, islice

from llvmlite import ir

from fastnn.compiler.tracing import Traced, all_traced, const


def is_dynamic(x):
    """Return whether the value of x is found only when compiled code runs: a Python bool."""
    return isinstance(x, Traced) and x.constant is None


def constant_of(x):
    """Return the Python value of x, which is not dynamic."""
    return x.constant if isinstance(x, Traced) else x


def bit_ir(condition):
    """Emit the comparison of a condition with 0: one bit, as branches and selections take it."""
    return condition.builder.icmp_signed("!=", condition.value, const(0))


def constant_at_most(x, most):
    """Return whether x is a constant of at most `most`: a Python bool, so that Python's own `if`
    may test it.
    """
    return not is_dynamic(x) and constant_of(x) <= most


def each(n, *kept, step=1):
    """Iterate over range(0, n * step, step): ``for k in each(n, sums)`` is a loop of compiled code
    where `n` is traced.

    The body is then traced once. What changes from round to round stands in the lists `kept`, and
    is assigned to them in place: ``sums[:] = ...`` or ``sums[0] = ...``. After the loop they hold
    the values of the last round. A loop ends where `n` says so: tracing refuses a ``break``.
    """
    unrolled = not isinstance(n, Traced) or constant_at_most(n, n.unrolled)
    rounds = range(constant_of(n)) if unrolled else loop(n, kept)
    yield from rounds if step == 1 else (k * step for k in rounds)


@functools.singledispatch  # on the kind of value that `n` is: it tells what is being written
def loop(n, kept):
    """Emit a loop around what the caller of `each` traces as its body."""
    counter = [n.of(n.type, const(0))]
    for _ in repeat(lambda: counter[0] < n, counter, *kept):
        yield counter[0]
        counter[0] = counter[0] + 1


def repeat(holds, *kept):
    """Iterate while ``holds()``, a condition on what stands in the lists `kept`, as in `each`."""
    near = holds()  # the code's first condition, too, but there it is not used
    if not isinstance(near, Traced):
        while holds():
            yield
        return
    # Three blocks of instructions: `test` is entered from before the loop and from the end of the
    # body. A phi there is a value that depends on which of the two it was: whatever is kept.
    builder = near.builder
    start = near.builder.block
    test, body, done = (
        builder.append_basic_block(name) for name in ("loop.test", "loop.body", "loop.done")
    )
    builder.branch(test)
    builder.position_at_end(test)
    first = all_traced(near, chain(*kept))
    phis = [builder.phi(x.value.type) for x in first]
    now = [x.of(x.type, phi) for x, phi in zip(first, phis, strict=True)]
    assign(kept, now)  # the condition and the body read the phis
    builder.cbranch(bit_ir(holds()), body, done)
    builder.position_at_end(body)
    yield  # here the body is traced; it may end in another block than it began in
    for phi, x, y in zip(phis, first, all_traced(near, chain(*kept)), strict=True):
        phi.add_incoming(x.value, start)
        # only now is it clear what the body has left in `kept`
        phi.add_incoming(y.value, builder.block)
    builder.branch(test).set_metadata("llvm.loop", _keep_rolled(builder.module))
    builder.position_at_end(done)
    assign(kept, now)  # and so is what is read after the loop


def assign(lists, values):
    """Assign the values to the lists, one list after the other, in place."""
    values = iter(values)
    for x in lists:
        x[:] = list(islice(values, len(x)))


def sweep(n, sizes):
    """Cover range(n) with the largest pieces that fit, in order: (start, size) of each; `sizes`
    descend to 1.

    The sizes are Python integers: the body is traced once for each of them, and may have as many
    registers as it says.
    """
    start = 0
    for size in sizes:  # Python's loop: each size has a compiled loop of its own
        count = (n - start) // size
        for k in each(count):
            yield start + k * size, size
        start = start + count * size


def choose(condition, yes, no):
    """Return ``yes() if condition else no()``, a branch where traced: a value, or a list of values
    of the same types, or nothing.
    """
    if not is_dynamic(condition):
        return yes() if constant_of(condition) else no()
    # Both sides are traced, each in a block of its own; a phi in the block after them takes the
    # value of either.
    builder = condition.builder
    starts = [builder.append_basic_block(name) for name in ("choose.yes", "choose.no")]
    done = builder.append_basic_block("choose.done")
    builder.cbranch(bit_ir(condition), *starts)
    ends = []
    for start, side in zip(starts, (yes, no), strict=True):
        builder.position_at_end(start)
        chosen = side()
        is_one = isinstance(chosen, Traced)
        values = all_traced(condition, [chosen] if is_one else chosen or ())
        ends.append((builder.block, values))
        builder.branch(done)
    builder.position_at_end(done)
    phis = [builder.phi(x.value.type) for x in values]
    for block, side_values in ends:
        for phi, x in zip(phis, side_values, strict=True):
            phi.add_incoming(x.value, block)
    results = [x.of(x.type, phi) for x, phi in zip(values, phis, strict=True)]
    return results[0] if is_one else results


def when(condition, action):
    """Call `action`, which returns nothing, if the condition holds."""
    choose(condition, action, lambda: None)


def pick(condition, yes, no):
    """Return ``yes if condition else no``, of two values that exist already: a selection, no
    branch.
    """
    if is_dynamic(condition):
        yes, no = all_traced(condition, [yes, no])  # either may be a plain number
        chosen = condition.builder.select(bit_ir(condition), yes.value, no.value)
        return yes.of(yes.type, chosen)
    return yes if constant_of(condition) else no


def not_(condition):
    """Return ``not condition``. In place of `and` and `or` stand ``&`` and ``|``, which evaluate
    both sides.
    """
    return condition == 0 if is_dynamic(condition) else not constant_of(condition)


def smaller(x, y):
    """Return ``min(x, y)``, of integers."""
    return pick(x < y, x, y)


def switch(code, cases):
    """Call ``cases[code]``, which returns nothing; do nothing for a code that is not among the
    cases.
    """
    if is_dynamic(code):
        # one after the other, not LLVM's switch: its jump through a table costs more than some
        # comparisons
        if cases:
            (key, case), *others = cases.items()
            choose(code == key, case, lambda: switch(code, dict(others)))
    else:
        cases.get(constant_of(code), lambda: None)()


def _keep_rolled(module):
    """Return the metadata of a loop that LLVM is not to unroll: bodies are long, and copies take
    time to compile.
    """
    option = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop_id = ir.MDValue(module, [option], name=str(len(module.metadata)))
    loop_id.operands = (loop_id, option)  # a loop's metadata names itself first
    return loop_id
