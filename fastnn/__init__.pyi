# The public names, for type checkers and for the package itself, which imports each one when it is first used.

from fastnn import plotting as plotting
from fastnn import testing as testing
from fastnn.backends import Backend as Backend
from fastnn.backends import get_backend as get_backend
from fastnn.backends import register_backend as register_backend
from fastnn.errors import FastnnError as FastnnError
from fastnn.errors import ModelFileError as ModelFileError
from fastnn.estimators import MLPClassifier as MLPClassifier
from fastnn.estimators import MLPRegressor as MLPRegressor
from fastnn.files.model import load as load
from fastnn.many import train_many as train_many
from fastnn.many.driver import ManyProgress as ManyProgress
from fastnn.many.history import ManyHistory as ManyHistory
from fastnn.many.results import ManyResult as ManyResult
from fastnn.measuring import workloads as workloads
from fastnn.network import ACTIVATIONS as ACTIVATIONS
from fastnn.network import LOSSES as LOSSES
from fastnn.network import Network as Network
from fastnn.optimizers import OPTIMIZERS as OPTIMIZERS
from fastnn.optimizers import RPROP as RPROP
from fastnn.optimizers import SGD as SGD
from fastnn.optimizers import Adam as Adam
from fastnn.optimizers import AdamW as AdamW
from fastnn.optimizers import RMSprop as RMSprop
from fastnn.schedules import constant as constant
from fastnn.schedules import cosine as cosine
from fastnn.schedules import exponential as exponential
from fastnn.schedules import one_cycle as one_cycle
from fastnn.schedules import step_decay as step_decay
from fastnn.schedules import warm_up as warm_up
from fastnn.training import train as train
from fastnn.training.callbacks import Progress as Progress
from fastnn.training.callbacks import every as every
from fastnn.training.exceptions import DivergenceError as DivergenceError
from fastnn.training.exceptions import InterruptWarning as InterruptWarning
from fastnn.training.exceptions import MonitorError as MonitorError
from fastnn.training.exceptions import TrainingInterrupted as TrainingInterrupted
from fastnn.training.inference import loss_and_gradient as loss_and_gradient
from fastnn.training.inference import predict as predict
from fastnn.training.results import History as History
from fastnn.training.results import TrainingResult as TrainingResult
from fastnn.training.state import TrainingState as TrainingState
from fastnn.training.stopping import ReduceRate as ReduceRate
from fastnn.training.stopping import Stop as Stop

__version__: str
