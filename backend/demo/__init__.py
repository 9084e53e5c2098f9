"""The whole product on one machine: real services, made-up clips, one story from task to pre-annotation."""
