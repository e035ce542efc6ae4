"""Makes the ONNX models beside this script and notes what onnxruntime reports of each.

    python -m venv /tmp/models && /tmp/models/bin/pip install onnx onnxruntime skl2onnx scikit-learn
    /tmp/models/bin/python make-onnx-models.py [DIRECTORY]

Writes DIRECTORY/*.onnx (default: onnx/ beside the script) and DIRECTORY/reported.json: for each model its
inputs and outputs with name, type and shape, and its metadata, in onnxruntime's own words.
"""

import json
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "onnx")
os.makedirs(out, exist_ok=True)
ort.set_default_logger_severity(4)
reported = {}

IR_OF_OPSET = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10}


def report(file):
    session = ort.InferenceSession(os.path.join(out, file), providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta()

    def sides(values):
        return [{"name": v.name, "type": v.type, "shape": v.shape} for v in values]

    reported[file] = {
        "inputs": sides(session.get_inputs()),
        "outputs": sides(session.get_outputs()),
        "producerName": meta.producer_name,
        "graph": meta.graph_name,
        "domain": meta.domain,
        "description": meta.description,
        "modelVersion": meta.version,
        "metadata": meta.custom_metadata_map,
    }


def save(name, graph, opset=17, imports=(), functions=(), change=None, **fields):
    model = h.make_model(
        graph,
        opset_imports=[h.make_opsetid("", opset), *imports],
        ir_version=fields.pop("ir_version", IR_OF_OPSET[opset]),
        functions=list(functions),
        producer_name=fields.pop("producer_name", "keelson-test"),
        producer_version="1.0",
        **fields,
    )
    if change is not None:
        change(model)
    file = name + ".onnx"
    onnx.save(model, os.path.join(out, file))
    report(file)


def value(name, element, shape):
    return h.make_tensor_value_info(name, element, shape)


def identity(element, shape, name="g"):
    return h.make_graph(
        [h.make_node("Identity", ["x"], ["y"])], name, [value("x", element, shape)], [value("y", element, shape)]
    )


def weights(name, *shape, dtype=np.float32):
    return numpy_helper.from_array(np.ones(shape, dtype), name)


def matmul(name="w"):
    return h.make_graph(
        [h.make_node("MatMul", ["x", "w"], ["y"])],
        name,
        [value("x", T.FLOAT, ["batch", 4])],
        [value("y", T.FLOAT, ["batch", 3])],
        [weights("w", 4, 3)],
    )


def plain():
    for opset in IR_OF_OPSET:
        graph = h.make_graph(
            [h.make_node("Add", ["x", "b"], ["s"]), h.make_node("Relu", ["s"], ["y"])],
            f"opset {opset}",
            [value("x", T.FLOAT, ["batch", None, 4])],
            [value("y", T.FLOAT, ["batch", None, 4])],
            [weights("b", 4)],
        )
        # Before IR 4, constants had to be inputs as well.
        if IR_OF_OPSET[opset] < 4:
            graph.input.append(value("b", T.FLOAT, [4]))
        save(f"opset-{opset}", graph, opset)

    elements = "FLOAT16 BFLOAT16 DOUBLE INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 BOOL STRING COMPLEX64"
    for element in elements.split():
        try:
            save(f"element-{element.lower()}", identity(getattr(T, element), ["n", 2]), 16)
        except Exception as error:
            print("onnxruntime refuses", element, str(error)[:80])
    for element in ["INT4", "UINT4", "FLOAT8E4M3FN", "FLOAT8E5M2"]:
        try:
            graph = h.make_graph(
                [h.make_node("Cast", ["x"], ["y"], to=T.FLOAT)],
                "cast",
                [value("x", getattr(T, element), ["n", 2])],
                [value("y", T.FLOAT, ["n", 2])],
            )
            save(f"element-{element.lower()}", graph, 21)
        except Exception as error:
            print("onnxruntime refuses", element, str(error)[:80])


def shapes():
    save("scalar", identity(T.FLOAT, []))
    save("unranked", identity(T.FLOAT, None))
    save("negative-size", identity(T.FLOAT, [-1, 3]))
    save("zero-size", identity(T.FLOAT, [0, 3]))
    save("named-sizes", identity(T.INT64, ["batch size", "seq_len", None, 7]))
    save("unicode-names", h.make_graph(
        [h.make_node("Identity", ["größe/入力:0"], ["выход"])], "имя",
        [value("größe/入力:0", T.FLOAT, ["β", 2])], [value("выход", T.FLOAT, ["β", 2])]))
    # An output of which nothing is said but its name and element type.
    save("bare-output", h.make_graph(
        [h.make_node("Reshape", ["x", "s"], ["y"])], "bare", [value("x", T.FLOAT, ["n", 4]), value("s", T.INT64, ["k"])],
        [value("y", T.FLOAT, None)]))
    # Constants that callers may replace.
    graph = matmul("defaults")
    graph.input.append(value("w", T.FLOAT, [4, 3]))
    save("defaults", graph)
    # A constant that is sparse, and an input as well.
    sparse = h.make_sparse_tensor(
        numpy_helper.from_array(np.array([1.0, 2.0], np.float32), "w"),
        numpy_helper.from_array(np.array([0, 5], np.int64), "w_indices"), [4, 3])
    save("sparse-constant", h.make_graph(
        [h.make_node("MatMul", ["x", "w"], ["y"])], "sparse", [value("x", T.FLOAT, ["batch", 4])],
        [value("y", T.FLOAT, ["batch", 3])], sparse_initializer=[sparse]))


def structures():
    tensor = h.make_tensor_type_proto(T.FLOAT, ["n"])
    sequence = h.make_sequence_type_proto(tensor)
    save("sequence-output", h.make_graph(
        [h.make_node("SplitToSequence", ["x"], ["parts"], axis=0), h.make_node("Identity", ["x"], ["y"])], "sequence",
        [value("x", T.FLOAT, ["n"])], [h.make_value_info("parts", sequence), value("y", T.FLOAT, ["n"])]))
    save("sequence-input", h.make_graph(
        [h.make_node("ConcatFromSequence", ["parts"], ["y"], axis=0)], "sequence",
        [h.make_value_info("parts", sequence)], [value("y", T.FLOAT, ["m"])]))
    optional = h.make_optional_type_proto(tensor)
    save("optional-input", h.make_graph(
        [h.make_node("OptionalHasElement", ["o"], ["has"]), h.make_node("Identity", ["x"], ["y"])], "optional",
        [h.make_value_info("o", optional), value("x", T.FLOAT, ["n"])],
        [value("has", T.BOOL, []), value("y", T.FLOAT, ["n"])]))
    save("optional-output", h.make_graph(
        [h.make_node("Optional", ["x"], ["o"]), h.make_node("Identity", ["x"], ["y"])], "optional",
        [value("x", T.FLOAT, ["n"])], [h.make_value_info("o", optional), value("y", T.FLOAT, ["n"])]))


def wholes():
    double = h.make_function("local", "Double", ["a"], ["b"], [h.make_node("Add", ["a", "a"], ["b"])],
                             [h.make_opsetid("", 17)])
    save("functions", h.make_graph([h.make_node("Double", ["x"], ["y"], domain="local")], "functions",
         [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["n"])]), imports=[h.make_opsetid("local", 1)],
         functions=[double])

    def training(model):
        info = model.training_info.add()
        info.algorithm.CopyFrom(h.make_graph([h.make_node("Identity", ["w"], ["w2"])], "step", [], [value("w2", T.FLOAT, [4, 3])]))
        info.update_binding.add(key="w", value="w2")

    save("training-info", matmul("training"), change=training)

    def metadata(model):
        for key, text in {"author": "keelson", "классы": '{"0": "да"}', "empty": ""}.items():
            model.metadata_props.add(key=key, value=text)
        model.doc_string = "Multiplies by ones.\nNothing else."
        model.domain = "com.example"
        model.model_version = 7

    save("metadata", matmul("metadata"), change=metadata)

    # Fields in another order than the compiler of protobuf writes them: the graph first, cut in two halves that merge.
    model = h.make_model(matmul("merged"), opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    first, second = onnx.ModelProto(), onnx.ModelProto()
    first.graph.node.extend(model.graph.node)
    first.graph.input.extend(model.graph.input)
    second.graph.name = "merged"
    second.graph.output.extend(model.graph.output)
    second.graph.initializer.extend(model.graph.initializer)
    second.opset_import.extend(model.opset_import)
    second.ir_version = 8
    with open(os.path.join(out, "merged-halves.onnx"), "wb") as file:
        file.write(first.SerializePartialToString() + second.SerializePartialToString())
    report("merged-halves.onnx")

    external = h.make_model(matmul("external"), opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    for stale in ["external.onnx", "external.weights"]:
        if os.path.exists(os.path.join(out, stale)):
            os.remove(os.path.join(out, stale))
    onnx.save(external, os.path.join(out, "external.onnx"), save_as_external_data=True, location="external.weights",
              size_threshold=0)
    report("external.onnx")


def sklearn_models():
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    import pandas as pd

    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 1)

    def keep(name, model):
        onnx.save(model, os.path.join(out, name + ".onnx"))
        report(name + ".onnx")

    classifier = LogisticRegression().fit(x, y)
    keep("zipmap", to_onnx(classifier, x[:1], target_opset=15))
    keep("zipmap-columns", to_onnx(classifier, x[:1], target_opset=15, options={"zipmap": "columns"}))
    keep("zipmap-off", to_onnx(classifier, x[:1], target_opset=15, options={"zipmap": False}))
    words = LogisticRegression().fit(x, np.array(["no", "yes", "maybe"])[y])
    keep("zipmap-strings", to_onnx(words, x[:1], target_opset=12))

    table = pd.DataFrame({"town": ["Ulm", "Bonn"] * 30, "age": rng.integers(18, 90, 60), "income": x[:, 0]})
    columns = make_pipeline(
        ColumnTransformer([("words", OneHotEncoder(), ["town"]), ("numbers", StandardScaler(), ["age", "income"])]),
        LogisticRegression(),
    ).fit(table, y)
    keep("columns", to_onnx(columns, initial_types=[
        ("town", StringTensorType([None, 1])), ("age", Int64TensorType([None, 1])), ("income", FloatTensorType([None, 1]))],
        target_opset=17, options={"zipmap": False}))


def quantised():
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

    full = os.path.join(out, "full.tmp")
    model = h.make_model(matmul("quantised"), opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, full)
    quantize_dynamic(full, os.path.join(out, "quantised-dynamic.onnx"))
    report("quantised-dynamic.onnx")

    class Rows(CalibrationDataReader):
        def __init__(self):
            self.rows = iter([{"x": np.ones((2, 4), np.float32)}] * 3)

        def get_next(self):
            return next(self.rows, None)

    for name, style in [("qdq", QuantFormat.QDQ), ("qoperator", QuantFormat.QOperator)]:
        quantize_static(full, os.path.join(out, f"quantised-{name}.onnx"), Rows(), quant_format=style)
        report(f"quantised-{name}.onnx")
    os.remove(full)


for make in [plain, shapes, structures, wholes, sklearn_models, quantised]:
    make()
with open(os.path.join(out, "reported.json"), "w") as file:
    json.dump({"onnxruntime": ort.__version__, "onnx": onnx.__version__, "models": reported}, file,
              ensure_ascii=False, indent=1, sort_keys=True)
    file.write("\n")
print(len(reported), "models,", sum(os.path.getsize(os.path.join(out, f)) for f in os.listdir(out)), "bytes")
