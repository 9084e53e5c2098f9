"""Redis and RQ: what waits, who works, the way in, and what was lost on the way."""

from backend.queue.rescue import Drop, DroppedJob, LiveJobs, Rescue
from backend.queue.workqueue import QueueCounts, WorkerInfo, WorkQueue

__all__ = ["Drop", "DroppedJob", "LiveJobs", "QueueCounts", "Rescue", "WorkQueue", "WorkerInfo"]
