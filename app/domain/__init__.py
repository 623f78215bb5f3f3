"""The rules: pure values and functions, without I/O and without any framework."""
