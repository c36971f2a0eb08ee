"""The converters of the estimators for skl2onnx, by which a whole Pipeline becomes one ONNX
graph.
"""

from typing import Any

import numpy as np
from sklearn.base import is_classifier

from fastnn.checking.hints import missing_package
from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor
from fastnn.estimators.saving import model_of


def register_onnx_converters() -> None:
    """Tell skl2onnx how MLPClassifier and MLPRegressor are written: ``to_onnx(pipeline, X[:1])``
    converts them then.

    A classifier gives the outputs ``label`` and ``probabilities``, a regressor ``variable``, like
    scikit-learn's own; there is never a ZipMap. The network computes as it does here, in float32 if
    weights and inputs are, or else in float64. The outputs are float64 if the inputs are, or else
    float32.

    Raises
    ------
    ImportError
        Where skl2onnx is not installed.

    Examples
    --------
    >>> import importlib.util
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastnn import MLPClassifier, register_onnx_converters
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(), MLPClassifier((8,), solver="lbfgs", random_state=0)
    ... ).fit(X, y)
    >>> if importlib.util.find_spec("skl2onnx"):
    ...     from skl2onnx import to_onnx
    ...
    ...     register_onnx_converters()
    ...     graph = to_onnx(model, X[:1])
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise missing_package("skl2onnx", "converters need") from error

    for kind, options in ((MLPClassifier, {"zipmap": [False]}), (MLPRegressor, None)):
        update_registered_converter(
            kind, _alias(kind), _set_types, _convert, parser=_parse, options=options
        )


def _alias(kind: type) -> str:
    return f"Fastnn{kind.__name__}"


def _parse(scope: Any, mlp: Any, inputs: list[Any], custom_parsers: Any = None) -> Any:
    """Declare an estimator and its results."""
    from skl2onnx.common.data_types import guess_tensor_type

    operator = scope.declare_local_operator(_alias(type(mlp)), mlp)
    operator.inputs = inputs
    names = ("label", "probabilities") if is_classifier(mlp) else ("variable",)
    for name in names:  # `_set_types` puts the types right
        operator.outputs.append(
            scope.declare_local_variable(name, guess_tensor_type(inputs[0].type))
        )
    return operator.outputs


def _set_types(operator: Any) -> None:
    """Set the types and shapes of the results."""
    from skl2onnx.common import data_types

    from fastnn.files.to_onnx import Graph, add_results

    real = data_types.guess_tensor_type(operator.inputs[0].type)
    kinds = {
        "U": data_types.StringTensorType,
        "i": data_types.Int64TensorType,
        "b": data_types.BooleanTensorType,
    }
    results = add_results(Graph(np.dtype(np.float64)), model_of(operator.raw_operator), "outputs")
    for output, (_, dtype, shape) in zip(operator.outputs, results.values(), strict=True):
        output.type = kinds.get(dtype.kind, type(real))([None, *shape])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add an estimator's nodes to skl2onnx's graph."""
    from onnx import helper
    from skl2onnx.common.data_types import DoubleTensorType, guess_proto_type

    from fastnn.files.to_onnx import Graph, add_network, add_results

    model = model_of(operator.raw_operator)
    if isinstance(operator.inputs[0].type, DoubleTensorType):
        model = model._replace(params=model.params.astype(np.float64))
    g = Graph(model.params.dtype, scope.get_unique_variable_name)
    dtype_of_graph = helper.np_dtype_to_tensor_dtype(g.dtype)
    columns = [g.add("Cast", x.full_name, to=dtype_of_graph) for x in operator.inputs]
    X = columns[0] if len(columns) == 1 else g.add("Concat", *columns, axis=1)
    results = add_results(g, model, add_network(g, model, X))
    for output, (value, dtype, _) in zip(operator.outputs, results.values(), strict=True):
        if dtype.kind == "f":
            g.add("Cast", value, output=output.full_name, to=guess_proto_type(output.type))
        else:
            g.add("Identity", value, output=output.full_name)
    for tensor in g.constants:
        content = list(tensor.string_data) or tensor
        container.add_initializer(tensor.name, tensor.data_type, list(tensor.dims), content)
    for node in g.nodes:
        attributes = {
            attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute
        }
        name = scope.get_unique_operator_name(node.op_type)
        container.add_node(
            node.op_type, list(node.input), list(node.output), name=name, **attributes
        )
