"""The presets for tables in TabArena, a living benchmark with a referee of its own.

TabArena (arXiv 2506.16791) fixes the splits, the scores and the ranking. `TabularClassifier` and
`TabularRegressor` take part as a system, for they prepare, validate and combine by themselves: each
fits all training rows of a split once. The models beside them are those of TabArena by their
defaults, which its harness fits eight times a split, each time without an eighth of the rows, and
combines.

``python -m benchmarks.tabarena`` compares them on tables of this repository, without a network;
``python -m benchmarks.tabarena --official small lite`` on TabArena's own, which it downloads with
the published results of all other methods. Both print the leaderboard. Both need tabarena, whose
pandas is older than that of other benchmarks: `nox -s measure -- tabarena` makes an environment.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
from typing import Any

import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold
from tabarena.benchmark.exec_models import ExternalSystemModel
from tabarena.benchmark.experiment import TabArenaV0pt1ExperimentBundle
from tabarena.benchmark.task import UserTask
from tabarena.benchmark.task.metadata import TaskMetadataCollection
from tabarena.benchmark.task.user_task import from_sklearn_splits_to_user_task_splits
from tabarena.contexts import AbstractArenaContext, TabArenaContext
from tabarena.utils.config_utils import SystemConfigGenerator

import fastnn
from benchmarks.tables.data import CLASSES, TABLES, Table
from benchmarks.tables.methods import warm_up

LOCAL = ("vowel", "kc1", "treasury", "mortgage", "communities", "page-blocks")
"""Tables of the half whose numbers decide on nothing."""
N_FOLDS = 3
PEERS = ("LightGBM", "RandomForest", "Linear")
SHOWN = ["method", "rank", "winrate", "elo", "median_metric_error", "median_time_train_s"]
"""The columns of the leaderboard that are printed of local tables."""
FOLDER = pathlib.Path(".benchmarks", "tabarena")


class Fastnn(ExternalSystemModel):
    """A table estimator with a preset, as TabArena calls it."""

    def __init__(self, *, preset: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.preset = preset

    @property
    def warmup_fn(self) -> Any:
        """What is done before the clock starts: a tiny table loads or compiles the kernels."""
        return functools.partial(warm_up, self.preset)

    def _fit_system(
        self,
        X: pd.DataFrame,
        y: pd.Series,
        *,
        problem_type: str,
        num_cpus: int | None,
        time_limit: float | None,
        random_state: int | None,
        **_: Any,
    ) -> Fastnn:
        is_regression = problem_type == "regression"
        kind = fastnn.TabularRegressor if is_regression else fastnn.TabularClassifier
        settings = {"n_jobs": num_cpus, "max_time": time_limit, "random_state": random_state}
        self.model = kind(self.preset, **settings).fit(X, y)
        return self

    def _predict(self, X: pd.DataFrame) -> pd.Series:
        return pd.Series(self.model.predict(X), X.index)

    def _predict_proba(self, X: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(self.model.predict_proba(X), X.index, self.model.classes_)


def task_of(table: Table, folder: pathlib.Path) -> tuple[UserTask, Any]:
    """Return a table as a task of three folds, and its description."""
    X, y = table.load(0)
    is_classes = table.kind == CLASSES
    frame = X.assign(target=pd.Categorical(y.astype(str)) if is_classes else y)
    folds = (StratifiedKFold if is_classes else KFold)(N_FOLDS, shuffle=True, random_state=0)
    splits = from_sklearn_splits_to_user_task_splits(folds.split(X, y), N_FOLDS)
    task = UserTask(task_name=table.name, task_cache_path=folder)
    made = task.create_task(
        dataset=frame,
        target_feature="target",
        problem_type="classification" if is_classes else "regression",
        splits=splits,
    )
    task.save_task(made)
    return task, made.metadata


def experiments(presets: list[str], peers: list[str], n_cpus: int, seconds: int) -> list[Any]:
    """Return what is fitted: our presets, and models of TabArena by their defaults."""
    made = []
    for preset in presets:
        one = {
            "model_cls": Fastnn,
            "name": f"fastnn-{preset}",
            "manual_configs": [{"preset": preset}],
        }
        made.append((SystemConfigGenerator(**one), 0))
    budget = {"num_cpus": n_cpus, "time_limit": seconds}
    ours = TabArenaV0pt1ExperimentBundle(models=made, system_experiments=True)
    theirs = TabArenaV0pt1ExperimentBundle(models=[(name, 0) for name in peers])
    return [
        *ours.build_experiments(**budget),
        *(theirs.build_experiments(**budget) if peers else []),
    ]


def on_local_tables(names: list[str], runs: list[Any], folder: pathlib.Path) -> pd.DataFrame:
    """Run on tables of this repository, and return the leaderboard."""
    tasks, descriptions = zip(
        *(task_of(TABLES[name], folder / "tasks") for name in names), strict=True
    )
    context = AbstractArenaContext(
        task_metadata=TaskMetadataCollection.from_source(list(descriptions)), methods=[]
    )
    options = {
        "user_tasks": list(tasks),
        "debug_mode": True,
    }  # in this process, one after the other
    context.build_and_run_jobs(runs, expname=str(folder / "local"), **options)
    return context.compare(output_dir=folder / "leaderboard")[SHOWN]


def on_official_tables(subset: list[str], runs: list[Any], folder: pathlib.Path) -> pd.DataFrame:
    """Run on TabArena's own tables, and return its leaderboard with the published methods."""
    context = TabArenaContext()
    context.build_and_run_jobs(
        runs, expname=str(folder / "official"), subset=subset, debug_mode=True
    )
    leaderboard = context.compare(output_dir=folder / "leaderboard")
    return context.leaderboard_to_website_format(leaderboard=leaderboard)


def main() -> None:
    """Run, and print the leaderboard."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tabarena", description=__doc__)
    parser.add_argument("tables", nargs="*", default=LOCAL, help=f"of {', '.join(TABLES)}")
    parser.add_argument("--official", nargs="+", metavar="SUBSET", help="such as: small lite")
    parser.add_argument("--presets", nargs="+", default=["fast", "good"])
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=3600, help="limit of a fit")
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER, help="of what was fitted")
    options = parser.parse_args()
    folder = options.folder.absolute()
    if options.official:
        runs = experiments(options.presets, [], options.cpus, options.seconds)
        leaderboard = on_official_tables(options.official, runs, folder)
    else:
        runs = experiments(options.presets, options.peers, options.cpus, options.seconds)
        leaderboard = on_local_tables(list(options.tables), runs, folder)
    print(leaderboard.to_string())


if __name__ == "__main__":
    main()
