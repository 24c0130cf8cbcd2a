"""Pre-training objectives: token masks and masked reconstruction (AMR, MAMP, SkeletonMAE).

The encoders they train are in `models`.
"""
