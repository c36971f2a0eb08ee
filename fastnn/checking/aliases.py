"""The names of Keras, PyTorch and scikit-learn for activations, losses and initial weights: hints in errors."""

from __future__ import annotations

ALIASES = {
    # activations
    "linear": "identity",
    "logistic": "sigmoid",
    "sigmoid": "logistic",  # in the estimators, which have scikit-learn's names
    "swish": "silu",
    # losses, all of them with or without "loss" at the end
    "l2": "squared_error",
    "mse": "squared_error",
    "mean_squared_error": "squared_error",
    "rmse": "squared_error",  # its minimum is in the same place
    "l1": "absolute_error",
    "mae": "absolute_error",
    "mean_absolute_error": "absolute_error",
    "smooth_l1": "huber",
    "bce": "log_loss",
    "bce_with_logits": "log_loss",
    "binary_crossentropy": "log_loss",
    "binary_cross_entropy": "log_loss",
    "hinge": "log_loss",
    "nll": "cross_entropy",
    "negative_log_likelihood": "cross_entropy",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "poisson_nll": "poisson",
    # initial weights
    "xavier": "glorot_uniform",
    "xavier_uniform": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "kaiming": "he",
    "kaiming_normal": "he",
    "he_normal": "he",
    "random_normal": "normal",
    # reductions
    "average": "mean",
}
"""{another name: the one here}. Capitals, "_", "-", blanks and a "loss" at the end do not count."""

ANSWERS = {
    **dict.fromkeys(("softmax", "exp"), "for the last layer only, by output="),
    **dict.fromkeys(("cuda", "gpu", "mps"), "fastnn computes on the CPU only"),
}
"""{a name without a counterpart in fastnn: the hint for it}, used where the name is not legal."""
