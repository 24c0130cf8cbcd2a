"""Read the machine: CPU, GPU, Jetson power modes and power meters.

What is measured on it belongs one folder up.
"""
