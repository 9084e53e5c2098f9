"""The small checkpoint that is shipped: real Qwen2.5-VL classes, trained from nothing to follow the protocol.

`python -m backend.training.tiny OUT` makes it. Its pictures are drawn here too, so it needs no data.
"""
