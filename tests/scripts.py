"""The scripts, by name: their figures, and the options that make them small for tests."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Script:
    figures: tuple[str, ...] = ()
    small: tuple[str, ...] = ()
    varying: tuple[str, ...] = ()  # the figures that time, or the small options, change


SCRIPTS = {
    "gd_1d_torch": Script(("gd_torch_quadratic_diagnostics.png",)),
    "gradients_and_convexity": Script(),
    "gradient_geometry": Script(("tangent_plane.png", "steepest_descent_unit_circle.png")),
    "gd_nd_torch": Script(
        ("gd_nd_diagnostics.png", "gd_nd_cost.png"),
        ("--sizes", "1", "1000", "--seconds", "0.01"),
        varying=("gd_nd_cost.png",),
    ),
    "tensor_creation": Script(),
    "tensor_manipulation": Script(("memory_layout_row_vs_col.png",)),
    "tensor_operations": Script(),
    "losses_and_models": Script(("two_layer_network.png",)),
    "autograd_tour": Script(),
    "dtypes": Script(("float_bit_layout.png", "accumulation_error.png")),
    "inplace": Script(
        ("inplace_allocation.png",),
        ("--sizes", "100", "3000", "--seconds", "0.01"),
        varying=("inplace_allocation.png",),
    ),
    "broadcasting": Script(
        ("broadcasting_matrix_vector.png", "broadcasting_timing.png"),
        ("--rows", "3", "30", "--columns", "50", "--seconds", "0.01"),
        varying=("broadcasting_timing.png",),
    ),
    "vectorization": Script(
        ("vectorization_timing.png",),
        ("--sizes", "100", "1000", "3000", "--loop", "1000", "--seconds", "0.01"),
        varying=("vectorization_timing.png",),
    ),
    "memory_layout": Script(
        ("memory_layout_efficiency.png",),
        ("--m", "16", "40", "--seconds", "0.005"),
        varying=("memory_layout_efficiency.png",),
    ),
    "matmul_order": Script(
        ("matmul_associativity_cost.png", "matmul_order_timing.png"),
        ("--n", "24", "--p", "4", "--sweep", "2", "24", "--seconds", "0.005"),
        varying=("matmul_associativity_cost.png", "matmul_order_timing.png"),
    ),
    "devices": Script(
        ("devices_matmul.png",),
        ("--n", "8", "32", "--seconds", "0.005"),
        varying=("devices_matmul.png",),
    ),
}
