"""The engine in this process: a Qwen2.5-VL checkpoint on this machine's GPUs or CPU, through torch and transformers.

`loading` makes a `LocalEngine` from a folder or hub id. Nothing is imported here, so that naming this room
costs no torch.
"""
