"""Makes a model that calls much wind and cloud rain, as MLServer and as MLflow serve it; argument: a directory."""

import json
import sys
from pathlib import Path

import joblib
import mlflow.pyfunc
import numpy as np
from sklearn.linear_model import LogisticRegression

directory = Path(sys.argv[1])
rows = np.array([[float(i % 7), float(i % 5)] for i in range(70)])
model = LogisticRegression().fit(rows, (rows.sum(axis=1) > 5).astype(np.int64))

served = directory / "mlserver"
served.mkdir(parents=True)
joblib.dump(model, served / "model.joblib")
settings = {"name": "rain", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
(served / "model-settings.json").write_text(json.dumps(settings))


class Rain(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.model = joblib.load(context.artifacts["model"])

    def predict(self, context, model_input, params=None):
        return self.model.predict(model_input[["wind", "cloud"]].to_numpy())


mlflow.pyfunc.save_model(
    directory / "mlflow",
    python_model=Rain(),
    artifacts={"model": str(served / "model.joblib")},
    pip_requirements=["scikit-learn"],
)
