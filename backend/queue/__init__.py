"""Redis and RQ: what waits, who works, the way in, and what was lost on the way."""

from backend.queue.records import QueueCounts, WorkerInfo
from backend.queue.rescue import Drop, DroppedJob, LiveJobs, Rescue
from backend.queue.workqueue import WorkQueue

__all__ = ["Drop", "DroppedJob", "LiveJobs", "QueueCounts", "Rescue", "WorkQueue", "WorkerInfo"]
