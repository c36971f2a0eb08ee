"""
A network as C code, bit for bit
================================

A network learns a photograph: from the place of a pixel to its color. Then it is
exported to C, compiled, and draws the picture without Python. Its outputs have the bits
of `predict`, on any processor with a compiler that keeps to IEEE 754.
"""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from fastnn import Adam, Network, cosine, testing, train

# %%
# A photograph
# ------------
# Inputs are the sines and cosines of a pixel's place, from slow to fast ones; targets
# are its red, green and blue.

picture = load_sample_image("flower.jpg")[60:400:4, 60:580:4].astype(np.float32) / 255
height, width, _ = picture.shape
places = np.stack(
    np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij"),
    axis=-1,
)
waves = np.random.RandomState(0).normal(0, 2.5, (2, 12))
angles = 2 * np.pi * places.reshape(-1, 2) @ waves
X = np.hstack([np.sin(angles), np.cos(angles)]).astype(np.float32)
Y = picture.reshape(-1, 3)

network = Network((24, 32, 32, 3), activation="relu", output="sigmoid")
steps = 60 * -(-len(X) // 64)
result = train(
    network,
    X,
    Y,
    optimizer=Adam(cosine(0.005, steps)),
    epochs=60,
    batch_size=64,
    seed=0,
)
result

# %%
# Export and compile
# ------------------
# Two files are written. `-ffp-contract=off` forbids the compiler to round once where
# twice is written.

folder = tempfile.TemporaryDirectory()
source, header = result.export(Path(folder.name, "flower.c"))
print(*source.read_text().splitlines()[:14], sep="\n")

compiler = shutil.which("cc")
outputs = {}
if compiler is None:
    print(
        "There is no C compiler (cc) here: the picture below is drawn by Python alone."
    )
else:
    library = Path(folder.name, "flower.so")
    flags = [
        "-std=c99",
        "-O2",
        "-ffp-contract=off",
        "-march=native",
        "-shared",
        "-fPIC",
    ]
    subprocess.run([compiler, *flags, source, "-o", library, "-lm"], check=True)
    draw = ctypes.CDLL(library).flower_predict_batch
    draw.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
    draw.restype = None
    outputs["C"] = np.empty_like(Y)
    draw(len(X), X.ctypes.data, outputs["C"].ctypes.data)

# %%
# Compare
# -------
# Beside it stands the export to Python, which computes with NumPy: it is near, and no
# more. A unit in the last place (ULP) is the distance between two neighboring numbers.

(module,) = result.export(Path(folder.name, "flower.py"))
namespace = {}
exec(module.read_text(), namespace)
outputs["NumPy"] = namespace["predict"](X)
expected = result.predict(X)
for name, output in outputs.items():
    same = (output.view(np.int32) == expected.view(np.int32)).mean()
    print(f"{name:5}: {same:7.2%} of {output.size:,} numbers have the bits of predict")

figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(3, 3, 2))
drawn_by = next(iter(outputs))
for axes, image, title in (
    (panels[0], picture, f"The photograph, {picture.nbytes:,} bytes"),
    (
        panels[1],
        outputs[drawn_by].reshape(picture.shape),
        f"Drawn by {drawn_by}, {result.params.nbytes:,} bytes of weights",
    ),
):
    axes.imshow(image)
    axes.set_axis_off()
    axes.set_title(title)
edges = [0, 1, 2, 3, 5, 9, 10**6]
labels = ["0", "1", "2", "3-4", "5-8", "more"]
for place, (name, output) in enumerate(outputs.items()):
    counts, _ = np.histogram(testing.ulp_difference(output, expected), edges)
    bars = np.arange(len(labels)) + 0.4 * place
    panels[2].bar(bars, 100 * counts / output.size, 0.4, label=name, color=f"C{place}")
panels[2].set_xticks(np.arange(len(labels)) + 0.2, labels)
panels[2].set_xlabel("distance to predict in ULP")
panels[2].set_ylabel("numbers in %")
panels[2].set_title("C has the same bits")
panels[2].grid(visible=False, axis="x")
panels[2].legend()
plt.show()

folder.cleanup()
