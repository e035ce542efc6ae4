"""A training step that knows nothing of Keelson but variables and files: no SDK, no network."""

import json
import os

rows = json.load(open(os.environ["KEELSON_INPUT_ROWS_PATH"]))
rate = float(os.environ["KEELSON_PARAM_RATE"])
epochs = int(os.environ["KEELSON_PARAM_EPOCHS"])

# Goes on from the last complete checkpoint, if an attempt before has left one.
start, w, b = 0, 0.0, 0.0
checkpoint = os.environ.get("KEELSON_CHECKPOINT_PATH")
if checkpoint:
    state = json.load(open(checkpoint))
    start, w, b = state["epoch"], state["w"], state["b"]
    print("goes on at epoch", start)

with open(os.environ["KEELSON_METRICS_PATH"], "a") as metrics:

    def tell(**line):
        metrics.write(json.dumps(line) + "\n")
        metrics.flush()

    tell(param="model", value="linear")
    for epoch in range(start, epochs):
        loss = 0.0
        for x, y in rows:
            error = w * x + b - y
            loss += error * error / len(rows)
            w -= rate * error * x
            b -= rate * error
        tell(metric="loss", value=loss, step=epoch)
        tell(progress=(epoch + 1) / epochs, message=f"epoch {epoch + 1} of {epochs}")
        if epoch % 10 == 9:
            # Whole or not at all: written aside, then renamed.
            path = os.path.join(os.environ["KEELSON_CHECKPOINT_DIR"], f"v{epoch + 1}")
            json.dump({"epoch": epoch + 1, "w": w, "b": b}, open(path + ".tmp", "w"))
            os.rename(path + ".tmp", path)
        if epoch == 24 and not checkpoint:
            print("a machine that fails")
            raise SystemExit(75)

json.dump({"w": w, "b": b}, open(os.environ["KEELSON_OUTPUT_MODEL_PATH"], "w"))
json.dump({"loss": loss}, open(os.environ["KEELSON_OUTPUT_REPORT_PATH"], "w"))
print("trained", epochs, "epochs")
