"""Engines that answer for a model file, each behind the one `Session` protocol."""
