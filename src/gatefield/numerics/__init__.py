"""Numerical methods that know nothing of networks: averages, two-point functions, solvers."""
