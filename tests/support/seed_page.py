"""The numbers of the tutorial's network that every implementation of it must reproduce (rtol 1e-10).

Weights from ``RandomState(seed)``: ``randn(3, 5)``, then ``randn(5, 1)``; biases 1; 100 iterations in float64.
`test_numbers_are_those_of_exact_arithmetic` recomputes them with 30 digits.
"""

from typing import NamedTuple

import numpy as np

RTOL = 1e-10


class Numbers(NamedTuple):
    first_error: float
    last_error: float
    b1: float
    b2: float
    output_110: float
    output_111: float


_NUMBERS = """
1.1351622735648907 0.03439766007439081 0.23377904810534095 0.05872321195038425 0.019587903947735394 0.8087992810827577
0.7611495279656915 0.01309505953798297 1.1037027982588172 1.483827533437056 0.05733559799592782 0.9214306851810048
0.8141277689699064 0.017023855173308337 1.2256281288545043 0.5005049537130345 0.03572560093182532 0.8843806856229179
0.8860134550329198 0.01272775879123806 0.6432102969288951 0.6613139222293872 0.025496762335413654 0.9024535356873923
1.2741886042158284 0.012709674679951991 1.2562004371793745 0.32184549778200616 0.04728101897152051 0.9247260207571257
"""
BY_SEED = {seed: Numbers(*map(float, row.split())) for seed, row in enumerate(_NUMBERS.strip().splitlines())}

# The weights that the tutorial prints, and the errors that follow from them: no random stream is involved.
PRINTED_W1 = np.array(
    [
        [-0.77428492, 0.10287792, 0.69741541, -0.95775929, 0.50670826],
        [0.80597415, -1.80287916, -0.3028974, -0.67473998, 0.56049986],
        [-0.81735613, 2.33120242, 1.07024909, -0.66092605, 1.46534629],
    ]
)
PRINTED_W2 = np.array([[-2.42478319], [0.68046428], [0.33132679], [-0.16557226], [0.59223169]])
PRINTED_ERRORS = {0: 0.6126250448803842, 1: 0.5215211257609922, 99: 0.01266242327685423}
