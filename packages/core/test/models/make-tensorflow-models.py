"""Makes the SavedModels beside this script and notes how TensorFlow itself reads their signatures.

    python -m venv /tmp/tensorflow && /tmp/tensorflow/bin/pip install tensorflow-cpu
    /tmp/tensorflow/bin/python make-tensorflow-models.py [DIRECTORY]

Writes DIRECTORY/NAME (default: tensorflow/ beside the script) and DIRECTORY/reported.json.
"""

import json
import os
import shutil
import sys

import tensorflow as tf

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "tensorflow")
shutil.rmtree(out, ignore_errors=True)
os.makedirs(out)
reported = {}


def save(name, module, signatures):
    path = os.path.join(out, name)
    tf.saved_model.save(module, path, signatures=signatures)
    loaded = tf.saved_model.load(path)

    def side(specs):
        return {key: {"dtype": spec.dtype.name, "shape": None if spec.shape.rank is None else spec.shape.as_list()}
                for key, spec in specs.items()}

    reported[name] = {
        key: {"inputs": side(function.structured_input_signature[1]), "outputs": side(function.structured_outputs)}
        for key, function in loaded.signatures.items()
    }
    shutil.rmtree(os.path.join(path, "assets"), ignore_errors=True)


class Linear(tf.Module):
    def __init__(self):
        self.w = tf.Variable(tf.ones([4, 3]))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def predict(self, x):
        return {"scores": x @ self.w, "label": tf.argmax(x @ self.w, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.string, name="texts"), tf.TensorSpec([], tf.bool, name="flag")])
    def words(self, texts, flag):
        return {"lengths": tf.strings.length(texts), "flag": flag}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.complex64, name="z")])
    def phases(self, z):
        return {"phase": tf.math.angle(z)}

    @tf.function(input_signature=[tf.TensorSpec([None, None, 8], tf.bfloat16, name="h"), tf.TensorSpec([2], tf.uint8, name="u")])
    def halves(self, h, u):
        return {"half": tf.cast(h, tf.float16), "u": tf.cast(u, tf.uint64)}


linear = Linear()
save("linear", linear, linear.predict)
save("several", linear, {"serving_default": linear.predict, "words": linear.words, "phases": linear.phases, "halves": linear.halves})

model = tf.keras.Sequential([tf.keras.Input((6,), name="features"), tf.keras.layers.Dense(2, name="scores")])
path = os.path.join(out, "keras-export")
model.export(path, verbose=False)
loaded = tf.saved_model.load(path)
reported["keras-export"] = {
    key: {
        "inputs": {k: {"dtype": s.dtype.name, "shape": s.shape.as_list()} for k, s in f.structured_input_signature[1].items()},
        "outputs": {k: {"dtype": s.dtype.name, "shape": s.shape.as_list()} for k, s in f.structured_outputs.items()},
    } for key, f in loaded.signatures.items()
}
shutil.rmtree(os.path.join(path, "assets"), ignore_errors=True)
with open(os.path.join(out, "reported.json"), "w") as file:
    json.dump({"tensorflow": tf.__version__, "models": reported}, file, indent=1, sort_keys=True)
    file.write("\n")
for root, _, files in os.walk(out):
    for file in files:
        print(os.path.getsize(os.path.join(root, file)), os.path.join(root, file)[len(out):])
