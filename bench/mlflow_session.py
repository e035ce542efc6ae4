"""MLflow's own client, which asks one server or another: a line of JSON `{"do": …, "url": …}` for each task.

Called by bench/mlflow-pair.ts; answers lines of JSON: first the version, then how many ms each task took. `fill` writes
runs into the tables of an MLflow server as its client would have them, which by way of the client would take hours.
"""

import json
import os
import sqlite3
import sys
import time

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"

# What the client itself prints is no answer.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric


def elapsed(work):
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def log_batch(url, calls, points):
    """Batches of points of ten metrics, one after another."""
    client = MlflowClient(url)
    run = client.create_run(experiment(client, "batches")).info.run_id
    now = int(time.time() * 1000)
    batches = [
        [Metric(f"m{i % 10}", i * 0.5, now, (call * points + i) // 10) for i in range(points)]
        for call in range(calls)
    ]
    ms = elapsed(lambda: [client.log_batch(run, metrics=batch) for batch in batches])
    client.set_terminated(run)
    return {"ms": ms}


def runs(url, calls):
    """Whole runs, as a script makes them."""
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("small runs")

    def one(number):
        with mlflow.start_run(run_name=f"run {number}"):
            mlflow.log_params({f"p{i}": i * number for i in range(10)})
            mlflow.log_metrics({f"m{i}": i * 0.1 for i in range(10)})

    return {"ms": elapsed(lambda: [one(number) for number in range(calls)])}


def search(url, filter, order):
    """A page of 50 over all experiments of the benchmark."""
    client = MlflowClient(url)
    if url not in experiments:
        found = client.search_experiments(max_results=1000, filter_string="name LIKE 'experiment-%'")
        experiments[url] = [each.experiment_id for each in found]
    page = []
    ms = elapsed(
        lambda: page.extend(
            client.search_runs(experiments[url], filter, max_results=50, order_by=[order])
        )
    )
    return {"ms": ms, "runs": len(page)}


experiments = {}


def experiment(client, name):
    found = client.get_experiment_by_name(name)
    return client.create_experiment(name) if found is None else found.experiment_id


def fill(database, path):
    """Lines of JSON `[id, name, experiment, status, started, metrics, params, tags]` as rows of MLflow's tables."""
    store = sqlite3.connect(database, timeout=60)
    insert = {
        "experiments": "(experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)",
        "runs": "(run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id)",
        "latest_metrics": "(key, value, timestamp, step, is_nan, run_uuid)",
        "params": "(key, value, run_uuid)",
        "tags": "(key, value, run_uuid)",
    }
    known = set()

    def write(rows):
        for table, columns in insert.items():
            marks = ", ".join("?" * len(columns.split(",")))
            store.executemany(f"INSERT INTO {table} {columns} VALUES ({marks})", rows[table])
        store.commit()
        return {table: [] for table in insert}

    rows = {table: [] for table in insert}
    with open(path) as lines:
        for line in lines:
            id, name, number, status, started, metrics, params, tags = json.loads(line)
            at = 1000 + number
            if at not in known:
                known.add(at)
                place = f"mlflow-artifacts:/{at}"
                rows["experiments"].append((at, f"experiment-{number}", place, "active", 1, 1))
            place = f"mlflow-artifacts:/{at}/{id}/artifacts"
            end = started + 50_000
            rows["runs"].append(
                (id, name, "LOCAL", "ana", status, started, end, "active", place, at)
            )
            rows["latest_metrics"] += [(k, v, started, 0, 0, id) for k, v in metrics.items()]
            rows["params"] += [(k, str(v), id) for k, v in params.items()]
            rows["tags"] += [(k, v, id) for k, v in tags.items()]
            rows["tags"].append(("mlflow.runName", name, id))
            if len(rows["runs"]) >= 2000:
                rows = write(rows)
    write(rows)
    store.execute("ANALYZE")
    store.commit()
    store.close()
    return {"ms": 0}


tasks = {"log_batch": log_batch, "runs": runs, "search": search, "fill": fill}
print(json.dumps({"version": mlflow.__version__}), file=answers, flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    answer = tasks[asked.pop("do")](**asked)
    print(json.dumps(answer), file=answers, flush=True)
