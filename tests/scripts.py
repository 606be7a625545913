"""The scripts, by name: the figures each draws, and the options that make it small for tests."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Script:
    figures: tuple[str, ...] = ()
    small: tuple[str, ...] = ()


SCRIPTS = {
    "gd_1d_torch": Script(("gd_torch_quadratic_diagnostics.png",)),
    "gradients_and_convexity": Script(),
    "gradient_geometry": Script(("tangent_plane.png", "steepest_descent_unit_circle.png")),
    "gd_nd_torch": Script(("gd_nd_diagnostics.png", "gd_nd_cost.png")),
    "tensor_creation": Script(),
    "tensor_manipulation": Script(("memory_layout_row_vs_col.png",)),
    "tensor_operations": Script(),
    "losses_and_models": Script(("two_layer_network.png",)),
    "autograd_tour": Script(),
    "dtypes": Script(("float_bit_layout.png", "accumulation_error.png")),
    "inplace": Script(("inplace_allocation.png",)),
    "broadcasting": Script(("broadcasting_matrix_vector.png", "broadcasting_timing.png")),
    "vectorization": Script(("vectorization_timing.png",)),
    "memory_layout": Script(("memory_layout_efficiency.png",)),
    "matmul_order": Script(("matmul_associativity_cost.png", "matmul_order_timing.png")),
    "devices": Script(("devices_matmul.png",)),
}
