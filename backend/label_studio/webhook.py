"""What Label Studio's webhooks tell us, and what they carry to be believed."""

HINTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "TASKS_CREATED")
"""What they are asked to tell; each is a hint that may be lost, doubled or late."""

SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105  # the header's name
