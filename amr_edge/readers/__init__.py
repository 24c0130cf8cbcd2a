"""Every recording format that amr-edge reads."""
