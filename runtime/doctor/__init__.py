"""Check what works on this machine and describe it.

Latency measurement belongs in `bench`.
"""
