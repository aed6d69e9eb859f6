"""ONNX's numbers for element types (onnx.proto, TensorProto.DataType), by torch's names."""

DTYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "complex64": 14,
    "complex128": 15,
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18,
    "float8_e5m2": 19,
    "float8_e5m2fnuz": 20,
    # Quantized types are shown as their integer types.
    "quint8": 2,
    "qint8": 3,
    "qint32": 6,
}
UNDEFINED = 0
