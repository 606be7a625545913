"""The scripts, by name: their figures, and CONSTANTS that make a timed tour small for tests."""

from dataclasses import dataclass, field

QUICK = {"THREADS, ROUNDS, SECONDS": "1, 2, 0.002"}


@dataclass(frozen=True)
class Script:
    figures: tuple[str, ...] = ()
    small: dict[str, str] = field(default_factory=dict)  # as many sizes as in the script
    timing: tuple[str, ...] = ()  # those of its figures that show times


def timed(timing: str, *other: str, **small: str) -> Script:
    """A timed tour, its timing figure and its other figures."""
    return Script((*other, timing), QUICK | small, (timing,))


SCRIPTS = {
    "gd_1d_torch": Script(("gd_torch_quadratic_diagnostics.png",)),
    "gradients_and_convexity": Script(),
    "gradient_geometry": Script(("tangent_plane.png", "steepest_descent_unit_circle.png")),
    "gd_nd_torch": Script(("gd_nd_diagnostics.png",)),
    "gd_nd_cost": timed("gd_nd_cost.png", SIZES="[1, 20, 30, 40]", LARGE="100"),
    "check_environment": Script(),
    "tensor_creation": Script(),
    "tensor_manipulation": Script(("memory_layout_row_vs_col.png",)),
    "tensor_operations": Script(),
    "losses_and_models": Script(("two_layer_network.png",)),
    "autograd_tour": Script(),
    "dtypes": Script(("float_bit_layout.png", "accumulation_error.png")),
    "inplace": timed("inplace_allocation.png", **{"SIZES, LARGE": "[10, 200, 3000], 100"}),
    "broadcasting": timed(
        "broadcasting_timing.png",
        "broadcasting_matrix_vector.png",
        SHAPES="[(20, 1), (2, 30), (5, 30), (20, 30)]",
        LARGE="100",
    ),
    "vectorization": timed("vectorization_timing.png", SIZES="[10, 50, 900]", LARGE="100"),
    "memory_layout": timed(
        "memory_layout_efficiency.png", **{"ROWS, COLUMNS, LARGE": "32, [8, 64, 512], 100"}
    ),
    "matmul_order": timed(
        "matmul_order_timing.png",
        "matmul_associativity_cost.png",
        **{"N, LARGE": "16, 8", "INNER": "[64, 16, 4]"},
    ),
    "devices": timed(
        "devices_matmul.png", SIZES="[4, 16, 64]", LARGE="{'cpu': 8, 'cuda': 8, 'mps': 8}"
    ),
}
