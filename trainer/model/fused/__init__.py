"""The elementwise work of a block in Triton kernels: each tensor read and written once, sums made on the way."""
