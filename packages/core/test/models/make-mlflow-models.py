"""Makes the MLflow models beside this script and notes how MLflow itself reads their signatures.

    python -m venv /tmp/models && /tmp/models/bin/pip install mlflow-skinny scikit-learn pandas onnx xgboost-cpu
    /tmp/models/bin/python make-mlflow-models.py [DIRECTORY]

Writes DIRECTORY/NAME/MLmodel (default: mlflow/ beside the script) with the model's files where they are small, and
DIRECTORY/reported.json.
"""

import json
import os
import shutil
import sys
import datetime

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema, TensorSpec, DataType, ParamSchema, ParamSpec
from mlflow.types.schema import Array, Map, Object, Property, AnyType
from sklearn.linear_model import LogisticRegression

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "mlflow")
shutil.rmtree(out, ignore_errors=True)
os.makedirs(out)
reported = {}
keep = {"MLmodel", "model.pkl", "model.onnx", "python_model.pkl", "model.ubj", "model.json", "model.xgb", "model.skops"}

rng = np.random.default_rng(1)
table = pd.DataFrame({
    "age": rng.integers(18, 90, 40), "income": rng.normal(size=40), "small": rng.normal(size=40).astype(np.float32),
    "new": rng.integers(0, 2, 40).astype(bool), "count": rng.integers(0, 9, 40).astype(np.int32)})
labels = (table.income > 0).astype(int)
classifier = LogisticRegression().fit(table, labels)


def note(name):
    path = os.path.join(out, name)
    model = Model.load(path)
    info = model.get_model_info()

    def side(schema):
        if schema is None:
            return None
        if schema.is_tensor_spec():
            return {"tensors": [{"name": t.name, "dtype": str(t.type), "shape": list(t.shape)} for t in schema.inputs]}
        return {"columns": [{"name": c.name, "type": str(c.type), "required": c.required} for c in schema.inputs]}

    signature = model.signature
    reported[name] = {
        "flavors": sorted(model.flavors),
        "mlflowVersion": info.mlflow_version,
        "modelUuid": info.model_uuid,
        "inputs": side(signature.inputs) if signature else None,
        "outputs": side(signature.outputs) if signature else None,
    }
    for root, directories, files in os.walk(path, topdown=False):
        for file in files:
            if file not in keep:
                os.remove(os.path.join(root, file))
        for directory in directories:
            if not os.listdir(os.path.join(root, directory)):
                os.rmdir(os.path.join(root, directory))


def sklearn(name, signature, **more):
    mlflow.sklearn.save_model(classifier, os.path.join(out, name), signature=signature, pip_requirements=[], **more)
    note(name)


def pyfunc(name, signature):
    class Echo(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input

    mlflow.pyfunc.save_model(os.path.join(out, name), python_model=Echo(), signature=signature, pip_requirements=[])
    note(name)


sklearn("columns", infer_signature(table, classifier.predict(table)), serialization_format="cloudpickle")
sklearn("tensors", ModelSignature(
    Schema([TensorSpec(np.dtype(np.float32), (-1, 5))]), Schema([TensorSpec(np.dtype(np.int64), (-1,), "label")])),
    serialization_format="pickle")
sklearn("unsigned", None, serialization_format="pickle")
sklearn("wide", ModelSignature(Schema([ColSpec("double", f"feature number {i}") for i in range(30)])),
        serialization_format="pickle")
pyfunc("every-type", ModelSignature(
    Schema([ColSpec(t, t.name) for t in DataType.all_types()] + [
        ColSpec(DataType.string, "maybe", required=False),
        ColSpec(Array(DataType.double), "list"),
        ColSpec(Array(Array(DataType.string)), "lists"),
        ColSpec(Map(DataType.long), "map"),
        ColSpec(Object([Property("id", DataType.long), Property("note", DataType.string, required=False)]), "object"),
        ColSpec(AnyType(), "any")]),
    Schema([ColSpec("string"), ColSpec("double")]),
    ParamSchema([ParamSpec("temperature", DataType.float, 0.5), ParamSpec("stop", DataType.string, ["a"], (-1,)),
                 ParamSpec("since", DataType.datetime, np.datetime64("2026-01-02"))])))
pyfunc("named-tensors", ModelSignature(
    Schema([TensorSpec(np.dtype(t), (-1, 2), t) for t in
            "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 str bytes object".split()]),
    Schema([TensorSpec(np.dtype(np.float64), (-1, -1, 3), "scores")])))

import onnx
source = os.path.join(here, "onnx", "opset-17.onnx")
mlflow.onnx.save_model(onnx.load(source), os.path.join(out, "onnx"), pip_requirements=[])
note("onnx")

import xgboost
booster = xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(table, labels)
mlflow.xgboost.save_model(booster, os.path.join(out, "xgboost"), pip_requirements=[],
                          signature=infer_signature(table, booster.predict(table)))
note("xgboost")

with open(os.path.join(out, "reported.json"), "w") as file:
    json.dump({"mlflow": mlflow.__version__, "models": reported}, file, indent=1, sort_keys=True)
    file.write("\n")
for root, _, files in os.walk(out):
    for file in files:
        print(os.path.getsize(os.path.join(root, file)), os.path.join(root, file)[len(out):])
