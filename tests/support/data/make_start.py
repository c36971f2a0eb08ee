"""Write start.npz, what `same_bits.py` trains from: ``python tests/support/data/make_start.py``.

It ran once; every hash rests on the file.
Everything is a small integer, exact on every machine: draws are multiples of 2**-15, in [-1, 1), of a uniform stream;
iris is in tenths of a centimeter, digits in gray levels from 0 to 16.
"""

import pathlib

import numpy as np
from sklearn import datasets

N_PARAMS, N_ROWS, N_FEATURES = 4810, 300, 6  # parameters of the largest network; rows and columns of drawn data


def draw(random_state, *shape):
    """Uniform draws in [-1, 1), as multiples of 2**-15."""
    return np.floor(random_state.uniform(-(2.0**15), 2.0**15, shape)).astype(np.int16)


def main():
    random_state = np.random.RandomState(0)
    iris, digits = datasets.load_iris(), datasets.load_digits()
    some = random_state.permutation(len(digits.target))[:N_ROWS]
    np.savez_compressed(
        pathlib.Path(__file__).with_name("start.npz"),
        params=draw(random_state, N_PARAMS),
        drawn_X=draw(random_state, N_ROWS, N_FEATURES),
        drawn_y=np.abs(draw(random_state, N_ROWS) // 2),
        drawn_weight=random_state.randint(0, 8, N_ROWS).astype(np.uint8),  # in quarters; some are 0
        iris_X=np.round(iris.data * 10).astype(np.uint8),
        iris_y=iris.target.astype(np.uint8),
        digits_X=digits.data[some].astype(np.uint8),
        digits_y=digits.target[some].astype(np.uint8),
    )


if __name__ == "__main__":
    main()
