# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Collects nodes and constants of an ONNX graph.

Values are referred to by their name in the graph. Equal constants are stored once, so networks
that run at several steps of a chain appear once in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
MICROSOFT = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""
_IR_VERSION = 9

Precision = Literal["fp32", "int8"]
AnyArray = NDArray[Any]


class GraphBuilder:
    """A graph under construction."""

    def __init__(self, precision: Precision = "fp32") -> None:
        """Start empty.

        Args:
            precision: of the large weight matrices; read by `layers`.
        """
        self.precision = precision
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}
        self._count = 0

    def constant(self, values: AnyArray | Sequence[float]) -> str:
        """Return a constant; float64 becomes float32."""
        array = np.asarray(values, order="C")
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(array, self._new_name("c"))
        return self._constants[key].name

    def scalar(self, value: float) -> str:
        """Return a float32 constant without dimensions."""
        return self.constant(np.array(value, dtype=np.float32))

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:  # noqa: ANN401
        """Add a node with one output and return it; "" leaves out an optional input."""
        return self.nodes(operator, *inputs, outputs=1, domain=domain, **attributes)[0]

    def nodes(
        self,
        operator: str,
        *inputs: str,
        outputs: int,
        domain: str = "",
        **attributes: Any,  # noqa: ANN401
    ) -> list[str]:
        """Add a node with several outputs and return them."""
        names = [self._new_name("v") for _ in range(outputs)]
        self._nodes.append(
            helper.make_node(operator, list(inputs), names, domain=domain, **attributes)
        )
        return names

    def reshape(self, x: str, *sizes: int) -> str:
        """Return x with other sizes, -1 for the free one."""
        return self.node("Reshape", x, self.constant(np.array(sizes, dtype=np.int64)))

    def split(self, x: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Return x cut along an axis; one part needs no node."""
        if len(sizes) == 1:
            return [x]
        lengths = self.constant(np.array(sizes, dtype=np.int64))
        return self.nodes("Split", x, lengths, outputs=len(sizes), axis=axis)

    def clip(self, x: str, limit: float | None) -> str:
        """Return x limited to plus/minus a number; None: x itself."""
        if limit is None:
            return x
        return self.node("Clip", x, self.scalar(-limit), self.scalar(limit))

    def embed(
        self,
        model: onnx.ModelProto,
        inputs: Mapping[str, str],
        change: Mapping[str, Callable[[str], str]] | None = None,
    ) -> list[str]:
        """Add all nodes of another graph and return its outputs.

        Only operators, their attributes and constants are taken over, no texts: exporters write
        source paths into them.

        Args:
            model: without local functions, same opset.
            inputs: what its inputs are called here.
            change: by name in the other graph, what stands in for a value from there on.
        """
        names, changes = dict(inputs), change or {}
        for tensor in model.graph.initializer:
            names[tensor.name] = self.constant(numpy_helper.to_array(tensor))
        for node in model.graph.node:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            outputs = self.nodes(
                node.op_type,
                *[names[name] if name else "" for name in node.input],
                outputs=len(node.output),
                domain=node.domain,
                **attributes,
            )
            for name, output in zip(node.output, outputs, strict=True):
                names[name] = output if name not in changes else changes[name](output)
        return [names[output.name] for output in model.graph.output]

    def to_bytes(
        self,
        inputs: Mapping[str, tuple[int, Sequence[int]]],
        output: str,
        name: str,
        sizes: Sequence[int],
    ) -> bytes:
        """Return the serialised model; the batch size stays free.

        Args:
            inputs: element type (of `TensorProto`) and sizes without batch, by name.
            output: the value that leaves the graph.
            name: what it is called outside.
            sizes: its sizes without batch.
        """
        last = helper.make_node("Identity", [output], [name])
        graph = helper.make_graph(
            [*self._nodes, last],
            "policy",
            [_end(key, kind, shape) for key, (kind, shape) in inputs.items()],
            [_end(name, TensorProto.FLOAT, sizes)],
            list(self._constants.values()),
        )
        domains = {node.domain for node in self._nodes} - {""}
        opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(d, 1) for d in domains)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content

    def _new_name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"


def _end(name: str, kind: int, sizes: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["batch", *sizes])
