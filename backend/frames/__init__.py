"""Video files -> exact frames on a contract's grid, each decoded once. The product's only user of OpenCV."""

from backend.frames.cache import FrameCache
from backend.frames.capture import Limits
from backend.frames.pair import VideoPair

__all__ = ["FrameCache", "Limits", "VideoPair"]
