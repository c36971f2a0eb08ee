"""Many networks at once: `train_many` beside vmap, joblib, and a loop over `train`."""
