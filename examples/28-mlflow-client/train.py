"""A training as MLflow's users have it: nothing in it knows of Keelson. MLFLOW_TRACKING_URI says where it logs."""

import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(7)
x = rng.normal(size=(400, 2))
rain = (x[:, 0] + 0.3 * rng.normal(size=400) > 0).astype(int)

mlflow.set_experiment("rain")
for strength in [0.01, 1.0]:
    with mlflow.start_run(run_name=f"C = {strength}"):
        model = LogisticRegression(C=strength).fit(x[:300], rain[:300])
        mlflow.log_param("C", strength)
        mlflow.log_metric("accuracy", model.score(x[300:], rain[300:]))
        mlflow.sklearn.log_model(
            model,
            name="model",
            input_example=x[:2],
            registered_model_name="rain",
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
        )
