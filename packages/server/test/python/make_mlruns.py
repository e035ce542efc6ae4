"""Fills a directory of MLflow's file store, and prints what MLflow itself says is in it."""

import json
import os
import sys
import tempfile

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

from mlflow import MlflowClient, set_registry_uri, set_tracking_uri  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
    ViewType,
)

uri = sys.argv[1]
# What is registered looks logged models up there.
set_tracking_uri(uri)
set_registry_uri(uri)
client = MlflowClient(tracking_uri=uri, registry_uri=uri)

first = client.create_experiment("first", tags={"team": "risk", "mlflow.note.content": "a note"})
child_first = client.create_run(first, run_name="early", tags={"mlflow.user": "ada"})
parent = client.create_run(first, run_name="parent", tags={"mlflow.source.type": "NOTEBOOK"})
client.set_tag(child_first.info.run_id, "mlflow.parentRunId", parent.info.run_id)

run = parent.info.run_id
client.log_batch(
    run,
    metrics=[Metric("train/loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in range(900)],
    params=[Param("model.depth", "3"), Param("a/b c", "é\n1e3"), Param("empty", "")],
    tags=[RunTag("null", "null"), RunTag("number", "1e3")],
)
for value in (float("nan"), float("inf"), float("-inf"), -0.0):
    client.log_metric(run, "odd", value, step=-1)
client.log_inputs(
    run,
    [
        DatasetInput(
            Dataset("rain", "c2472", "code", '{"uri": "s3://b/rain.csv"}', profile='{"num_rows": 3}'),
            [InputTag("mlflow.data.context", "training")],
        )
    ],
)
with tempfile.TemporaryDirectory() as files:
    os.makedirs(f"{files}/model/deep")
    for path, content in (
        ("model/MLmodel", b"artifact_path: model\nflavors:\n  python_function:\n    loader_module: own\n"),
        ("model/deep/weights.bin", bytes(range(256)) * 4000),
        ("model/\xe9 space.txt", b""),
    ):
        with open(f"{files}/{path}", "wb") as file:
            file.write(content)
    client.log_artifacts(run, files)
    logged = client.create_logged_model(
        first, name="tree", source_run_id=run, tags={"kind": "x"}, params={"depth": "3"}
    )
    client.log_model_artifacts(logged.model_id, f"{files}/model")
client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
client.set_terminated(run, "FINISHED")
client.set_terminated(child_first.info.run_id, "KILLED")

gone = client.create_run(first, run_name="gone").info.run_id
client.set_terminated(gone, "FAILED")
client.delete_run(gone)
removed = client.create_experiment("removed")
client.set_terminated(client.create_run(removed).info.run_id)
client.delete_experiment(removed)

client.create_registered_model("fraud", tags={"team": "risk"}, description="finds fraud")
for source, of in (
    (f"{parent.info.artifact_uri}/model", run),
    (f"models:/{logged.model_id}", run),
    ("s3://elsewhere/model", None),
):
    client.create_model_version("fraud", source, of, tags={"from": source.split(":")[0]}, description="d")
client.delete_model_version("fraud", "3")
client.create_model_version("fraud", "s3://elsewhere/other")
client.transition_model_version_stage("fraud", "1", "Production")
client.transition_model_version_stage("fraud", "2", "Staging")
client.set_registered_model_alias("fraud", "champion", "2")

print(
    json.dumps(
        {
            "model_id": logged.model_id,
            "runs": [
                {
                    "id": each.info.run_id,
                    "experiment": client.get_experiment(each.info.experiment_id).name,
                    "name": each.info.run_name,
                    "status": each.info.status,
                    "lifecycle": each.info.lifecycle_stage,
                    "startedAt": each.info.start_time,
                    "endedAt": each.info.end_time,
                    "params": each.data.params,
                    "tags": each.data.tags,
                    "points": {
                        key: [
                            [point.step, point.timestamp, repr(point.value)]
                            for point in client.get_metric_history(each.info.run_id, key)
                        ]
                        for key in each.data.metrics
                    },
                }
                for each in client.search_runs([first, removed], run_view_type=ViewType.ALL)
            ],
        }
    )
)
