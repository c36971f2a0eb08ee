"""The number of threads that pays: measured while steps are done, again and again."""

import math

WARM = 0.01
"""Seconds before the first trial: the first steps take longer than others."""
TRIAL, LONG_TRIAL = 0.002, 0.016
"""Seconds of the first stretches of a trial, and of its last ones: each is twice the last one."""
PAUSE, LONG_PAUSE = 0.2, 4.0
"""Seconds between trials: each pause is twice the last one."""
COST = 40
"""How many times as long as a trial has lost is the pause after it, at least: a trial of a number that is worse."""
WATCH = 0.02
"""Seconds of steps with several threads before it is looked at again what they take."""
GAIN, LOSS, FAILURE = 0.97, 1.2, 2.0
"""A number is better where a step takes so many times as long as with the chosen one; trouble where one takes so many
times as long as it did; and a trial ends at once where one takes so many times as long."""
SHORT_STEP = 50e-6
"""Seconds of a step from which on it may be shared."""


class BestNumber:
    """The number of threads with which steps take least, by measurement, again and again: others may use the machine.

    It begins with one. 2, 4 and so on up to `most` are tried against their neighbors, in turns, since what others do
    changes from moment to moment. Stretches of steps are short at first: beside a busy process, threads that wait for
    one another may take many times as long as one.
    """

    def __init__(self, most: int) -> None:
        self._numbers = [*(1 << k for k in range(most.bit_length()) if 1 << k < most), most]
        self._seconds = math.inf  # of a step with the chosen number, as last measured
        self._chosen, self._tried, self._turn = 0, 0, 0  # places in the list; whose turn it is
        self._way = 1  # that of the next trial: to more threads, or -1 to fewer
        self._pause, self._rest = PAUSE, WARM
        self._stretch, self._sums, self._lost = 0.0, [0.0, 0.0], 0.0  # of a trial: seconds of its next turn

    def next(self) -> tuple[int, float]:
        """Return a number of threads, and with how many steps to measure it."""
        stretch = self._stretch if self._tried != self._chosen else min(self._rest, WATCH if self._chosen else math.inf)
        return self._numbers[self._turn], math.inf if self._seconds == math.inf else stretch / self._seconds

    def measured(self, n_steps: int, seconds: float) -> None:
        """Take in the time of the steps."""
        a_step, before = seconds / n_steps, self._seconds
        if self._turn == self._chosen:
            self._seconds = a_step
        if self._tried != self._chosen:
            self._take_turn(a_step, seconds - n_steps * before)
            return
        self._rest -= seconds
        if before == math.inf and a_step > WARM:
            self._rest = 0.0
        if self._rest <= 0 and a_step < SHORT_STEP:
            self._rest = math.inf
        if self._chosen and a_step > LOSS * before:
            self._way, self._rest = -1, 0.0
        if self._rest <= 0:
            self._way = self._way if self._is_open() else -self._way
            self._tried = self._turn = self._chosen + self._way
            self._stretch, self._sums = 0.0, [0.0, 0.0]

    def _take_turn(self, a_step: float, lost: float) -> None:
        """Take in a turn of a trial, the tried number's or, after it, the chosen one's, which ends a round."""
        if self._stretch == 0.0:  # a step that does not count: its buffers are new
            self._stretch = TRIAL
            return
        ends_round = self._turn == self._chosen
        self._sums[ends_round] += a_step * self._stretch
        if not ends_round:
            self._lost = lost
        tried, chosen = self._sums
        if (not ends_round and a_step > FAILURE * self._seconds) or (ends_round and tried > GAIN * chosen):
            self._way = -self._way  # that of the next trial
            self._choose(self._chosen)
            self._rest = max(self._rest, COST * self._lost)
        elif not ends_round:
            self._turn = self._chosen
        elif self._stretch < LONG_TRIAL:
            self._turn, self._stretch = self._tried, 2 * self._stretch
        else:
            self._seconds = tried / chosen * self._seconds
            self._choose(self._tried)
            self._rest = 0.0 if self._is_open() else self._rest  # further at once

    def _is_open(self) -> bool:
        """Return whether there is another number on the way of trials."""
        return 0 <= self._chosen + self._way < len(self._numbers)

    def _choose(self, k: int) -> None:
        """Choose a number; pauses grow with each choice, so that numbers that change places cost little."""
        self._chosen = self._tried = self._turn = k
        self._rest, self._pause = self._pause, min(2 * self._pause, LONG_PAUSE)
