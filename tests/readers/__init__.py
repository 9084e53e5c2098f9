"""Trainers that cannot live beside our pins read an exported dataset where only they are installed: `make readers`."""
