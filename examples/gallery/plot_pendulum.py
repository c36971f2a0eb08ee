"""
A network inside an ODE
=======================

A pendulum was observed: where it is, how fast it moves, and how its speed changes. A
network learns the law behind it, and takes the place of the law in a solver.
`result.function()` makes a function of the network that the reader's own compiled code
calls, without Python in between: a call takes a fraction of a microsecond.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

from fastnn import Adam, Network, cosine, train

# %%
# Observe, and learn
# ------------------
# The state is the angle and its speed; the network maps a state to its derivative.


def law(angle, speed):
    return speed, -9.81 * np.sin(angle) - 0.25 * speed


random_state = np.random.RandomState(0)
states = random_state.uniform((-3.5, -8), (3.5, 8), (3000, 2))
derivatives = np.column_stack(law(*states.T)) + random_state.normal(0, 0.02, (3000, 2))
network = Network((2, 32, 2), activation="tanh")
result = train(
    network,
    states,
    derivatives,
    optimizer=Adam(cosine(0.01, 300 * 60)),
    epochs=300,
    batch_size=50,
    seed=0,
)
error = np.sqrt(
    result.history.loss[-1]
)  # the loss is half the squared error, summed over the two outputs
print(f"root of the mean squared error: {error:.3f}, and the noise was 0.02")

# %%
# Integrate
# ---------
# The classical method of Runge and Kutta, compiled by Numba. It takes the right-hand
# side as an argument: any network of the same dtype goes into the same machine code.


@njit
def integrate(f, state, n_steps, step):
    path = np.empty((n_steps + 1, 2))
    k = np.empty((4, 2))
    x = np.empty(2)
    path[0] = state
    for t in range(n_steps):
        now = path[t]
        f(now, k[0])
        x[:] = now + step / 2 * k[0]
        f(x, k[1])
        x[:] = now + step / 2 * k[1]
        f(x, k[2])
        x[:] = now + step * k[2]
        f(x, k[3])
        path[t + 1] = now + step / 6 * (k[0] + 2 * k[1] + 2 * k[2] + k[3])
    return path


@njit
def true_law(x, out):
    out[0], out[1] = x[1], -9.81 * np.sin(x[0]) - 0.25 * x[1]


# seconds
STEP = 0.01
N_STEPS = 1000
f = result.function()
starts = [np.array([angle, 0.0]) for angle in (0.8, 1.6, 2.4, 3.0)]
learned = [integrate(f, start, N_STEPS, STEP) for start in starts]
true = [integrate(true_law, start, N_STEPS, STEP) for start in starts]

begin = time.perf_counter()
integrate(f, starts[-1], 20 * N_STEPS, STEP)
print(
    f"{(time.perf_counter() - begin) / (80 * N_STEPS) * 1e6:.2f} "
    "µs a call of the network"
)

# %%
# Four swings
# -----------
# On the left the field that the network has learned, and the paths of four pendulums
# through it; on the right the angle of two of them beside the truth. The one that
# begins almost upright (3 of 3.14) is the hardest: a small error there is a large one
# later.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5))
angle, speed = np.meshgrid(np.linspace(-3.4, 3.4, 40), np.linspace(-7.5, 7.5, 40))
field = result.predict(np.column_stack([angle.ravel(), speed.ravel()])).reshape(
    40, 40, 2
)
left.streamplot(
    angle,
    speed,
    *field.transpose(2, 0, 1),
    color="#cccccc",
    density=1.2,
    linewidth=0.8,
    arrowsize=0.8,
)
for path, color in zip(learned, ("C5", "C2", "C0", "C1"), strict=True):
    left.plot(*path.T, color=color, linewidth=1.6)
    left.plot(*path[0], "o", color=color)
left.set_xlim(-3.4, 3.4)
left.set_ylim(-7.5, 7.5)
left.set_xlabel("angle in radians")
left.set_ylabel("speed in radians a second")
left.set_title("The learned field")
left.grid(visible=False)

seconds = STEP * np.arange(N_STEPS + 1)
for i, color in ((3, "C1"), (1, "C2")):
    right.plot(seconds, true[i][:, 0], color=color, linewidth=6, alpha=0.3)
    right.plot(
        seconds, learned[i][:, 0], color=color, label=f"from {starts[i][0]} radians"
    )
right.set_xlabel("time in seconds")
right.set_ylabel("angle in radians")
right.set_title("The network (thin) and the truth (wide)")
right.legend()
plt.show()
