"""Read the machine: CPU, GPU, Jetson power modes and power meters.

Measuring latency on it belongs in `bench`, checking that it is ready in `doctor`.
"""
