"""What the tests know of each script, and of its figures. A new section has its row here."""

from dataclasses import dataclass, field

# An axis label ends with its unit, "time (ms)", or begins with a pure number, which needs none.
UNITS = ("ns", "us", "ms", "s", "bytes", "MB", "GB/s", "GFLOP/s", "rad", "degrees", "ratio")
PURE_NUMBERS = (
    "$w$",
    "iteration",
    "number of",
    "numbers in",
    "size",
    "inner size",
    "loss",
    "gap",
    "gradient",
    "derivative",
    "plateau",
    "relative error",
)


@dataclass(frozen=True)
class Script:
    """A row: the figures that a script draws, and for a timed tour what makes it small for tests.

    small has other values for its CONSTANTS, as many sizes as in the script. timing are those of
    its figures that show times. A lesson ends with exercises.
    """

    figures: tuple[str, ...] = ()
    small: dict[str, str] = field(default_factory=dict)
    timing: tuple[str, ...] = ()
    is_lesson: bool = True


def timed(timing: str, *other: str, **small: str) -> Script:
    """A timed tour, its timing figure and its other figures."""
    return Script(figures=(*other, timing), small=small, timing=(timing,))


SCRIPTS = {
    "gd_1d_torch": Script(("gd_torch_quadratic_diagnostics.png",)),
    "gradients_and_convexity": Script(("convexity.png",)),
    "gradient_geometry": Script(("tangent_plane.png", "steepest_descent_unit_circle.png")),
    "gd_nd_torch": Script(("gd_nd_diagnostics.png",)),
    "gd_nd_cost": timed("gd_nd_cost.png", SIZES="[1, 10, 20, 30, 40, 50, 60]", LONG="100"),
    "check_environment": Script(is_lesson=False),
    "tensor_creation": Script(),
    "tensor_manipulation": Script(("memory_layout_row_vs_col.png",)),
    "tensor_operations": Script(),
    "losses_and_models": Script(("two_layer_network.png",)),
    "autograd_tour": Script(),
    "dtypes": Script(("float_bit_layout.png", "accumulation_error.png")),
    "inplace": timed("inplace_allocation.png", SIZES="[10, 20, 30, 40, 50, 60, 70, 80]", N="100"),
    "broadcasting": timed(
        "broadcasting_timing.png",
        "broadcasting_matrix_vector.png",
        ROWS="20",
        COLUMNS="30",
        NUMBERS_OF_ROWS="[1, 2, 3, 5, 8, 9, 20]",
    ),
    "vectorization": timed("vectorization_timing.png", N="100", SIZES="[1, 2, 3, 10, 20, 50, 100]"),
    "memory_layout": timed(
        "memory_layout_efficiency.png",
        "cache_lines.png",
        ROWS="8",
        COLUMNS="64",
        SHORT="32",
        LONG="4096",
        SIZES="[4, 8, 16, 32, 64, 128, 256]",
    ),
    "matmul_order": timed(
        "matmul_order_timing.png",
        "matmul_associativity_cost.png",
        N="16",
        INNER="[2, 3, 4, 6, 8, 12, 16, 32]",
    ),
    "devices": timed("devices_matmul.png", LARGE="16", SIZES="[2, 4, 8, 16, 32, 48, 64]"),
}
